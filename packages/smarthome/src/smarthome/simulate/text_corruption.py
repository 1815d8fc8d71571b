"""Corruptions of words: typos, errors of speech recognition, dialect. The number of words stays, and so do labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from core.data.slot_alignment import word_spans

Slots = list[tuple[int, int, str]]
WordCorruption = Callable[[str, np.random.Generator], str]

KEYBOARD_NEIGHBORS = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo", "j": "hk",
    "k": "jl", "l": "ko", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "wa", "r": "et", "s": "ad", "t": "ry",
    "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "x",
}  # fmt: skip
"""Neighboring letters on a keyboard."""
CONFUSED_SOUNDS = (
    ("th", "f"), ("ight", "ite"), ("oo", "u"), ("ee", "ea"), ("ou", "ow"), ("ck", "k"), ("tion", "shun"), ("ph", "f"),
    ("ea", "ee"), ("er", "a"), ("ing", "in"), ("w", "wh"), ("c", "k"), ("v", "b"), ("d", "t"), ("o", "a"), ("e", "i"),
)  # fmt: skip
"""Sounds that speech recognition confuses, as spellings."""
DIALECT = {
    "turn": "gie",
    "switch": "pit",
    "put": "pit",
    "lights": "leets",
    "light": "leet",
    "lamp": "lampie",
    "lamps": "lampies",
    "kitchen": "kitchie",
    "open": "apen",
    "close": "sneck",
    "set": "pit",
    "off": "aff",
    "down": "doon",
    "house": "hoose",
    "door": "yett",
    "warm": "het",
    "is": "wis",
    "the": "thon",
    "temperature": "heatin",
    "start": "stairt",
    "stop": "stap",
    "floor": "flair",
    "all": "aw",
}
"""Words of an invented dialect, for any that is rare in training data."""


def mistype(word: str, rng: np.random.Generator) -> str:
    """Return the word with a typo: one letter swapped, dropped, doubled or replaced by a neighbor on the keyboard."""
    if len(word) < 2 or not word.isalpha():
        return word
    n, kind = int(rng.integers(len(word) - 1)), int(rng.integers(4))
    if kind == 0:
        return word[:n] + word[n + 1] + word[n] + word[n + 2 :]
    if kind == 1:
        return word[:n] + word[n + 1 :]
    if kind == 2:
        return word[:n] + word[n] + word[n:]
    beside = KEYBOARD_NEIGHBORS.get(word[n].lower())
    return word[:n] + str(rng.choice(list(beside))) + word[n + 1 :] if beside else word


def mishear(word: str, rng: np.random.Generator) -> str:
    """Return the word with an error of speech recognition: lower case, one sound confused with another."""
    low = word.lower()
    for n in rng.permutation(len(CONFUSED_SOUNDS)):
        sound, other = CONFUSED_SOUNDS[int(n)]
        if sound in low and low.isalpha() and len(low) > 2:
            return low.replace(sound, other, 1)
    return low


def to_dialect(word: str, rng: np.random.Generator) -> str:
    """Return the word in dialect; else, and half the time, with recognition errors and typos."""
    dialect = DIALECT.get(word.lower())
    return dialect if dialect and rng.random() < 0.5 else mistype(mistype(mishear(word, rng), rng), rng)


def corrupt_words(
    text: str,
    slots: Sequence[tuple[int, int, str]],
    probability: float,
    corruption: WordCorruption,
    rng: np.random.Generator,
) -> tuple[str, Slots]:
    """Return the text with each word corrupted with a probability, and the slots at their new positions."""
    corrupted, moved, last = "", {}, 0
    for start, end in word_spans(text):
        corrupted += text[last:start]
        word = text[start:end]
        if rng.random() < probability:
            word = corruption(word, rng) or word
        moved[start] = (len(corrupted), len(corrupted) + len(word))
        corrupted += word
        last = end
    corrupted += text[last:]
    kept = []
    for start, end, name in slots:
        inside = [moved[s] for s in sorted(moved) if start <= s < end]
        kept.append((inside[0][0], inside[-1][1], name))
    return corrupted, kept
