"""Bootstrap intervals of figures of utterances, by home where homes are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.intervals import interval, resampled_weights
from core.evaluation.study import EvaluationContext

Array = NDArray[np.float64]


def share(
    context: EvaluationContext, hits: Array, among: Array | None = None, units: NDArray[np.str_] | None = None
) -> dict[str, Any]:
    """Give the share of rows ``among`` that are hit, with its interval; null where there are none."""
    counted = np.ones(len(hits)) if among is None else among.astype(np.float64)
    both = np.column_stack([hits.astype(np.float64) * counted, counted])
    weights = np.concatenate(list(resampled_weights(len(hits), units, context.resamples, context.seed)))
    sums = weights @ both
    with np.errstate(invalid="ignore", divide="ignore"):
        samples = sums[:, 0] / sums[:, 1]
    value = float(both[:, 0].sum() / counted.sum()) if counted.sum() else float("nan")
    return interval(value, samples, context.confidence)


def resampled(
    context: EvaluationContext, rows: int, figure: Callable[[NDArray[np.int64]], float], most: int = 200
) -> dict[str, Any]:
    """Give a figure of row numbers, with its interval over resampled rows."""
    rng = np.random.default_rng(context.seed)
    samples = np.array([figure(rng.integers(0, rows, rows)) for _ in range(min(most, context.resamples))])
    return interval(figure(np.arange(rows)), samples, context.confidence)
