"""Conformal prediction sets and intervals: nonconformity scores, and what lies within a quantile of them.

The nonconformity of a (row, class) is larger where the class fits the row's scores worse. A quantile of it over the
validation set, computed by ``core.evaluation.conformal``, makes a set; larger quantiles make larger sets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.targets.types import Array, Labels

Sets = NDArray[np.bool_]
"""(N, K): which classes are in each row's set."""


def nonconformity(method: str, scores: Array) -> Array:
    """Return each class's nonconformity (N, K) from probabilities (N, K).

    ``lac``: one less its probability (Sadinle, Lei and Wasserman 2019). ``aps``: the probability of the classes at
    least as likely, itself included (Romano, Sesia and Candès 2020, without randomization: sets are served and must
    not change from call to call). ``contiguous``: the probability of the run of neighbouring classes, grown from the
    likeliest towards the likelier side, at which the class joins (Lu, Angelopoulos and Pomerantz 2022).

    >>> scores = np.array([[0.5, 0.3, 0.2]])
    >>> nonconformity("lac", scores).round(1).tolist(), nonconformity("aps", scores).round(1).tolist()
    ([[0.5, 0.7, 0.8]], [[0.5, 0.8, 1.0]])
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
    return _contiguous(scores)


def _contiguous(scores: Array) -> Array:
    n, k = scores.shape
    row = np.arange(n)
    low = scores.argmax(axis=1)
    high = low.copy()
    mass = scores[row, low]
    found = np.empty_like(scores)
    found[row, low] = mass
    padded = np.pad(scores, ((0, 0), (1, 1)), constant_values=-1.0)  # beyond both ends nothing can join
    for _ in range(k - 1):
        below, above = padded[row, low], padded[row, high + 2]
        down = below > above
        low, high = np.where(down, low - 1, low), np.where(down, high, high + 1)
        joined = np.where(down, low, high)
        mass = mass + scores[row, joined]
        found[row, joined] = mass
    return found


def prediction_sets(method: str, scores: Array, quantiles: Array, empty: bool = False) -> Sets:
    """Return each row's prediction set, (N, K): the classes within ``quantiles`` (N or 1, K or 1) of nonconformity.

    Unless sets may be ``empty`` (of labels of which none need apply), the likeliest class is always in them: an empty
    set would be uninformative, and a larger one misses less.

    >>> prediction_sets("lac", np.array([[0.5, 0.3, 0.2]]), np.array([[0.75]])).tolist()
    [[True, True, False]]
    """
    inside = nonconformity(method, scores) <= quantiles
    if empty:
        return inside
    inside[np.arange(len(scores)), scores.argmax(axis=1)] = True
    if method == "contiguous":  # quantiles that differ by class can leave gaps
        after, before = np.cumsum(inside, axis=1) > 0, np.cumsum(inside[:, ::-1], axis=1)[:, ::-1] > 0
        inside = after & before
    return inside


@dataclass(frozen=True)
class ResidualScale:
    """Mean absolute residual as a step function of the predicted value (method ``normalized``).

    >>> ResidualScale((10.0,), (1.0, 4.0)).of(np.array([3.0, 30.0])).tolist()
    [1.0, 4.0]
    """

    edges: tuple[float, ...] = ()
    """Inner edges on the linked scale."""
    sizes: tuple[float, ...] = (1.0,)
    """Mean absolute residual between the edges, on that scale; one more than edges."""

    def of(self, predicted: Array) -> Array:
        """Return the scale (N,) at predicted values (N,) on the linked scale."""
        return np.asarray(self.sizes)[np.searchsorted(np.asarray(self.edges), predicted, side="right")]


def link(values: Array, log: bool) -> Array:
    """Return values on the scale that the model was trained on: log1p where ``log``, else unchanged."""
    return np.log1p(np.maximum(values, 0.0)) if log else np.asarray(values, np.float64)


def prediction_interval(
    predicted: Array, quantile: Array, scale: ResidualScale, log: bool
) -> tuple[Array, Array]:
    """Return the ends (N,) of the intervals around predicted values (N,), in their own units."""
    middle = link(predicted, log)
    half = quantile * scale.of(middle)
    low, high = middle - half, middle + half
    return (np.maximum(np.expm1(low), 0.0), np.expm1(high)) if log else (low, high)


def confidence(kind: str, scores: Array, labels: Labels, classes: int) -> Array:
    """Return the probability (N,) that a row's predicted label is right, as the recalibrated scores have it.

    binary, multiclass, ordinal: the probability of the predicted class, which thresholds may have made another than
    the likeliest. multilabel: that all labels are right, if they err independently. tokens: of the intent times that
    of the row of slots.
    """
    row = np.arange(len(scores))
    if kind == "multilabel":
        return np.asarray(np.where(labels > 0, scores, 1.0 - scores).prod(axis=1))
    if kind == "tokens":
        return np.asarray(scores[row, labels[:, 0]] * scores[:, classes])
    return np.asarray(scores[row, labels.astype(np.int64)])
