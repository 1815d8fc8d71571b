"""Similarity of two short texts: words by their stems, pairs of words, characters, order. Nothing is fitted here."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

import snowballstemmer

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
NEGATIONS = frozenset((
    "no", "not", "never", "none", "nothing", "neither", "nor", "without", "cannot", "cant", "dont", "doesnt", "didnt",
    "isnt", "wasnt", "wont", "arent", "hasnt", "havent", "unable", "nobody", "nowhere",
))  # fmt: skip
MIN_SPELLING = 0.5
"""Share of common letter pairs from which two stems count as spellings of one word, in part."""

Weight = Callable[[str], float]
Stemmer = Callable[[str], str]
Key = TypeVar("Key")

_PORTER2 = snowballstemmer.stemmer("english")
_PORTER2_LOCK = threading.Lock()  # it keeps the word that it works on


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """Return the stem of a lower-case English word (Porter2 of the Snowball project).

    >>> [stem(word) for word in ("circuits", "evaporated", "evaporates", "glass")]
    ['circuit', 'evapor', 'evapor', 'glass']
    """
    with _PORTER2_LOCK:
        return str(_PORTER2.stemWord(word))


# Inflectional and derivational endings, the longest first, and what takes their place.
_ENDINGS = (
    ("ational", "ate"), ("ization", "ize"), ("fulness", "ful"), ("ations", "ate"), ("ation", "ate"), ("ingly", ""),
    ("edly", ""), ("ness", ""), ("ment", ""), ("ies", "y"), ("ied", "y"), ("ing", ""), ("ed", ""), ("es", ""),
    ("ly", ""), ("er", ""), ("s", ""), ("e", ""),
)  # fmt: skip
_MIN_STEM = 3


@lru_cache(maxsize=200_000)
def suffix_stem(word: str) -> str:
    """Return a stem by suffix rules: the stemmer of runs written before 0.2.0, removed in 0.3.0."""
    word = word.split("'")[0] or word
    for ending, instead in _ENDINGS:
        double_s = ending == "s" and word.endswith("ss")
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM and not double_s:
            word = word[: len(word) - len(ending)] + instead
            break
    if len(word) > _MIN_STEM and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word[:-1] if word.endswith("e") and len(word) > _MIN_STEM + 1 else word


STEMMERS: dict[str, Stemmer] = {"porter2": stem, "suffix": suffix_stem}
"""Name in a saved encoder -> stemmer."""


@dataclass(frozen=True)
class TextProfile:
    """One text as multisets of words, stems and characters."""

    words: tuple[str, ...]
    """As written, lower case."""
    stems: tuple[str, ...]
    counts: Counter[str]
    """Stem -> occurrences."""
    pairs: Counter[tuple[str, str]]
    """Pairs of neighboring stems."""
    char_trigrams: Counter[str]
    """Spaces between words counted."""
    char_4grams: Counter[str]
    negations: int


def profile_text(text: str, stemmer: Stemmer = stem) -> TextProfile:
    """Count a text's words, stems and characters.

    >>> profile_text("Don't heat it").negations, profile_text("The gaps").stems
    (1, ('the', 'gap'))
    """
    words = tuple(w.replace("’", "'") for w in WORD.findall(text.lower()))
    stems = tuple(stemmer(w) for w in words)
    line = f" {' '.join(words)} "
    return TextProfile(
        words,
        stems,
        Counter(stems),
        Counter(pairwise(stems)),
        Counter(line[i : i + 3] for i in range(len(line) - 2)),
        Counter(line[i : i + 4] for i in range(len(line) - 3)),
        sum(w.replace("'", "") in NEGATIONS or w.endswith("n't") for w in words),
    )


def weighted_overlap(
    a: Mapping[str, int], b: Mapping[str, int], weight: Weight
) -> tuple[float, float, float]:
    """Compute the weighted fraction of a that is in b, of b that is in a, and Dice's coefficient; 0 for an empty side.

    >>> weighted_overlap({"the": 1, "red": 1, "gap": 1}, {"the": 1, "gap": 1}, lambda _: 1.0)
    (0.6666666666666666, 1.0, 0.8)
    """
    both = sum(min(n, b[k]) * weight(k) for k, n in a.items() if k in b)
    of_a = sum(n * weight(k) for k, n in a.items())
    of_b = sum(n * weight(k) for k, n in b.items())
    return (
        both / of_a if of_a else 0.0,
        both / of_b if of_b else 0.0,
        2.0 * both / (of_a + of_b) if of_a + of_b else 0.0,
    )


def dice_coefficient(a: Mapping[Key, int], b: Mapping[Key, int]) -> float:
    """Compute Dice's coefficient of two multisets (Dice 1945)."""
    both = sum(min(n, b[k]) for k, n in a.items() if k in b)
    whole = sum(a.values()) + sum(b.values())
    return 2.0 * both / whole if whole else 0.0


@lru_cache(maxsize=500_000)
def spelling_similarity(a: str, b: str) -> float:
    """Compute how similarly two stems are spelt: Dice's coefficient of letter pairs, 0 below one half.

    >>> spelling_similarity("terminal", "terminal"), round(spelling_similarity("terminal", "terminel"), 3)
    (1.0, 0.778)
    """
    if a == b:
        return 1.0
    pairs_a = {f"^{a}$"[i : i + 2] for i in range(len(a) + 1)}
    pairs_b = {f"^{b}$"[i : i + 2] for i in range(len(b) + 1)}
    similarity = 2.0 * len(pairs_a & pairs_b) / (len(pairs_a) + len(pairs_b))
    return similarity if similarity >= MIN_SPELLING else 0.0


def soft_coverage(wanted: Sequence[str], given: Sequence[str], weight: Weight) -> float:
    """Compute the weighted fraction of the wanted stems among the given ones, misspellings in part; 1 for none."""
    whole = sum(weight(w) for w in wanted)
    if not whole:
        return 1.0
    there = set(given)
    return sum(weight(w) * (1.0 if w in there else _nearest(w, there)) for w in wanted) / whole


def _nearest(wanted: str, given: Set[str]) -> float:
    return max((spelling_similarity(wanted, g) for g in given), default=0.0)


def lcs_length(a: Sequence[str], b: Sequence[str]) -> int:
    """Compute the length of the longest common subsequence of two sequences of stems.

    >>> lcs_length(["the", "red", "gap"], ["the", "gap", "is"])
    2
    """
    before = [0] * (len(b) + 1)
    for x in a:
        here = [0] * (len(b) + 1)
        for j, y in enumerate(b):
            here[j + 1] = before[j] + 1 if x == y else max(before[j + 1], here[j])
        before = here
    return before[-1]
