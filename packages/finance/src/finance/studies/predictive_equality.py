"""Predictive equality: the difference of false positive rates between groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.config.section import Estimate
from core.evaluation.bootstrap import ratio_estimate, weighted_estimate
from core.evaluation.study import Gate, StudyResult
from core.targets.bootstrap_metrics import ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.evaluation.study import EvaluationContext


def predictive_equality(context: EvaluationContext, max_difference: float) -> StudyResult:
    """Compare false positive rates of groups on the test set, with intervals and a gate for the largest difference.

    Source: predictive equality (Corbett-Davies et al. 2017, KDD). Groups with fewer negatives than the run's
    minimum are not compared.
    """
    part = context.parts["test"]
    negative, flagged = part.targets == 0, part.labels == 1
    metrics: dict[str, Estimate] = {}
    tables: dict[str, list[dict[str, Any]]] = {}
    gates: list[Gate] = []
    notes: list[str] = []
    for attribute, names in part.groups.items():
        shown = [
            g for g in np.unique(names) if int((negative & (names == g)).sum()) >= context.min_group_rows
        ]
        small = [str(g) for g in np.unique(names) if g not in shown]
        if small:
            notes.append(
                f"{attribute}: {', '.join(small)} have fewer than {context.min_group_rows} negatives."
            )
        rows = []
        for group in shown:
            inside = (names == group) & negative
            rate = ratio_estimate(context, (inside & flagged).astype(float), inside.astype(float), part.units)
            positive = (names == group) & ~negative
            recall = ratio_estimate(
                context, (positive & flagged).astype(float), positive.astype(float), part.units
            )
            rows.append(
                {
                    "group": str(group), "negatives": int(inside.sum()), "false positive rate": rate.value,
                    "low": rate.low, "high": rate.high, "true positive rate": recall.value,
                }
            )  # fmt: skip
        tables[f"False positive rate by {attribute}"] = rows
        if len(shown) < 2:
            continue
        insides = np.stack([(names == g) & negative for g in shown], axis=1).astype(float)
        false_positives = insides * flagged[:, None]

        def difference(
            weights_RN: NDArray[np.float64],
            false_positives: NDArray[np.float64] = false_positives,
            insides: NDArray[np.float64] = insides,
        ) -> NDArray[np.float64]:
            rates = ratio(weights_RN @ false_positives, weights_RN @ insides)
            return np.asarray(rates.max(axis=1) - rates.min(axis=1))

        found = weighted_estimate(context, difference, len(part), part.units)
        metrics[f"fpr_difference_{attribute}"] = found
        value = found.value
        gates.append(
            Gate(
                f"predictive equality by {attribute}",
                value,
                f"<= {max_difference:g}",
                value is not None and value <= max_difference,
                "largest difference of false positive rates between groups",
            )
        )
    if not part.groups:
        return StudyResult(
            "No sensitive attributes (data.sensitive), so false positive rates of groups can't be compared."
        )
    worst = max(metrics, key=lambda name: metrics[name].value or 0.0) if metrics else None
    summary = (
        "No two groups are large enough to be compared."
        if worst is None
        else f"The largest difference of false positive rates is {metrics[worst].value:.3f}, by "
        f"{worst.removeprefix('fpr_difference_')}."
    )
    return StudyResult(summary, metrics, tables, gates, notes)
