"""Which words of a text made a score what it is: each left out in turn, the score's change measured.

Occlusion by removal (Li, Monroe and Jurafsky 2016, arXiv:1612.08220, representation erasure). It asks the model
only for scores of raw rows, so it explains any encoder and network; what the encoder makes of the text (comparisons,
bags) is made anew without the word.
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
AT_ONCE = 2048
"""Altered rows that are scored at once."""

ExplainedScore = Callable[["Array", NDArray[np.int64]], "Array"]
"""Scores (n, K) and the place of each in the rows asked about (n,) -> the numbers explained, (n,)."""


@dataclass(frozen=True)
class WordEffect:
    """How much one word adds to the explained number."""

    word: str
    start: int
    """Place of its first character in the text."""
    effect: float
    """The number less what it is without the word."""


def word_effects(
    scorer: Scorer, rows: pd.DataFrame, column: str, outcome: ExplainedScore, most: int = 200
) -> list[list[WordEffect]]:
    """Leave out each of the first ``most`` words of a text column, row by row; effects stand in the text's order.

    Costs one scoring for each word. An empty text has no effects.
    """
    texts = to_texts(rows[column])
    spans = [[m.span() for m in list(WORD.finditer(text))[:most]] for text in texts]
    base = outcome(scorer.scores(rows), np.arange(len(rows))) if len(rows) else np.zeros(0)
    altered = [(i, delete_spans(text, [span])) for i, text in enumerate(texts) for span in spans[i]]
    numbers = _scored(scorer, rows, column, outcome, altered)
    found: list[list[WordEffect]] = []
    place = 0
    for i, text in enumerate(texts):
        row = []
        for start, end in spans[i]:
            row.append(WordEffect(text[start:end], start, float(base[i] - numbers[place])))
            place += 1
        found.append(row)
    return found


def scores_without_spans(
    scorer: Scorer,
    rows: pd.DataFrame,
    column: str,
    outcome: ExplainedScore,
    dropped: Sequence[Sequence[tuple[int, int]]],
) -> Array:
    """Give the number of each row with several spans of characters left out, (N,)."""
    altered = [
        (i, delete_spans(t, spans))
        for i, (t, spans) in enumerate(zip(to_texts(rows[column]), dropped, strict=True))
    ]
    return _scored(scorer, rows, column, outcome, altered)


def delete_spans(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """Cut spans of characters out of a text; white space that meets is joined."""
    kept, place = [], 0
    for start, end in sorted(spans):
        kept.append(text[place:start])
        place = end
    return " ".join("".join([*kept, text[place:]]).split())


def _scored(
    scorer: Scorer, rows: pd.DataFrame, column: str, outcome: ExplainedScore, altered: Sequence[tuple[int, str]]
) -> Array:
    numbers: list[Any] = [np.zeros(0)]
    for first in range(0, len(altered), AT_ONCE):
        some = altered[first : first + AT_ONCE]
        piece = rows.iloc[[i for i, _ in some]].copy()
        piece[column] = pd.Series([text for _, text in some], index=piece.index, dtype=object)
        numbers.append(outcome(scorer.scores(piece), np.array([i for i, _ in some], np.int64)))
    return np.concatenate(numbers)
