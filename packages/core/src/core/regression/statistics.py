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
class Change:
    """A quantity of one task before and now, each the mean over seeds, and the error of their difference."""

    before: float
    now: float
    standard_error: float
    """Of ``now - before``, both on the same rows."""

    def z(self) -> float:
        """Return the change in standard errors; infinite for a change without spread, 0 for none."""
        change = self.now - self.before
        if self.standard_error > 0:
            return change / self.standard_error
        return 0.0 if change == 0 else math.copysign(math.inf, change)


@dataclass(frozen=True)
class Drop:
    """How much worse a quantity is than in the baseline: positive means worse, whatever the metric's direction."""

    value: float
    standard_error: float
    p: float
    """P-value of "it is not worse"; of what is best at a value, of "it did not change"."""

    def lower(self, alpha: float) -> float:
        """Return the one-sided lower confidence bound of the drop at level ``1 - alpha``."""
        return self.value - float(norm.ppf(1 - alpha)) * self.standard_error


def paired_change(
    before: Sequence[float],
    now: Sequence[float],
    replicates: Sequence[NDArray[np.float64]],
    independent: bool,
) -> Change:
    """Return the change of a metric, the mean over seeds, with the standard error of its bootstrap replicates.

    ``replicates``: of each seed, (R,) differences ``now - before`` computed with the same resampling weights for both
    (paired: Efron and Tibshirani 1993, chapter 16). Seeds whose rows are other rows are ``independent``; of runs that
    share their test rows the mean of the errors bounds the error of the mean.

    >>> import numpy as np
    >>> paired_change([0.9], [0.9], [np.zeros(200)], independent=True)
    Change(before=0.9, now=0.9, standard_error=0.0)
    """
    finite = [each[np.isfinite(each)] for each in replicates]
    errors = np.array([float(np.std(each, ddof=1)) if len(each) > 1 else 0.0 for each in finite])
    error = float(np.sqrt(np.sum(errors**2)) / len(errors) if independent else np.mean(errors))
    return Change(float(np.mean(before)), float(np.mean(now)), error if error > 1e-12 else 0.0)


def drop_of(change: Change, higher_is_better: bool) -> Drop:
    """Return how much worse a metric is, with its one-sided p-value.

    The p-value takes the replicates' normal approximation: a correction over some hundred comparisons asks for smaller
    ones than a few hundred replicates can count.

    >>> drop_of(Change(0.9, 0.8, 0.02), higher_is_better=True).p < 1e-6
    True
    """
    sign = -1.0 if higher_is_better else 1.0
    value = sign * (change.now - change.before) + 0.0  # no negative zero
    z = sign * change.z()
    return Drop(value, change.standard_error, 1.0 if z == 0 else max(float(norm.sf(z)), FLOOR))


def drop_from_ideal(change: Change, ideal: float) -> Drop:
    """Return how much further from its best value a quantity is, with the two-sided p-value of its change.

    The distance itself has no useful replicates: where they cross the best value, its spread says nothing of the
    change.

    >>> worse = drop_from_ideal(Change(1.0, 0.8, 0.02), ideal=1.0)
    >>> round(worse.value, 3), worse.p < 1e-6
    (0.2, True)
    """
    value = abs(change.now - ideal) - abs(change.before - ideal) + 0.0
    return Drop(value, change.standard_error, _two_sided(change))


def drop_of_change(change: Change) -> Drop:
    """Return the size of a change in either direction, with its two-sided p-value."""
    return Drop(abs(change.now - change.before), change.standard_error, _two_sided(change))


def _two_sided(change: Change) -> float:
    return max(min(1.0, 2 * float(norm.sf(abs(change.z())))), FLOOR)


def mcnemar(worse: int, better: int, *, two_sided: bool = False) -> float:
    """Return the exact p-value of McNemar's test (1947): rows that got worse against those that got better.

    >>> mcnemar(0, 0)
    1.0
    >>> round(mcnemar(10, 0), 6)
    0.000977
    """
    changed = worse + better
    if changed == 0:
        return 1.0
    alternative = "two-sided" if two_sided else "greater"
    return max(float(binomtest(worse, changed, 0.5, alternative=alternative).pvalue), FLOOR)


def flips(before: NDArray[np.bool_], now: NDArray[np.bool_]) -> tuple[int, int]:
    """Count the rows that were so and are no longer, and those that have become so."""
    return int(np.sum(before & ~now)), int(np.sum(~before & now))


def flip_error(lost: int, won: int, rows: int) -> float:
    """Return the standard error of the difference of two paired shares."""
    return math.sqrt(max(lost + won - (lost - won) ** 2 / rows, 0.0)) / rows


def holm(p_values: Mapping[str, float], alpha: float) -> dict[str, float]:
    """Return the level at which each hypothesis is tested by Holm's step-down procedure (1979): name -> level.

    A hypothesis is rejected when its p-value is at most its level and all with smaller p-values were rejected; those
    behind the first that is kept get a level of 0.

    >>> holm({"a": 0.001, "b": 0.03, "c": 0.5}, 0.05)
    {'a': 0.016666666666666666, 'b': 0.0, 'c': 0.0}
    """
    ordered = sorted(p_values, key=lambda name: p_values[name])
    levels: dict[str, float] = {}
    rejecting = True
    for place, name in enumerate(ordered):
        level = alpha / (len(ordered) - place)
        rejecting = rejecting and p_values[name] <= level
        levels[name] = level if rejecting else 0.0
    return {name: levels[name] for name in p_values}
