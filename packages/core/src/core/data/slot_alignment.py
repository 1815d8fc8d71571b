"""Alignment of slots with words: character spans of slots to one BIO label a word, and back.

Labels are in the BIO scheme (Ramshaw and Marcus 1995): code 0 is outside, 2 s + 1 the first and 2 s + 2 a further word
of slot s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

Span = tuple[int, int]

_NUMBER = r"\d+(?:[.,:]\d+)*"
# Scripts that put no space between words: each character is a word (kana, Han, Thai, Lao, Khmer, Burmese).
_ALONE = r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0eff\u1780-\u17ff\u1000-\u109f]"
# Signs that sit on a letter (accents; Devanagari and its relatives) belong to its word.
_LETTERS = rf"(?:(?!\d)(?!{_ALONE})\w|[\u0300-\u036f\u0900-\u0dff])+"
WORD = re.compile(rf"{_NUMBER}|{_ALONE}|{_LETTERS}|[^\w\s]")


def word_spans(text: str) -> list[Span]:
    """Return the (start, end) of each word: numbers, runs of letters, signs; characters in scripts without spaces.

    >>> word_spans("22.5 degrees!")
    [(0, 4), (5, 12), (12, 13)]
    """
    return [match.span() for match in WORD.finditer(text)]


def parse_slots(value: object, where: str) -> list[tuple[int, int, str]]:
    """Read a cell of slots: a list of [start, end, name] in characters, or that list as JSON text; none if missing.

    Raises ValueError with the place and what is wrong.
    """
    if value is None or (isinstance(value, float) and value != value):
        return []
    if isinstance(value, str):
        text = value
        if not text.strip():
            return []
        try:
            value = json.loads(text)
        except ValueError:
            raise ValueError(
                f"{where}: {text[:60]!r} is no JSON; slots are a list of [start, end, name], in characters"
            ) from None
    try:
        return [(int(start), int(end), str(name)) for start, end, name in value]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise ValueError(
            f"{where}: {str(value)[:60]!r}: slots are a list of [start, end, name], in characters"
        ) from None


def encode_bio(
    spans: Sequence[Span], slots: Sequence[tuple[int, int, str]], names: Sequence[str], where: str
) -> list[int]:
    """Return the BIO code of each word: that of the slot it touches.

    >>> text = "lights in the living room"
    >>> encode_bio(word_spans(text), [(14, 25, "room")], ["room"], "row 1")
    [0, 0, 0, 1, 2]

    Raises ValueError for a slot that is not among the names, reaches outside the text, or shares a word with another.
    """
    codes = [0] * len(spans)
    position = {name: s for s, name in enumerate(names)}
    for start, end, name in slots:
        if name not in position:
            raise ValueError(
                f"{where}: slot {name!r} is none of the training set's ({', '.join(list(names)[:12])}); correct it, "
                "drop the row, or name it in target.slots"
            )
        inside = [n for n, (a, b) in enumerate(spans) if a < end and b > start]
        if not inside or start < 0 or end <= start:
            raise ValueError(f"{where}: slot {name!r} at {start} to {end} holds no word of the text")
        if any(codes[n] for n in inside):
            raise ValueError(f"{where}: slot {name!r} at {start} to {end} shares a word with another slot")
        for n in inside:
            codes[n] = 2 * position[name] + (1 if n == inside[0] else 2)
    return codes


def bio_chunks(codes: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return the (slot, first word, word after the last) of each chunk of BIO codes.

    As in the CoNLL evaluation, a further word that does not continue the slot before it begins a chunk of its own.
    """
    found: list[tuple[int, int, int]] = []
    slot, first = -1, 0
    for n, code in enumerate([*codes, 0]):
        here = (int(code) - 1) // 2 if code > 0 else -1
        begins = code > 0 and (code % 2 == 1 or here != slot)
        if slot >= 0 and (here != slot or begins):
            found.append((slot, first, n))
            slot = -1
        if begins:
            slot, first = here, n
    return found


def decode_bio(
    spans: Sequence[Span], codes: Sequence[int], names: Sequence[str]
) -> list[tuple[int, int, str]]:
    """Return the slots (start, end, name), in characters, that BIO codes mark."""
    return [
        (spans[first][0], spans[after - 1][1], names[slot])
        for slot, first, after in bio_chunks(list(codes)[: len(spans)])
    ]
