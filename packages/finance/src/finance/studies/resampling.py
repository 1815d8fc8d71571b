"""Intervals of figures that need more than predictions: whole units are drawn, as for every other figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.intervals import interval, resampled_weights

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext

Array = NDArray[np.float64]


def ratio_of_sums(context: EvaluationContext, part: str, above: Array, below: Array) -> dict[str, Any]:
    """Give sum(above) / sum(below) over a part's rows, each (N,), with its interval; undefined where below is 0."""

    def figure(weights_RN: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Array = (weights_RN @ above) / (weights_RN @ below)
        return np.where(np.isfinite(found), found, np.nan)

    return resampled(context, part, figure)


def resampled(context: EvaluationContext, part: str, figure: Callable[[Array], Array]) -> dict[str, Any]:
    """Give a figure of weighted rows, weights (R, N) -> (R,), of a part as it is and its bootstrap interval."""
    units = context.parts[part].units
    n = len(context.parts[part])
    value = float(figure(np.ones((1, n)))[0])
    samples = [figure(w) for w in resampled_weights(n, units, context.resamples, context.seed)]
    return kept(interval(value, np.concatenate(samples), context.confidence))


def kept(found: dict[str, Any]) -> dict[str, Any]:
    """Leave value, low and high."""
    return {name: found[name] for name in ("value", "low", "high")}
