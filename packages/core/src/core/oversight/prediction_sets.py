"""Sets of answers and intervals: how ill an answer fits a row's scores, and which answers fit well enough.

Nonconformity is a number for each (row, answer), larger where the answer fits worse. A limit on it, chosen on
validation by ``core.evaluation.conformal``, makes a set; larger limits make larger sets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.targets.types import Array, Labels

Sets = NDArray[np.bool_]
"""(N, K): which classes are in each row's set."""


def nonconformity(method: str, scores: Array) -> Array:
    """Give each class's nonconformity (N, K) from probabilities (N, K).

    ``lac``: one less its probability (Sadinle, Lei and Wasserman 2019). ``aps``: the probability of the classes at
    least as likely, itself included (Romano, Sesia and Candès 2020, without their random part: sets are served and
    must not change from call to call). ``contiguous``: the probability of the run of neighbouring classes, grown
    from the likeliest towards the likelier side, at which the class joins (Lu, Angelopoulos and Pomerantz 2022).
    """
    if method == "lac":
        return 1.0 - scores
    if method == "aps":
        order = np.argsort(-scores, axis=1, kind="stable")
        mass = np.cumsum(np.take_along_axis(scores, order, axis=1), axis=1)
        found = np.empty_like(scores)
        np.put_along_axis(found, order, mass, axis=1)
        return found
    assert method == "contiguous", method
    return _grown(scores)


def _grown(scores: Array) -> Array:
    n, k = scores.shape
    row = np.arange(n)
    low = scores.argmax(axis=1)
    high = low.copy()
    mass = scores[row, low]
    found = np.empty_like(scores)
    found[row, low] = mass
    edged = np.pad(scores, ((0, 0), (1, 1)), constant_values=-1.0)  # beyond both ends nothing can join
    for _ in range(k - 1):
        below, above = edged[row, low], edged[row, high + 2]
        down = below > above
        low, high = np.where(down, low - 1, low), np.where(down, high, high + 1)
        joined = np.where(down, low, high)
        mass = mass + scores[row, joined]
        found[row, joined] = mass
    return found


def prediction_sets(method: str, scores: Array, limits: Array, empty: bool = False) -> Sets:
    """Put each row's fitting classes into its set, (N, K); ``limits`` (N or 1, K or 1).

    Unless sets may be ``empty`` (of labels of which none need apply), the likeliest class is always in them: an empty
    set would say nothing, and a larger one misses less.
    """
    inside = nonconformity(method, scores) <= limits
    if empty:
        return inside
    inside[np.arange(len(scores)), scores.argmax(axis=1)] = True
    if method == "contiguous":  # limits that differ by class can leave gaps
        after, before = np.cumsum(inside, axis=1) > 0, np.cumsum(inside[:, ::-1], axis=1)[:, ::-1] > 0
        inside = after & before
    return inside


@dataclass(frozen=True)
class ResidualScale:
    """How far numbers of each size tend to be off, in steps over the predicted number."""

    edges: tuple[float, ...] = ()
    """Inner edges on the scale that was learnt."""
    sizes: tuple[float, ...] = (1.0,)
    """Mean absolute error between the edges, on that scale; one more than edges."""

    def of(self, found: Array) -> Array:
        """Give the tendency (N,) of predicted numbers (N,) on the scale that was learnt."""
        return np.asarray(self.sizes)[np.searchsorted(np.asarray(self.edges), found, side="right")]


def link(values: Array, log: bool) -> Array:
    """Bring numbers onto the scale that was learnt."""
    return np.log1p(np.maximum(values, 0.0)) if log else np.asarray(values, np.float64)


def prediction_interval(found: Array, limit: Array, spread: ResidualScale, log: bool) -> tuple[Array, Array]:
    """Give the ends (N,) of the intervals around predicted numbers (N,), in their own units."""
    middle = link(found, log)
    half = limit * spread.of(middle)
    low, high = middle - half, middle + half
    return (np.maximum(np.expm1(low), 0.0), np.expm1(high)) if log else (low, high)


def confidence(kind: str, scores: Array, labels: Labels, classes: int) -> Array:
    """Give the probability (N,) that a row's given answer is right, as the recalibrated scores have it.

    binary, multiclass, ordinal: the probability of the class that was given, which thresholds may have made another
    than the likeliest. multilabel: that all labels are right, if they err independently. tokens: of the intent times
    that of the row of slots.
    """
    row = np.arange(len(scores))
    if kind == "multilabel":
        return np.asarray(np.where(labels > 0, scores, 1.0 - scores).prod(axis=1))
    if kind == "tokens":
        return np.asarray(scores[row, labels[:, 0]] * scores[:, classes])
    return np.asarray(scores[row, labels.astype(np.int64)])
