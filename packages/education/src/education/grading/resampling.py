"""Bootstrap intervals of figures that need rows, not predictions alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.evaluation.intervals import interval, resampled_weights

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext, Json

MOST = 500
"""Resamples behind an interval of a study."""
Rows = NDArray[np.int64]


def figures(
    context: EvaluationContext, part: str, of: Callable[[Rows], dict[str, float]]
) -> dict[str, dict[str, Json]]:
    """Give each figure of a part with its interval; ``of`` takes row numbers, repeats allowed, and names figures.

    Units are drawn whole where the predictions have them.
    """
    predictions = context.parts[part]
    n = len(predictions)
    value = of(np.arange(n))
    drawn: dict[str, list[float]] = {name: [] for name in value}
    for weights_RN in resampled_weights(n, predictions.units, min(context.resamples, MOST), context.seed):
        for weights in weights_RN:
            for name, figure in of(np.repeat(np.arange(n), weights.astype(np.int64))).items():
                drawn[name].append(figure)
    return {
        name: {k: found[k] for k in ("value", "low", "high")}
        for name in value
        for found in [interval(value[name], np.array(drawn[name], np.float64), context.confidence)]
    }


def plain(value: float) -> dict[str, Json]:
    """Give a figure without an interval."""
    return {"value": float(value) if np.isfinite(value) else None, "low": None, "high": None}
