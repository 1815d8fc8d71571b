"""How words go wrong on the way: mistyped, misheard, in another dialect. Each word stays one word, so labels keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from core.data.slot_alignment import word_spans

Slots = list[tuple[int, int, str]]
Change = Callable[[str, np.random.Generator], str]

NEAR = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo", "j": "hk",
    "k": "jl", "l": "ko", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "wa", "r": "et", "s": "ad", "t": "ry",
    "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "x",
}  # fmt: skip
"""Letters beside each on a keyboard."""
HEARD = (
    ("th", "f"), ("ight", "ite"), ("oo", "u"), ("ee", "ea"), ("ou", "ow"), ("ck", "k"), ("tion", "shun"), ("ph", "f"),
    ("ea", "ee"), ("er", "a"), ("ing", "in"), ("w", "wh"), ("c", "k"), ("v", "b"), ("d", "t"), ("o", "a"), ("e", "i"),
)  # fmt: skip
"""Sounds that a recogniser takes for others."""
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
"""Words of an invented dialect, which stands for any that the training data has little of."""


def mistyped(word: str, rng: np.random.Generator) -> str:
    """Swap, drop, double or miss one letter, as a hurried hand does."""
    if len(word) < 2 or not word.isalpha():
        return word
    n, kind = int(rng.integers(len(word) - 1)), int(rng.integers(4))
    if kind == 0:
        return word[:n] + word[n + 1] + word[n] + word[n + 2 :]
    if kind == 1:
        return word[:n] + word[n + 1 :]
    if kind == 2:
        return word[:n] + word[n] + word[n:]
    beside = NEAR.get(word[n].lower())
    return word[:n] + str(rng.choice(list(beside))) + word[n + 1 :] if beside else word


def misheard(word: str, rng: np.random.Generator) -> str:
    """Write a word as a recogniser might: lower case, one sound taken for another."""
    low = word.lower()
    for n in rng.permutation(len(HEARD)):
        sound, other = HEARD[int(n)]
        if sound in low and low.isalpha() and len(low) > 2:
            return low.replace(sound, other, 1)
    return low


def in_dialect(word: str, rng: np.random.Generator) -> str:
    """Say a word in the dialect, where it has one, or else (and half the time) as it is misheard and mistyped."""
    said = DIALECT.get(word.lower())
    return said if said and rng.random() < 0.5 else mistyped(mistyped(misheard(word, rng), rng), rng)


def changed(
    text: str, slots: Sequence[tuple[int, int, str]], share: float, change: Change, rng: np.random.Generator
) -> tuple[str, Slots]:
    """Change a share of the words, each alone; slots move with their words."""
    made, moved, last = "", {}, 0
    for start, end in word_spans(text):
        made += text[last:start]
        word = text[start:end]
        if rng.random() < share:
            word = change(word, rng) or word
        moved[start] = (len(made), len(made) + len(word))
        made += word
        last = end
    made += text[last:]
    kept = []
    for start, end, name in slots:
        inside = [moved[s] for s in sorted(moved) if start <= s < end]
        kept.append((inside[0][0], inside[-1][1], name))
    return made, kept
