"""Attribution of scores to the words of a text: each left out in turn, the score's change measured.

Occlusion by removal (Li, Monroe and Jurafsky 2016, arXiv:1612.08220, representation erasure). It needs only the
model's scores of raw rows, so it explains any encoder and network; what the encoder computes from the text
(comparisons, TF-IDF) is computed again without the word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.coercion import to_texts

if TYPE_CHECKING:
    from core.targets.scorer import Scorer
    from core.targets.types import Array

WORD = re.compile(r"\w+(?:['’-]\w+)*")
BATCH_ROWS = 2048
"""Altered rows that are scored at once."""

ExplainedScore = Callable[["Array", NDArray[np.int64]], "Array"]
"""Scores (n, K) and the number of each among the rows explained (n,) -> the scalars explained, (n,)."""


@dataclass(frozen=True)
class WordEffect:
    """How much one word adds to the explained score."""

    word: str
    start: int
    """Position of its first character in the text."""
    effect: float
    """The score less what it is without the word."""


def word_effects(
    scorer: Scorer, rows: pd.DataFrame, column: str, explained: ExplainedScore, max_words: int = 200
) -> list[list[WordEffect]]:
    """Return the effects of the first ``max_words`` words of a text column, row by row, in the text's order.

    Costs one scoring per word. An empty text has no effects.
    """
    texts = to_texts(rows[column])
    spans = [[m.span() for m in list(WORD.finditer(text))[:max_words]] for text in texts]
    base = explained(scorer.scores(rows), np.arange(len(rows))) if len(rows) else np.zeros(0)
    altered = [(i, delete_spans(text, [span])) for i, text in enumerate(texts) for span in spans[i]]
    scores = _scored(scorer, rows, column, explained, altered)
    found: list[list[WordEffect]] = []
    place = 0
    for i, text in enumerate(texts):
        row = []
        for start, end in spans[i]:
            row.append(WordEffect(text[start:end], start, float(base[i] - scores[place])))
            place += 1
        found.append(row)
    return found


def scores_without_spans(
    scorer: Scorer,
    rows: pd.DataFrame,
    column: str,
    explained: ExplainedScore,
    deleted: Sequence[Sequence[tuple[int, int]]],
) -> Array:
    """Compute the explained score of each row with several spans of characters left out, (N,)."""
    altered = [
        (i, delete_spans(t, spans))
        for i, (t, spans) in enumerate(zip(to_texts(rows[column]), deleted, strict=True))
    ]
    return _scored(scorer, rows, column, explained, altered)


def delete_spans(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Return a text without spans of characters; white space that meets is joined.

    >>> delete_spans("no sign of danger", [(0, 2), (11, 17)])
    'sign of'
    """
    kept, place = [], 0
    for start, end in sorted(spans):
        kept.append(text[place:start])
        place = end
    return " ".join("".join([*kept, text[place:]]).split())


def _scored(
    scorer: Scorer,
    rows: pd.DataFrame,
    column: str,
    explained: ExplainedScore,
    altered: Sequence[tuple[int, str]],
) -> Array:
    scores: list[Any] = [np.zeros(0)]
    for first in range(0, len(altered), BATCH_ROWS):
        some = altered[first : first + BATCH_ROWS]
        piece = rows.iloc[[i for i, _ in some]].copy()
        piece[column] = pd.Series([text for _, text in some], index=piece.index, dtype=object)
        scores.append(explained(scorer.scores(piece), np.array([i for i, _ in some], np.int64)))
    return np.concatenate(scores)
