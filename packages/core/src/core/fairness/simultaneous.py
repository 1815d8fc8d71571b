"""Differences and ratios of rates between two sides, with intervals that hold for all comparisons at once.

The largest studentized difference over all comparisons exceeds the bound in ``1 - confidence`` of resamples
(Westfall and Young 1993). Where few units stand behind a rate, the bound is widened as Student's t widens it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from core.targets.fairness_metrics import FairnessMetric
from core.targets.types import Array

MIN_ROWS = 20
"""Rows in the denominator of a rate (positives, for a true positive rate) below which a group is not compared by it."""
MIN_UNITS = 5
"""The same for units: with fewer the sampling variation can't be estimated."""
MIN_DEFINED = 0.95
"""Share of resamples in which a statistic must be defined."""
NEGLIGIBLE = 1e-12
"""A standard deviation below this is none."""


class Sides(Protocol):
    """Which rows are compared with which."""

    @property
    def inside(self) -> Array:
        """(N,) 1 for rows of the group."""


@dataclass(frozen=True)
class ResampledRates:
    """The rates of C comparisons on the data and on R resamples, inside the group and outside it."""

    inside_C: Array
    outside_C: Array
    inside_RC: Array
    outside_RC: Array
    null_error_C: Array
    """Standard error of the difference if both sides had the same rate: for rates of 0/1 rows, else 0."""
    units_C: NDArray[np.int64]
    """Units behind the smaller side."""

    @property
    def difference(self) -> Array:
        """Inside minus outside, (C,)."""
        return self.inside_C - self.outside_C

    @property
    def difference_resampled(self) -> Array:
        """The same on each resample, (R, C)."""
        return self.inside_RC - self.outside_RC


@dataclass(frozen=True)
class Intervals:
    """Simultaneous intervals of C statistics; NaN where one does not vary or is not defined."""

    value_C: Array
    low_C: Array
    high_C: Array

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which statistics have an interval, (C,)."""
        return np.isfinite(self.low_C)


def smaller_side(sides: Sides, metric: FairnessMetric, units_N: NDArray[np.int64]) -> int:
    """Count the units behind the smaller side, 0 where a side lacks the rows or units that a comparison needs."""
    counts = metric.denominator > 0
    found = []
    for side in (sides.inside > 0, sides.inside == 0):
        units = units_N[side & counts]
        found.append(int(np.count_nonzero(np.bincount(units))) if len(units) >= MIN_ROWS else 0)
    return min(found) if min(found) >= MIN_UNITS else 0


def resample_rates(
    compared: Sequence[tuple[Sides, FairnessMetric, int]], weights: Iterable[Array]
) -> ResampledRates:
    """Compute every rate on every resample.

    ``compared``: sides, metric and the units behind the smaller side; ``weights``: blocks (r, N) of bootstrap counts.
    """
    # Many comparisons share a column, and "all others" is the whole less the group.
    columns: list[Array] = []
    place: dict[tuple[int, int], int] = {}

    def column(values: Array, side: Array | None) -> int:
        key = id(values), 0 if side is None else id(side)
        if key not in place:
            place[key] = len(columns)
            columns.append(values if side is None else values * side)
        return place[key]

    at_4C = np.array(
        [
            [column(v, s) for s in (sides.inside, None) for v in (metric.numerator, metric.denominator)]
            for sides, metric, _ in compared
        ]
    ).T
    flat_NM = np.stack(columns, axis=1)

    def rates(weights_RN: Array) -> tuple[Array, Array]:
        above, below, all_above, all_below = ((weights_RN @ flat_NM)[:, at] for at in at_4C)
        with np.errstate(invalid="ignore", divide="ignore"):
            # Sums of counts are whole numbers: a denominator of nobody is 0 exactly, or nearly so for others.
            rest = np.where(np.abs(all_below - below) < NEGLIGIBLE, np.nan, all_below - below)
            return above / below, (all_above - above) / rest

    inside_1C, outside_1C = rates(np.ones((1, len(flat_NM))))
    blocks = [rates(block) for block in weights]
    return ResampledRates(
        inside_1C[0],
        outside_1C[0],
        np.concatenate([inside for inside, _ in blocks]),
        np.concatenate([outside for _, outside in blocks]),
        np.array([_null_error(sides.inside, metric) for sides, metric, _ in compared]),
        np.array([units for _, _, units in compared]),
    )


def difference_intervals(rates: ResampledRates, confidence: float) -> Intervals:
    """Return the intervals of inside minus outside."""
    return simultaneous(
        rates.difference, rates.difference_resampled, rates.units_C, confidence, rates.null_error_C
    )


def ratio_intervals(rates: ResampledRates, confidence: float) -> Intervals:
    """Return the intervals of inside over outside, computed on the log scale; NaN where a rate is not above 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        log_C = np.log(rates.inside_C) - np.log(rates.outside_C)
        log_RC = np.log(rates.inside_RC) - np.log(rates.outside_RC)
    found = simultaneous(log_C, log_RC, rates.units_C, confidence)
    return Intervals(np.exp(found.value_C), np.exp(found.low_C), np.exp(found.high_C))


def simultaneous(
    value_C: Array,
    resampled_RC: Array,
    units_C: NDArray[np.int64],
    confidence: float,
    min_error_C: Array | None = None,
) -> Intervals:
    """Return intervals of C statistics from R resamples, all of which hold together with the confidence given.

    ``min_error_C``: least standard errors, where resamples may vary too little.
    """
    finite_RC = np.isfinite(resampled_RC)
    # A resample may miss all of a few units; a statistic that many miss has no interval.
    defined_C = np.isfinite(value_C) & (finite_RC.mean(axis=0) >= MIN_DEFINED)
    filled_RC = np.where(finite_RC & defined_C, resampled_RC, np.where(defined_C, value_C, 0.0))
    error_C = filled_RC.std(axis=0, ddof=1)
    if min_error_C is not None:
        # A side whose few rows are all right varies in no resample, and would seem certain.
        error_C = np.where(defined_C, np.maximum(error_C, min_error_C), 0.0)
    varies_C = error_C > NEGLIGIBLE
    if not varies_C.any():
        none = np.full(len(value_C), np.nan)
        return Intervals(value_C, none, none)
    scale_C = np.where(varies_C, error_C, 1.0)
    studentized_RC = np.abs(filled_RC - np.where(defined_C, value_C, 0.0)) / scale_C * varies_C
    bound = float(np.quantile(studentized_RC.max(axis=1), confidence))
    # The same tail with as many degrees of freedom as there are units behind the statistic, less one.
    bound_C = student.isf(norm.sf(bound), np.maximum(units_C - 1, 1))
    half_C = np.where(varies_C, bound_C * error_C, np.nan)
    return Intervals(value_C, value_C - half_C, value_C + half_C)


def _null_error(inside: Array, metric: FairnessMetric) -> float:
    """Standard error of the difference of two shares that are equal in truth; 0 for what is no share of rows."""
    if not metric.counts_rows:
        return 0.0
    n_in, n_all = float(metric.denominator @ inside), float(metric.denominator.sum())
    p = float(metric.numerator.sum()) / n_all
    return float(np.sqrt(p * (1 - p) * (1 / n_in + 1 / (n_all - n_in))))
