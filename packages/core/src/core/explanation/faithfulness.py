"""Faithfulness: does removing the parts that an explanation names change the answer more than removing others?

Deletion and insertion curves (Petsiuk, Das and Saenko 2018, arXiv:1806.07421), with random orders beside them
(Samek et al. 2017, doi:10.1109/TNNLS.2016.2599820): parts are removed (or given back) most supportive first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.explanation.masker import Masker
    from core.explanation.explained_output import ExplainedOutput
    from core.targets.scorer import Scorer
    from core.targets.types import Array

SHARES = (0.15, 0.5)
"""Shares of the parts that are gone where the curves are measured, and their complements: so one random order serves
both directions."""


@dataclass(frozen=True)
class Faithfulness:
    """Areas under the curves of each row, in the number explained. N rows; NaN for rows of fewer than two parts."""

    whole: Array
    """(N,) how far the whole row takes the number from where it is with everything removed, never negative."""
    deletion: Array
    """(N,) mean change along the curve when the most supportive parts go first."""
    insertion: Array
    """(N,) mean change along the curve when the most supportive parts come first."""
    random: Array
    """(N,) mean change along the curve in random orders: what comes and goes at random changes alike."""

    def gains(self) -> Array:
        """Give how much more than random orders the explanation's order changes, (N,); mean of both directions."""
        return 0.5 * (self.deletion_gain() + self.insertion_gain())

    def deletion_gain(self) -> Array:
        """Give deletion above random, (N,)."""
        return self.deletion - self.random

    def insertion_gain(self) -> Array:
        """Give insertion above random, (N,): a random order given back is a random order removed, backwards."""
        return self.insertion - (self.whole - self.random)


def num_forward_passes(orders: int) -> int:
    """Count the forward passes a row that ``faithfulness`` costs, at most."""
    return (2 + orders) * (2 * len(SHARES) - 1)


def faithfulness(
    scorer: Scorer,
    cases: Masker,
    question: ExplainedOutput,
    effects: Array,
    whole: Array,
    empty: Array,
    orders: int,
    generator: np.random.Generator,
) -> Faithfulness:
    """Measure the curves of effects (N, P), ``orders`` random orders a row beside them.

    ``whole`` and ``empty`` (N,): the number of the row as it is and with all parts gone. A removed column takes one
    of its references, another in each variant. Costs ``passes(orders)`` a row.
    """
    exists = cases.exists()
    sign = np.where(whole >= empty, 1.0, -1.0)
    plans = []
    for row in range(len(cases)):
        parts = np.flatnonzero(exists[row])
        if len(parts) > 1:
            plans += _plans(row, parts, sign[row] * effects[row, parts], orders, generator)
    rows = np.array([plan.row for plan in plans for _ in plan.gone], np.int64)
    gone = np.zeros((len(rows), cases.count), bool)
    for m, lost in enumerate(lost for plan in plans for lost in plan.gone):
        gone[m, lost] = True
    reference = generator.integers(cases.alternatives, size=len(rows))
    numbers = question.ask(scorer, cases, rows, gone, reference)
    areas: dict[str, Array] = {
        kind: np.full((len(cases), count), np.nan)
        for kind, count in (("deletion", 1), ("insertion", 1), ("random", orders))
    }
    place = 0
    for plan in plans:
        some = numbers[place : place + len(plan.gone)]
        place += len(plan.gone)
        ends = (empty, whole) if plan.kind == "insertion" else (whole, empty)
        curve = np.concatenate([ends[0][[plan.row]], some, ends[1][[plan.row]]])
        towards = sign[plan.row] * (1.0 if plan.kind == "insertion" else -1.0)  # deletion counts what is lost
        areas[plan.kind][plan.row, plan.order] = np.trapezoid(towards * (curve - curve[0]), plan.at)
    usable = ~np.isnan(areas["deletion"][:, 0])
    random = np.full(len(cases), np.nan)
    random[usable] = areas["random"][usable].mean(axis=1)
    total = np.where(usable, np.abs(whole - empty), np.nan)
    return Faithfulness(total, areas["deletion"][:, 0], areas["insertion"][:, 0], random)


@dataclass(frozen=True)
class _Plan:
    """One curve of one row: which parts are gone at each point, and where the points lie between 0 and 1."""

    row: int
    kind: str
    order: int
    gone: list[NDArray[np.int64]]
    at: Array


def _plans(
    row: int,
    parts: NDArray[np.int64],
    support: Array,
    orders: int,
    generator: np.random.Generator,
) -> list[_Plan]:
    n = len(parts)
    some = {max(round(n * share), 1) for share in SHARES}
    counts = sorted(some | {n - k for k in some})
    at = np.array([0, *counts, n]) / n
    best = parts[np.argsort(-support, kind="stable")]
    plans = [
        _Plan(row, "deletion", 0, [best[:k] for k in counts], at),
        _Plan(row, "insertion", 0, [best[k:] for k in counts], at),
    ]
    for order in range(orders):
        mixed = generator.permutation(parts)
        plans.append(_Plan(row, "random", order, [mixed[:k] for k in counts], at))
    return plans
