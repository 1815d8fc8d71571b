"""Metrics of automated scoring beside human raters, computed from grades alone.

Sources: Williamson, Xi and Breyer 2012 (Educational Measurement: Issues and Practice 31:2) for the criteria; the
RSMTool documentation (Madnani and Loukina) for the definitions of SMD and DSM; Haberman 2008 and Loukina, Madnani,
Cahill et al. 2020 (BEA workshop) for PRMSE with any number of ratings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.targets.metrics import adjacent_agreement, quadratic_kappa

if TYPE_CHECKING:
    from core.targets.types import Metric, Predictions

Array = NDArray[np.float64]
NAN = float("nan")


@dataclass(frozen=True)
class Grades:
    """Grades of held-out rows on one numeric scale, each (N,)."""

    raw: Array
    """The machine's expected grade, before rounding."""
    rounded: Array
    """The predicted grade."""
    human: Array
    """The human grade."""


def scale_of(classes: Sequence[str], order: Sequence[str]) -> Array | None:
    """Return each class's number: its own where all are numbers, else its rank in the order; None where unknown."""
    try:
        return np.array([float(c) for c in classes])
    except ValueError:
        if set(classes) <= set(order):
            return np.array([float(list(order).index(c)) for c in classes])
        return None


def grades_of(p: Predictions, order: Sequence[str]) -> Grades | None:
    """Return predictions as grades; None where the classes have no order."""
    numbers = p.type.residuals(p)
    if numbers is not None:
        raw, human = numbers
        return Grades(raw, np.rint(raw), human)
    if not p.type.has_row_class:
        return None
    scale = scale_of(p.classes, order)
    if scale is None:
        return None
    return Grades(p.scores @ scale, scale[p.labels.astype(np.int64)], scale[p.targets.astype(np.int64)])


def smd(machine: Array, human: Array) -> float:
    """Return the standardized mean difference, unpooled: (mean machine - mean human) / sd human.

    As RSMTool defines it, deviations with N - 1.
    """
    spread = float(np.std(human, ddof=1)) if len(human) > 1 else 0.0
    return float(np.mean(machine) - np.mean(human)) / spread if spread else NAN


def dsm(machine: Array, human: Array, group: NDArray[np.bool_]) -> float:
    """Return the difference of standardized means of a group: mean z machine - mean z human.

    Each z is over the whole population.
    RSMTool's fairness statistic since version 8; deviations with N - 1.
    """
    if not group.any() or len(human) < 2:
        return NAN
    spread_m, spread_h = float(np.std(machine, ddof=1)), float(np.std(human, ddof=1))
    if not spread_m or not spread_h:
        return NAN
    z_machine = (machine[group] - np.mean(machine)) / spread_m
    z_human = (human[group] - np.mean(human)) / spread_h
    return float(np.mean(z_machine) - np.mean(z_human))


def prmse(machine: Array, ratings: Array) -> float:
    """Return the proportional reduction of mean squared error in predicting the true score.

    Ratings are (N, R), NaN where there is none.

    With c_i ratings of row i of mean m_i and variance s_i^2: error variance V_e = sum (c_i - 1) s_i^2 / sum (c_i - 1);
    true variance V_T = (sum c_i (m_i - m)^2 - (N - 1) V_e) / (C - sum c_i^2 / C), C = sum c_i, m the mean of all
    ratings; error MSE = (sum c_i (m_i - machine_i)^2 - N V_e) / C; PRMSE = 1 - MSE / V_T. NaN unless some row
    has two ratings. Source: Loukina et al. 2020, after Haberman 2008.
    """
    count = (~np.isnan(ratings)).sum(axis=1)
    kept = count > 0
    ratings, machine, count = ratings[kept], machine[kept], count[kept]
    if not (count > 1).any():
        return NAN
    mean = np.nansum(ratings, axis=1) / count
    squares = np.nansum((ratings - mean[:, None]) ** 2, axis=1)
    error = float(squares.sum() / (count - 1).sum())
    whole = float(count.sum())
    overall = float(np.nansum(ratings) / whole)
    between = float((count * (mean - overall) ** 2).sum())
    true = (between - (len(mean) - 1) * error) / (whole - float((count**2).sum()) / whole)
    off = (float((count * (mean - machine) ** 2).sum()) - len(mean) * error) / whole
    return 1.0 - off / true if true > 0 else NAN


def metrics(kind: str, order: Sequence[str]) -> dict[str, Metric]:
    """Return the metrics of agreement that a target of this kind does not have itself."""

    def of_grades(agreement: Callable[[Array, Array], float]) -> Metric:
        def metric(p: Predictions) -> float:
            grades = grades_of(p, order)
            return NAN if grades is None else agreement(grades.rounded, grades.human)

        return metric

    lacking = {"qwk": of_grades(quadratic_kappa), "adjacent": of_grades(adjacent_agreement)}
    return {"multiclass": lacking, "regression": lacking}.get(kind, {})
