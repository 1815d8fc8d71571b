"""Faithfulness: does masking the features that an explanation ranks first change the output more than masking others?

Deletion and insertion curves (Petsiuk, Das and Saenko 2018, arXiv:1806.07421), with random orders beside them
(Samek et al. 2017, doi:10.1109/TNNLS.2016.2599820): features are masked (or restored) most supportive first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.explanation.explained_output import ExplainedOutput
    from core.explanation.masker import Masker
    from core.targets.scorer import Scorer
    from core.targets.types import Array

FRACTIONS = (0.15, 0.5)
"""Fractions of the features masked where the curves are evaluated, and their complements: so one random order serves
both directions."""


@dataclass(frozen=True)
class Faithfulness:
    """Areas under the curves of each row, in the explained output. N rows; NaN for rows of fewer than two features."""

    full_effect: Array
    """(N,) absolute change of the output between the row and all its features masked."""
    deletion: Array
    """(N,) mean change along the curve when the most supportive features are masked first."""
    insertion: Array
    """(N,) mean change along the curve when the most supportive features are restored first."""
    random: Array
    """(N,) mean change along the curve in random orders: the same whether features are masked or restored."""

    def gains(self) -> Array:
        """Compute how much more than random orders the explanation's order changes, (N,); mean of both directions."""
        return 0.5 * (self.deletion_gain() + self.insertion_gain())

    def deletion_gain(self) -> Array:
        """Compute deletion above random, (N,)."""
        return self.deletion - self.random

    def insertion_gain(self) -> Array:
        """Compute insertion above random, (N,): a random order restored is a random order masked, backwards."""
        return self.insertion - (self.full_effect - self.random)


def num_forward_passes(random_orders: int) -> int:
    """Return the forward passes a row that ``faithfulness`` costs, at most."""
    return (2 + random_orders) * (2 * len(FRACTIONS) - 1)


def faithfulness(
    scorer: Scorer,
    masker: Masker,
    explained: ExplainedOutput,
    effects: Array,
    full: Array,
    empty: Array,
    random_orders: int,
    generator: np.random.Generator,
) -> Faithfulness:
    """Compute the curves of effects (N, P), with ``random_orders`` random orders a row beside them.

    ``full`` and ``empty`` (N,): the output of the row as it is and with all features masked. A masked column takes one
    of its references, another in each variant. Costs ``num_forward_passes(random_orders)`` a row.
    """
    present = masker.present()
    sign = np.where(full >= empty, 1.0, -1.0)
    curves = []
    for row in range(len(masker)):
        features = np.flatnonzero(present[row])
        if len(features) > 1:
            curves += _curves(row, features, sign[row] * effects[row, features], random_orders, generator)
    rows = np.array([curve.row for curve in curves for _ in curve.hidden], np.int64)
    hidden = np.zeros((len(rows), masker.num_features), bool)
    for m, lost in enumerate(lost for curve in curves for lost in curve.hidden):
        hidden[m, lost] = True
    reference = generator.integers(masker.num_references, size=len(rows))
    values = explained.evaluate(scorer, masker, rows, hidden, reference)
    areas: dict[str, Array] = {
        kind: np.full((len(masker), count), np.nan)
        for kind, count in (("deletion", 1), ("insertion", 1), ("random", random_orders))
    }
    place = 0
    for curve in curves:
        own = values[place : place + len(curve.hidden)]
        place += len(curve.hidden)
        ends = (empty, full) if curve.kind == "insertion" else (full, empty)
        points = np.concatenate([ends[0][[curve.row]], own, ends[1][[curve.row]]])
        towards = sign[curve.row] * (
            1.0 if curve.kind == "insertion" else -1.0
        )  # deletion counts what is lost
        areas[curve.kind][curve.row, curve.order] = np.trapezoid(towards * (points - points[0]), curve.at)
    usable = ~np.isnan(areas["deletion"][:, 0])
    random = np.full(len(masker), np.nan)
    random[usable] = areas["random"][usable].mean(axis=1)
    full_effect = np.where(usable, np.abs(full - empty), np.nan)
    return Faithfulness(full_effect, areas["deletion"][:, 0], areas["insertion"][:, 0], random)


@dataclass(frozen=True)
class _Curve:
    """One curve of one row: which features are masked at each point, and where the points lie between 0 and 1."""

    row: int
    kind: str
    order: int
    hidden: list[NDArray[np.int64]]
    at: Array


def _curves(
    row: int,
    features: NDArray[np.int64],
    support: Array,
    random_orders: int,
    generator: np.random.Generator,
) -> list[_Curve]:
    n = len(features)
    some = {max(round(n * fraction), 1) for fraction in FRACTIONS}
    counts = sorted(some | {n - k for k in some})
    at = np.array([0, *counts, n]) / n
    best = features[np.argsort(-support, kind="stable")]
    curves = [
        _Curve(row, "deletion", 0, [best[:k] for k in counts], at),
        _Curve(row, "insertion", 0, [best[k:] for k in counts], at),
    ]
    for order in range(random_orders):
        mixed = generator.permutation(features)
        curves.append(_Curve(row, "random", order, [mixed[:k] for k in counts], at))
    return curves
