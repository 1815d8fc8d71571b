"""Bootstrap intervals of a study's own metrics: whole units are drawn, as for every metric of the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.config.section import Estimate
from core.evaluation.intervals import interval, resample_rows, resampled_weights
from core.targets.bootstrap_metrics import ratio
from core.targets.types import Array

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext

MAX_ROW_RESAMPLES = 500
"""Resamples behind an interval of what is computed row set by row set."""


def estimate(value: float | np.floating[Any] | None) -> Estimate:
    """Return a value without an interval; null where it is undefined.

    >>> estimate(float("nan"))
    Estimate(value=None, low=None, high=None)
    """
    return Estimate(value=float(value) if value is not None and np.isfinite(value) else None)


def interval_estimate(context: EvaluationContext, value: float, samples: Array) -> Estimate:
    """Return a value with the percentile interval of its resamples (R,)."""
    found = interval(value, samples, context.confidence)
    return Estimate(value=found.value, low=found.low, high=found.high)


def weighted_estimate(
    context: EvaluationContext,
    metric: Callable[[Array], Array],
    rows: int,
    units: NDArray[np.str_] | None = None,
) -> Estimate:
    """Return a metric of weighted rows, weights (R, N) -> (R,), with its bootstrap interval."""
    samples = [metric(w) for w in resampled_weights(rows, units, context.resamples, context.seed)]
    return interval_estimate(context, float(metric(np.ones((1, rows)))[0]), np.concatenate(samples))


def ratio_estimate(
    context: EvaluationContext,
    numerator: Array,
    denominator: Array,
    units: NDArray[np.str_] | None = None,
) -> Estimate:
    """Return sum(numerator) / sum(denominator) over rows, (N,) each; undefined where the denominator is 0."""
    return weighted_estimate(
        context, lambda weights: ratio(weights @ numerator, weights @ denominator), len(numerator), units
    )


def share_estimate(
    context: EvaluationContext,
    hits: Array,
    among: Array | None = None,
    units: NDArray[np.str_] | None = None,
) -> Estimate:
    """Return the share of rows ``among`` (all by default) that are hit; undefined where there are none."""
    counted = np.ones(len(hits)) if among is None else among.astype(np.float64)
    return ratio_estimate(context, hits.astype(np.float64) * counted, counted, units)


def row_estimates(
    context: EvaluationContext, part: str, values: Callable[[NDArray[np.int64]], Mapping[str, float]]
) -> dict[str, Estimate]:
    """Return named values of a set's row numbers (repeats allowed) with their intervals."""
    predictions = context.parts[part]
    n, resamples = len(predictions), min(context.resamples, MAX_ROW_RESAMPLES)
    whole = values(np.arange(n))
    samples = resample_rows(values, n, predictions.units, resamples, context.seed)
    return {name: interval_estimate(context, value, samples[name]) for name, value in whole.items()}
