"""Which part each number of an entry belongs to, so that effects of numbers become effects of parts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.coercion import to_texts
from core.data.slot_alignment import word_spans

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from core.explanation.masker import Masker
    from core.targets.types import Array


@dataclass(frozen=True)
class TextAlignment:
    """How an encoder's texts become tokens and n-grams: ``FieldsEncoder.spans`` and ``grams``."""

    spans: Callable[[pd.DataFrame], list[list[tuple[str, int, int] | None]]]
    grams: Callable[[Sequence[str]], Any]


def aggregate_to_features(
    source: str, flags: bool, numbers: Array, cases: Masker, reading: TextAlignment, effects: Array
) -> float:
    """Add an entry's effects (N, ...) to those of the parts (N, P), in place; give the absolute sum that has no part.

    ``flags``: the numbers are one-hot flags of all categories side by side. Embeddings come summed over their width.
    """
    if source in ("numeric", "missing", "categorical"):
        return _columns(source, flags, numbers, cases, effects)
    if source == "events":
        return _events(numbers, cases, effects)
    if source in ("image", "signal"):
        return _grid(numbers, cases, effects)
    if source == "tfidf":
        return _grams(numbers, cases, reading, effects)
    return _tokens(source, numbers, cases, reading, effects)


def _columns(source: str, flags: bool, numbers: Array, cases: Masker, effects: Array) -> float:
    layout = cases.scorer.layout()
    if flags:
        edges = np.cumsum([0, *layout.cardinalities])
        pieces = itertools.pairwise(edges)
        numbers = np.stack([numbers[:, a:b].sum(axis=1) for a, b in pieces], axis=1)
    names = layout.categorical if source == "categorical" else layout.numeric
    lost = 0.0
    for i, name in enumerate(names):
        if name in cases.columns:
            effects[:, cases.columns.index(name)] += numbers[:, i]
        else:
            lost += float(np.abs(numbers[:, i]).sum())  # made of texts: no column of the data
    return lost


def _events(numbers: Array, cases: Masker, effects: Array) -> float:
    start = len(cases.columns)
    effects[:, start : start + cases.earlier] += numbers[:, :-1].sum(axis=2)
    own, left = numbers[:, -1], np.ones(numbers.shape[2], bool)
    for c, column in enumerate(cases.columns):
        at = cases.places[column].get("events")
        if at is not None:
            effects[:, c] += own[:, list(at)].sum(axis=1)
            left[list(at)] = False
    return float(np.abs(own[:, left]).sum())


def _grid(numbers: Array, cases: Masker, effects: Array) -> float:
    assert cases.grid is not None
    count, start = len(cases.grid.names), len(cases.columns) + cases.earlier
    flat = numbers.sum(axis=1).reshape(len(numbers), -1)  # over channels
    belongs = np.eye(count)[cases.grid.part.ravel()]
    effects[:, start : start + count] += flat @ belongs
    return 0.0


def _tokens(source: str, numbers: Array, cases: Masker, reading: TextAlignment, effects: Array) -> float:
    """Give a token's effect to the word that it shares most characters with."""
    numbers = numbers.sum(axis=2) if numbers.ndim == 3 else numbers
    words = word_of_token(source, numbers.shape[1], cases, reading)
    rows, places = np.nonzero(words >= 0)
    np.add.at(effects, (rows, cases.fixed + words[rows, places]), numbers[rows, places])
    return float(np.abs(numbers[words < 0]).sum())


def word_of_token(source: str, length: int, cases: Masker, reading: TextAlignment) -> NDArray[np.int64]:
    """Tell which of its row's words each place of ``tokens`` or ``words`` belongs to, (N, length); -1 for none."""
    spans: list[list[tuple[str, int, int] | None]]
    if source == "words":
        column = cases.texts[0]
        spans = [[(column, a, b) for a, b in word_spans(text)] for text in to_texts(cases.frame[column])]
    else:
        spans = reading.token_offsets(cases.frame)
    found = np.full((len(cases), length), -1, np.int64)
    for row, places in enumerate(spans):
        for t, place in enumerate(places[:length]):
            found[row, t] = _word(cases, row, place)
    return found


def _word(cases: Masker, row: int, place: tuple[str, int, int] | None) -> int:
    best, most = -1, 0
    for number, word in enumerate(cases.words[row] if place is not None else ()):
        assert place is not None
        column, start, end = place
        common = min(end, word.end) - max(start, word.start) if word.column == column else 0
        if common > most:
            best, most = number, common
    return best


def _grams(numbers: Array, cases: Masker, reading: TextAlignment, effects: Array) -> float:
    """Share an n-gram's effect among the words that hold it, or among neighbours that hold it together."""
    texts = {column: to_texts(cases.frame[column]) for column in cases.texts}
    said = [
        [_with_signs(texts[word.column][row], word.start, word.end) for word in words]
        for row, words in enumerate(cases.words)
    ]
    alone = _held(reading, [word for words in said for word in words])
    pairs = _held(reading, [f"{a} {b}" for words in said for a, b in itertools.pairwise(words)])
    lost = 0.0
    for row, words in enumerate(said):
        holders: dict[int, list[int]] = {}
        for number, word in enumerate(words):
            for v in alone[word]:
                holders.setdefault(v, []).append(number)
        for number, (a, b) in enumerate(itertools.pairwise(words)):
            for v in pairs[f"{a} {b}"] - alone[a] - alone[b]:
                holders.setdefault(v, []).extend((number, number + 1))
        for v in np.flatnonzero(numbers[row]).tolist():
            if v not in holders:
                lost += abs(float(numbers[row, v]))
            for number in holders.get(v, ()):
                effects[row, cases.fixed + number] += numbers[row, v] / len(holders[v])
    return lost


def _with_signs(text: str, start: int, end: int) -> str:
    """Give a word with the signs that touch it: n-grams of letters hold them too."""
    while start and not text[start - 1].isspace():
        start -= 1
    while end < len(text) and not text[end].isspace():
        end += 1
    return text[start:end]


def _held(reading: TextAlignment, texts: Sequence[str]) -> dict[str, set[int]]:
    """Tell which n-grams each text holds."""
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return {}
    found = reading.tfidf_matrix(distinct)
    return {
        text: set(found.indices[found.indptr[i] : found.indptr[i + 1]].tolist())
        for i, text in enumerate(distinct)
    }
