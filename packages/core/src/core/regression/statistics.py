"""The statistics of the gate: paired bootstrap, exact tests of counts, and one correction over all comparisons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest, norm

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOOR = 1e-300
"""Smallest p-value told apart from 0, so that a correction can order them."""


@dataclass(frozen=True)
class Drop:
    """How much worse a quantity is than in the baseline: positive means worse, whatever the metric's direction."""

    value: float
    standard_error: float
    p: float
    """One-sided p-value of "it is not worse", from the paired bootstrap."""

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower confidence bound of the drop at level ``1 - alpha``."""
        return self.value - float(norm.ppf(1 - alpha)) * self.standard_error


def paired_drop(before: float, now: float, replicates: NDArray[np.float64], higher_is_better: bool) -> Drop:
    """Return the drop of a metric with its standard error and p-value.

    ``replicates``: (R,) differences ``now - before`` of bootstrap replicates, both computed with the same resampling
    weights (paired: Efron and Tibshirani 1993, chapter 16). The p-value takes their normal approximation, because a
    correction over some hundred comparisons asks for smaller ones than R replicates can count. Where every replicate
    is the same (nothing changed, or a change without spread) the p-value is 1 or 0.

    >>> unchanged = paired_drop(0.9, 0.9, np.zeros(200), higher_is_better=True)
    >>> unchanged.value, unchanged.p
    (0.0, 1.0)
    """
    sign = -1.0 if higher_is_better else 1.0
    value = sign * (now - before) + 0.0  # no negative zero
    finite = replicates[np.isfinite(replicates)]
    spread = float(np.std(finite, ddof=1)) if len(finite) > 1 else 0.0
    if spread < 1e-12:
        return Drop(value, 0.0, 1.0 if value <= 0 else FLOOR)
    return Drop(value, spread, max(float(norm.sf(value / spread)), FLOOR))


def pooled(drops: Sequence[Drop]) -> Drop:
    """Return the mean drop over seeds, whose errors are independent given the rows.

    The runs of one task share their test rows, so the error of the mean is bounded by the mean of the errors (perfect
    correlation); that bound is taken, which makes the gate slower to accuse, never faster.
    """
    value = float(np.mean([drop.value for drop in drops]))
    error = float(np.mean([drop.standard_error for drop in drops]))
    if error == 0.0:
        return Drop(value, 0.0, 1.0 if value <= 0 else FLOOR)
    return Drop(value, error, max(float(norm.sf(value / error)), FLOOR))


def mcnemar(worse: int, better: int) -> float:
    """Return the one-sided exact p-value of McNemar's test (1947): rows that got worse against those that got better.

    >>> mcnemar(0, 0)
    1.0
    >>> round(mcnemar(10, 0), 6)
    0.000977
    """
    changed = worse + better
    if changed == 0:
        return 1.0
    return max(float(binomtest(worse, changed, 0.5, alternative="greater").pvalue), FLOOR)


def binomial_spread(counts: Sequence[int], n: int, q: float) -> tuple[float, float]:
    """Return two-sided p-values of "counts are Binomial(n, q)": of their mean, and of their variance.

    The mean is tested exactly (the sum is Binomial(n k, q)), the variance by the index of dispersion, chi-squared with
    k - 1 degrees of freedom (Fisher 1925): batches of one fixed size have the right mean and no variance.
    """
    from scipy.stats import chi2

    k = len(counts)
    mean_p = float(binomtest(int(sum(counts)), n * k, q).pvalue)
    dispersion = float(np.var(counts, ddof=1)) * (k - 1) / (n * q * (1 - q))
    tail = float(chi2.cdf(dispersion, k - 1))
    return max(mean_p, FLOOR), max(2 * min(tail, 1 - tail), FLOOR)


def holm(p_values: Mapping[str, float], alpha: float) -> dict[str, float]:
    """Return the level at which each hypothesis is tested by Holm's step-down procedure (1979): name -> level.

    A hypothesis is rejected when its p-value is at most its level and all with smaller p-values were rejected; those
    behind the first that is kept get a level of 0.

    >>> holm({"a": 0.001, "b": 0.03, "c": 0.5}, 0.05)
    {'a': 0.016666666666666666, 'b': 0.0, 'c': 0.0}
    """
    ordered = sorted(p_values, key=lambda name: p_values[name])
    levels: dict[str, float] = {}
    open_ = True
    for place, name in enumerate(ordered):
        level = alpha / (len(ordered) - place)
        open_ = open_ and p_values[name] <= level
        levels[name] = level if open_ else 0.0
    return {name: levels[name] for name in p_values}


def relative(before: float, now: float) -> float:
    """Return ``now / before - 1``; 0 where both are 0, infinite where only the former was.

    >>> round(relative(10.0, 12.0), 6)
    0.2
    """
    if before == now:
        return 0.0
    return math.inf if before == 0 else now / before - 1
