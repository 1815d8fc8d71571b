"""Whether later rows look like earlier ones: the population stability index of columns and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.coercion import to_categories, to_numbers
from core.evaluation.study import Gate, StudyResult

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext

BINS = 10
BAR = 0.25
"""From here on a shift is called large; 0.1 is the usual bar for a moderate one (Siddiqi 2006, chapter 9)."""
FLOOR = 1e-4
"""Share of an empty bin, so that the index is finite."""

Array = NDArray[np.float64]


def population_stability_index(before: Array, after: Array) -> float:
    """Give the population stability index of numbers, in ``BINS`` bins of equal share of ``before``; NaN is a bin.

    sum over bins of (q - p) ln(q / p), p and q the bins' shares before and after. 0 where nothing has moved.
    """
    known = before[~np.isnan(before)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.zeros(0)

    def shares(values: Array) -> Array:
        codes = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="left"))
        return np.bincount(codes.astype(np.int64), minlength=len(edges) + 2) / max(len(values), 1)

    return _index(shares(before), shares(after))


def categorical_stability_index(before: NDArray[np.object_], after: NDArray[np.object_]) -> float:
    """Give the index of categories."""
    codes, _ = pd.factorize(np.concatenate([before, after]), use_na_sentinel=False)
    size = int(codes.max()) + 1
    p = np.bincount(codes[: len(before)], minlength=size) / len(before)
    q = np.bincount(codes[len(before) :], minlength=size) / len(after)
    return _index(p, q)


def _index(p: Array, q: Array) -> float:
    p, q = np.maximum(p, FLOOR), np.maximum(q, FLOOR)
    return float(((q - p) * np.log(q / p)).sum())


def drift(held: EvaluationContext) -> StudyResult:
    """Compare the test's columns and scores with earlier parts'."""
    earlier = "train" if "train" in held.frames else "validation"
    before, after, roles = held.frames[earlier], held.frames["test"], held.dataset.roles
    index = {
        c: population_stability_index(to_numbers(before[c], c), to_numbers(after[c], c))
        for c in roles.numeric
    }
    index |= {
        c: categorical_stability_index(to_categories(before[c]), to_categories(after[c]))
        for c in roles.categorical
    }
    score = population_stability_index(held.parts["validation"].scores[:, 1], held.parts["test"].scores[:, 1])
    most = max(index, key=lambda c: index[c]) if index else ""
    rates = {name: float((part.targets == 1).mean()) for name, part in held.parts.items()}
    rows = [
        {
            "column": c,
            "index": value,
            "shift": "large" if value >= BAR else "moderate" if value >= 0.1 else "small",
        }
        for c, value in sorted(index.items(), key=lambda pair: -pair[1])
    ]
    figures = {
        "score_stability": {"value": score, "low": None, "high": None},
        "largest_column_stability": {"value": index.get(most), "low": None, "high": None},
        "rate_validation": {"value": rates["validation"], "low": None, "high": None},
        "rate_test": {"value": rates["test"], "low": None, "high": None},
    }
    return StudyResult(
        f"The scores' population stability index from validation to test is {score:.3f}; of the columns, {most} moved "
        f"most from {earlier} to test ({index.get(most, 0.0):.3f}).",
        figures,
        {f"Population stability from {earlier} to test": rows[:20]},
        [
            Gate(
                "score stability", score, f"< {BAR}", score < BAR, "the scores' distribution has hardly moved"
            )
        ],
        [f"{BINS} bins of equal share in the earlier part; empty bins count as {FLOOR:g}."],
    )
