"""How much two short texts share: words by their stems, pairs of words, characters, order. Nothing is fitted here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TypeVar

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
NEGATIONS = frozenset(
    [
        "no",
        "not",
        "never",
        "none",
        "nothing",
        "neither",
        "nor",
        "without",
        "cannot",
        "cant",
        "dont",
        "doesnt",
        "didnt",
        "isnt",
        "wasnt",
        "wont",
        "arent",
        "hasnt",
        "havent",
        "unable",
        "nobody",
        "nowhere",
    ]
)
# Ends that English inflection and derivation put on a stem, the longest first, and what takes their place.
_ENDS = (
    ("ational", "ate"), ("ization", "ize"), ("fulness", "ful"), ("ations", "ate"), ("ation", "ate"), ("ingly", ""),
    ("edly", ""), ("ness", ""), ("ment", ""), ("ies", "y"), ("ied", "y"), ("ing", ""), ("ed", ""), ("es", ""),
    ("ly", ""), ("er", ""), ("s", ""), ("e", ""),
)  # fmt: skip
_LEAST_STEM = 3
_ALIKE = 0.5
"""Share of common letter pairs from which two stems count as spellings of one word, in part."""

Weight = Callable[[str], float]
Key = TypeVar("Key")


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """Cut a lower-case English word to a stem that its usual forms share; at least three letters stay."""
    word = word.split("'")[0] or word
    for end, instead in _ENDS:
        double_s = end == "s" and word.endswith("ss")
        if word.endswith(end) and len(word) - len(end) >= _LEAST_STEM and not double_s:
            word = word[: len(word) - len(end)] + instead
            break
    if len(word) > _LEAST_STEM and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word[:-1] if word.endswith("e") and len(word) > _LEAST_STEM + 1 else word


@dataclass(frozen=True)
class TextProfile:
    """One text, read once."""

    words: tuple[str, ...]
    """As written, lower case."""
    stems: tuple[str, ...]
    counts: Counter[str]
    pairs: Counter[tuple[str, str]]
    letters: Counter[str]
    """Runs of three letters, spaces between words counted."""
    runs: Counter[str]
    """Runs of four."""
    negations: int


def profile_text(text: str) -> TextProfile:
    """Read a text."""
    words = tuple(w.replace("’", "'") for w in WORD.findall(text.lower()))
    stems = tuple(stem(w) for w in words)
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


def weighted_overlap(a: Mapping[str, int], b: Mapping[str, int], weight: Weight) -> tuple[float, float, float]:
    """Give the weighted share of a that is in b, of b that is in a, and Dice's coefficient; 0 for an empty side."""
    both = sum(min(n, b[k]) * weight(k) for k, n in a.items() if k in b)
    of_a = sum(n * weight(k) for k, n in a.items())
    of_b = sum(n * weight(k) for k, n in b.items())
    return (
        both / of_a if of_a else 0.0,
        both / of_b if of_b else 0.0,
        2.0 * both / (of_a + of_b) if of_a + of_b else 0.0,
    )


def dice_coefficient(a: Mapping[Key, int], b: Mapping[Key, int]) -> float:
    """Give Dice's coefficient of two multisets (Dice 1945)."""
    both = sum(min(n, b[k]) for k, n in a.items() if k in b)
    whole = sum(a.values()) + sum(b.values())
    return 2.0 * both / whole if whole else 0.0


@lru_cache(maxsize=500_000)
def spelling_similarity(a: str, b: str) -> float:
    """Tell how alike two stems are spelt: 1 for equal ones, Dice of letter pairs above one half, else 0."""
    if a == b:
        return 1.0
    pairs_a = {f"^{a}$"[i : i + 2] for i in range(len(a) + 1)}
    pairs_b = {f"^{b}$"[i : i + 2] for i in range(len(b) + 1)}
    share = 2.0 * len(pairs_a & pairs_b) / (len(pairs_a) + len(pairs_b))
    return share if share >= _ALIKE else 0.0


def soft_coverage(wanted: Sequence[str], given: Sequence[str], weight: Weight) -> float:
    """Give the weighted share of the wanted stems that the given ones cover, misspellings in part; 1 for none."""
    whole = sum(weight(w) for w in wanted)
    if not whole:
        return 1.0
    there = set(given)
    return sum(weight(w) * (1.0 if w in there else _nearest(w, there)) for w in wanted) / whole


def _nearest(wanted: str, given: Set[str]) -> float:
    return max((spelling_similarity(wanted, g) for g in given), default=0.0)


def lcs_length(a: Sequence[str], b: Sequence[str]) -> int:
    """Count the longest run of stems that both have in the same order, gaps allowed (longest common subsequence)."""
    before = [0] * (len(b) + 1)
    for x in a:
        here = [0] * (len(b) + 1)
        for j, y in enumerate(b):
            here[j + 1] = before[j] + 1 if x == y else max(before[j + 1], here[j])
        before = here
    return before[-1]
