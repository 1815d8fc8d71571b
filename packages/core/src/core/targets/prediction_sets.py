"""Prediction sets and intervals: nonconformity scores, and the sets and intervals that a quantile of them makes.

Nonconformity is a number for each (row, label), larger where the label fits the row's scores worse. A quantile of it,
chosen on validation by ``core.evaluation.conformal``, makes a set; larger quantiles make larger sets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Sets = NDArray[np.bool_]
"""(N, K): which classes are in each row's set."""


def nonconformity(method: str, scores: Array) -> Array:
    """Compute each class's nonconformity (N, K) from probabilities (N, K).

    ``lac``: one minus its probability (Sadinle, Lei and Wasserman 2019). ``aps``: the probability of the classes at
    least as likely, itself included (Romano, Sesia and Candès 2020, without their random term: sets are served and
    must not change from call to call). ``contiguous``: the probability of the run of neighboring classes, grown
    from the likeliest towards the likelier side, at which the class joins (Lu, Angelopoulos and Pomerantz 2022).

    >>> nonconformity("aps", np.array([[0.5, 0.2, 0.3]]))
    array([[0.5, 1. , 0.8]])
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
    """Return each row's set, (N, K): the classes with a nonconformity of at most ``limits`` (N or 1, K or 1).

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
    """Mean absolute residual by predicted value: a step function, for normalized conformal intervals."""

    edges: tuple[float, ...] = ()
    """Inner edges on the learnt scale."""
    sizes: tuple[float, ...] = (1.0,)
    """Mean absolute error between the edges, on that scale; one more than edges."""

    def of(self, values: Array) -> Array:
        """Return the scale (N,) at predicted values (N,) on the learnt scale."""
        return np.asarray(self.sizes)[np.searchsorted(np.asarray(self.edges), values, side="right")]


def link(values: Array, log: bool) -> Array:
    """Return values on the learnt scale: log(1 + value), or as they are."""
    return np.log1p(np.maximum(values, 0.0)) if log else np.asarray(values, np.float64)


def prediction_interval(values: Array, limit: Array, scale: ResidualScale, log: bool) -> tuple[Array, Array]:
    """Return the ends (N,) of the intervals around predicted values (N,), in their own units."""
    middle = link(values, log)
    half = limit * scale.of(middle)
    low, high = middle - half, middle + half
    return (np.maximum(np.expm1(low), 0.0), np.expm1(high)) if log else (low, high)


@dataclass(frozen=True)
class ConformalRule:
    """How nonconformity is computed."""

    method: str = "none"
    """See ``core.oversight.config.METHODS``; none: no sets."""
    scale: ResidualScale = field(default_factory=ResidualScale)
    """Of numbers, with the method normalized."""
    log: bool = False
    """Numbers were learnt on a logarithmic scale."""


@dataclass(frozen=True)
class CalibrationScores:
    """Nonconformity of the ground truth, label by label: J labels of N rows."""

    score: Array
    """(J,) nonconformity of the true label."""
    row: NDArray[np.int64]
    """(J,) the row it belongs to."""
    code: NDArray[np.int64]
    """(J,) the true class; 0 for numbers."""
    joined: Flags
    """(J,) in the set whatever the quantile, as the likeliest class is."""
    rows: int

    def take(self, chosen: Flags) -> CalibrationScores:
        """Return the labels of some rows (N,), numbering those rows anew."""
        number = np.cumsum(chosen) - 1
        kept = chosen[self.row]
        return CalibrationScores(
            self.score[kept],
            number[self.row[kept]],
            self.code[kept],
            self.joined[kept],
            int(chosen.sum()),
        )


class Region(ABC):
    """What predictions of N rows can't exclude."""

    @abstractmethod
    def covers(self, truth: CalibrationScores, within: Flags) -> Flags:
        """Return which true labels (J,) are inside; ``within``: those whose score is at most the quantile."""

    @abstractmethod
    def size(self) -> Array:
        """Return how large each row's set or interval is, (N,)."""

    @abstractmethod
    def single(self) -> Array | None:
        """Return 1 for each row with one class left, (N,), else 0; None where nothing is counted."""

    @abstractmethod
    def columns(self, classes: Sequence[str]) -> dict[str, Sequence[Any] | Array]:
        """Return the columns that ``predict`` gives."""


@dataclass(frozen=True)
class SetRegion(Region):
    """A set of classes a row."""

    inside: Sets

    def covers(self, truth: CalibrationScores, within: Flags) -> Flags:
        """Return which true classes are in their row's set."""
        return self.inside[truth.row, truth.code]

    def size(self) -> Array:
        """Count the classes of each set."""
        return np.asarray(self.inside.sum(axis=1), np.float64)

    def single(self) -> Array:
        """Return 1 for sets of one class."""
        return np.asarray(self.size() == 1, np.float64)

    def columns(self, classes: Sequence[str]) -> dict[str, Sequence[Any] | Array]:
        """Return ``set``: the classes that can't be excluded, ``a;b``."""
        rows = (zip(classes, row, strict=True) for row in self.inside)
        return {"set": [";".join(name for name, has in row if has) for row in rows]}


@dataclass(frozen=True)
class IntervalRegion(Region):
    """An interval of values a row."""

    low: Array
    high: Array

    def covers(self, truth: CalibrationScores, within: Flags) -> Flags:
        """Return which true values are in their row's interval."""
        return within

    def size(self) -> Array:
        """Return the widths."""
        return self.high - self.low

    def single(self) -> None:
        """Return None: an interval holds no classes."""
        return

    def columns(self, classes: Sequence[str]) -> dict[str, Sequence[Any] | Array]:
        """Return ``low`` and ``high``."""
        return {"low": self.low, "high": self.high}


@dataclass(frozen=True)
class PixelRegion(Region):
    """A set of classes for each place of each row's map."""

    sizes: tuple[NDArray[np.int64], ...]
    """Of each row, (places,) classes that can't be excluded there; at least one."""

    @classmethod
    def of(cls, probabilities: Sequence[Array], limits: Array) -> PixelRegion:
        """Return the sets of probabilities (K, places), one array a row, below ``limits`` (N or 1, K or 1)."""
        own = np.broadcast_to(limits, (len(probabilities), limits.shape[1]))
        return cls(
            tuple(
                np.maximum((1.0 - each <= limit[:, None]).sum(axis=0), 1)
                for each, limit in zip(probabilities, own, strict=True)
            )
        )

    def covers(self, truth: CalibrationScores, within: Flags) -> Flags:
        """Return which true classes are in their place's set: the likeliest always is."""
        return within | truth.joined

    def size(self) -> Array:
        """Return the mean number of classes over a row's places."""
        return np.array([each.mean() for each in self.sizes])

    def single(self) -> Array:
        """Return the share of a row's places with one class left."""
        return np.array([(each == 1).mean() for each in self.sizes])

    def columns(self, classes: Sequence[str]) -> dict[str, Sequence[Any] | Array]:
        """Return ``doubtful``: the share of places where several classes can't be excluded."""
        return {"doubtful": 1.0 - self.single()}
