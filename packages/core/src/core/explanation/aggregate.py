"""Aggregation of attributions: from the numbers of differentiable inputs to interpretable features."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.data.coercion import to_texts
from core.data.slot_alignment import word_spans

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from core.explanation.masker import Masker
    from core.targets.types import Array


@dataclass(frozen=True)
class TextAlignment:
    """How an encoder's texts become tokens and n-grams: ``Encoder.token_offsets`` and ``Encoder.tfidf_matrix``."""

    token_offsets: Callable[[pd.DataFrame], list[list[tuple[str, int, int] | None]]]
    tfidf_matrix: Callable[[Sequence[str]], csr_matrix]


def aggregate_to_features(
    source: str, one_hot: bool, numbers: Array, masker: Masker, alignment: TextAlignment, effects: Array
) -> float:
    """Add the attributions of an input's numbers (N, ...) to those of the features (N, P), in place.

    ``one_hot``: the numbers are one-hot vectors of all columns side by side. Embeddings come summed over their width.
    Returns the absolute sum that belongs to no feature.
    """
    if source in ("numeric", "missing", "categorical"):
        return _columns(source, one_hot, numbers, masker, effects)
    if source == "events":
        return _events(numbers, masker, effects)
    if source in ("image", "signal"):
        return _grid(numbers, masker, effects)
    if source == "tfidf":
        return _ngrams(numbers, masker, alignment, effects)
    return _tokens(source, numbers, masker, alignment, effects)


def _columns(source: str, one_hot: bool, numbers: Array, masker: Masker, effects: Array) -> float:
    layout = masker.scorer.layout()
    if one_hot:
        edges = np.cumsum([0, *layout.cardinalities])
        numbers = np.stack([numbers[:, a:b].sum(axis=1) for a, b in itertools.pairwise(edges)], axis=1)
    names = layout.categorical if source == "categorical" else layout.numeric
    unassigned = 0.0
    for i, name in enumerate(names):
        if name in masker.columns:
            effects[:, masker.columns.index(name)] += numbers[:, i]
        else:
            unassigned += float(np.abs(numbers[:, i]).sum())  # computed from texts: no column of the data
    return unassigned


def _events(numbers: Array, masker: Masker, effects: Array) -> float:
    start = len(masker.columns)
    effects[:, start : start + masker.history_length] += numbers[:, :-1].sum(axis=2)
    own, left = numbers[:, -1], np.ones(numbers.shape[2], bool)
    for c, column in enumerate(masker.columns):
        at = masker.positions[column].get("events")
        if at is not None:
            effects[:, c] += own[:, list(at)].sum(axis=1)
            left[list(at)] = False
    return float(np.abs(own[:, left]).sum())


def _grid(numbers: Array, masker: Masker, effects: Array) -> float:
    assert masker.grid is not None
    count, start = len(masker.grid.names), len(masker.columns) + masker.history_length
    flat = numbers.sum(axis=1).reshape(len(numbers), -1)  # over channels
    effects[:, start : start + count] += flat @ np.eye(count)[masker.grid.feature_mask.ravel()]
    return 0.0


def _tokens(source: str, numbers: Array, masker: Masker, alignment: TextAlignment, effects: Array) -> float:
    """Add a token's attribution to the word that it shares most characters with."""
    numbers = numbers.sum(axis=2) if numbers.ndim == 3 else numbers
    words = word_of_token(source, numbers.shape[1], masker, alignment)
    rows, tokens = np.nonzero(words >= 0)
    np.add.at(effects, (rows, masker.num_fixed + words[rows, tokens]), numbers[rows, tokens])
    return float(np.abs(numbers[words < 0]).sum())


def word_of_token(source: str, length: int, masker: Masker, alignment: TextAlignment) -> NDArray[np.int64]:
    """Return which of its row's words each of ``tokens`` or ``words`` belongs to, (N, length); -1 for none."""
    offsets: list[list[tuple[str, int, int] | None]]
    if source == "words":
        column = masker.texts[0]
        offsets = [[(column, a, b) for a, b in word_spans(text)] for text in to_texts(masker.frame[column])]
    else:
        offsets = alignment.token_offsets(masker.frame)
    found = np.full((len(masker), length), -1, np.int64)
    for row, tokens in enumerate(offsets):
        for t, offset in enumerate(tokens[:length]):
            found[row, t] = _word(masker, row, offset)
    return found


def _word(masker: Masker, row: int, offset: tuple[str, int, int] | None) -> int:
    best, most = -1, 0
    for number, word in enumerate(masker.words[row] if offset is not None else ()):
        assert offset is not None
        column, start, end = offset
        common = min(end, word.end) - max(start, word.start) if word.column == column else 0
        if common > most:
            best, most = number, common
    return best


def _ngrams(numbers: Array, masker: Masker, alignment: TextAlignment, effects: Array) -> float:
    """Divide an n-gram's attribution among the words that contain it, or neighbors that contain it together."""
    texts = {column: to_texts(masker.frame[column]) for column in masker.texts}
    words_by_row = [
        [_with_punctuation(texts[word.column][row], word.start, word.end) for word in words]
        for row, words in enumerate(masker.words)
    ]
    single = _contained(alignment, [word for words in words_by_row for word in words])
    pairs = _contained(
        alignment, [f"{a} {b}" for words in words_by_row for a, b in itertools.pairwise(words)]
    )
    unassigned = 0.0
    for row, words in enumerate(words_by_row):
        owners: dict[int, list[int]] = {}
        for number, word in enumerate(words):
            for v in single[word]:
                owners.setdefault(v, []).append(number)
        for number, (a, b) in enumerate(itertools.pairwise(words)):
            for v in pairs[f"{a} {b}"] - single[a] - single[b]:
                owners.setdefault(v, []).extend((number, number + 1))
        for v in np.flatnonzero(numbers[row]).tolist():
            if v not in owners:
                unassigned += abs(float(numbers[row, v]))
            for number in owners.get(v, ()):
                effects[row, masker.num_fixed + number] += numbers[row, v] / len(owners[v])
    return unassigned


def _with_punctuation(text: str, start: int, end: int) -> str:
    """Return a word with the punctuation that touches it: n-grams of characters contain it too."""
    while start and not text[start - 1].isspace():
        start -= 1
    while end < len(text) and not text[end].isspace():
        end += 1
    return text[start:end]


def _contained(alignment: TextAlignment, texts: Sequence[str]) -> dict[str, set[int]]:
    """Return which n-grams each text contains."""
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return {}
    found = alignment.tfidf_matrix(distinct)
    return {
        text: set(found.indices[found.indptr[i] : found.indptr[i + 1]].tolist())
        for i, text in enumerate(distinct)
    }
