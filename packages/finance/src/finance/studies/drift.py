"""Drift: the population stability index (PSI) of columns and scores between sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.coercion import to_categories, to_numbers
from core.evaluation.bootstrap import estimate
from core.evaluation.study import Gate, StudyResult

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext

BINS = 10
LARGE, MODERATE = 0.25, 0.1
"""The usual bounds of a large and of a moderate shift (Siddiqi 2006, chapter 9)."""
FLOOR = 1e-4
"""Frequency of an empty bin, so that the index is finite."""

Array = NDArray[np.float64]


def population_stability_index(before: Array, after: Array) -> float:
    """Return the PSI of numbers, in ``BINS`` quantile bins of ``before``; NaN is a bin.

    sum over bins of (q - p) ln(q / p), p and q the bins' frequencies before and after. 0 for equal distributions.
    """
    known = before[~np.isnan(before)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.zeros(0)

    def frequencies(values: Array) -> Array:
        codes = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="left"))
        return np.bincount(codes.astype(np.int64), minlength=len(edges) + 2) / max(len(values), 1)

    return _index(frequencies(before), frequencies(after))


def categorical_stability_index(before: NDArray[np.object_], after: NDArray[np.object_]) -> float:
    """Return the PSI of categories."""
    codes, _ = pd.factorize(np.concatenate([before, after]), use_na_sentinel=False)
    size = int(codes.max()) + 1
    p = np.bincount(codes[: len(before)], minlength=size) / len(before)
    q = np.bincount(codes[len(before) :], minlength=size) / len(after)
    return _index(p, q)


def _index(p: Array, q: Array) -> float:
    p, q = np.maximum(p, FLOOR), np.maximum(q, FLOOR)
    return float(((q - p) * np.log(q / p)).sum())


def drift(context: EvaluationContext) -> StudyResult:
    """Compare columns and scores of the test set with those of earlier sets."""
    earlier = "train" if "train" in context.frames else "validation"
    before, after, roles = context.frames[earlier], context.frames["test"], context.dataset.roles
    index = {
        c: population_stability_index(to_numbers(before[c], c), to_numbers(after[c], c))
        for c in roles.numeric
    }
    index |= {
        c: categorical_stability_index(to_categories(before[c]), to_categories(after[c]))
        for c in roles.categorical
    }
    psi_score = population_stability_index(
        context.parts["validation"].scores[:, 1], context.parts["test"].scores[:, 1]
    )
    largest = max(index, key=lambda c: index[c]) if index else ""
    rates = {name: float((part.targets == 1).mean()) for name, part in context.parts.items()}
    rows = [
        {
            "column": c,
            "PSI": value,
            "shift": "large" if value >= LARGE else "moderate" if value >= MODERATE else "small",
        }
        for c, value in sorted(index.items(), key=lambda pair: -pair[1])
    ]
    metrics = {
        "psi_score": estimate(psi_score),
        "psi_largest_column": estimate(index.get(largest)),
        "event_rate_validation": estimate(rates["validation"]),
        "event_rate_test": estimate(rates["test"]),
    }
    return StudyResult(
        f"The population stability index of the scores from validation to test is {psi_score:.3f}; the largest of a "
        f"column from {earlier} to test is that of {largest} ({index.get(largest, 0.0):.3f}).",
        metrics,
        {f"Population stability index from {earlier} to test": rows[:20]},
        [
            Gate(
                "PSI of the scores",
                psi_score,
                f"< {LARGE}",
                psi_score < LARGE,
                "no large shift of the scores",
            )
        ],
        [f"{BINS} quantile bins of the earlier set; the frequency of an empty bin is {FLOOR:g}."],
    )
