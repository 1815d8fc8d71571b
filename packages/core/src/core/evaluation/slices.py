"""Slices: where the model is weaker than on the rest of the test set."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from core.evaluation.bootstrap import estimate
from core.evaluation.perturbation import bootstrap_weights, confidence_interval
from core.evaluation.study import Study, StudyResult

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext
    from core.targets.types import Predictions


def slices(others: dict[str, Callable[[Predictions], float]]) -> Study:
    """Return the study: headline metric of each group against all other rows, with paired intervals.

    ``others`` are further metrics, shown for each slice without an interval.
    """

    def study(context: EvaluationContext) -> StudyResult:
        return _measured(context, others)

    return study


def _measured(context: EvaluationContext, others: dict[str, Callable[[Predictions], float]]) -> StudyResult:
    metric = context.target.headline_metric()
    part = context.parts["test"]
    columns_NC, weights_RN = metric.columns(part), bootstrap_weights(context, part)
    ones = np.ones((1, len(part)))
    table: list[dict[str, Any]] = []
    for attribute, names in part.groups.items():
        for name in sorted(set(names.tolist())):
            inside = names == name
            if inside.sum() < context.min_group_rows or (~inside).sum() < context.min_group_rows:
                continue
            apart = []
            for weights in (ones, weights_RN):
                own, rest = (metric.combine((weights * side) @ columns_NC) for side in (inside, ~inside))
                apart.append((own, own - rest))
            gap = confidence_interval(context, apart[0][1], apart[1][1])
            members = part.take(np.flatnonzero(inside))
            table.append(
                {
                    "slice": f"{attribute}: {name}",
                    "rows": int(inside.sum()),
                    metric.name: apart[0][0].item(),
                    "less than the rest by": -apart[0][1].item(),
                    "low": None if gap.high is None else -gap.high,
                    "high": None if gap.low is None else -gap.low,
                    **{other: _known(compute(members)) for other, compute in others.items()},
                }
            )
    table.sort(key=lambda row: -row["less than the rest by"])
    weak = [row for row in table if row["low"] is not None and row["low"] > 0]
    if not table:
        summary = "No slice has enough rows to be shown."
    elif weak:
        summary = (
            f"{len(weak)} of {len(table)} slices are weaker than the rest; most {weak[0]['slice']}, "
            f"{metric.words} {weak[0][metric.name]:.3f}."
        )
    else:
        summary = f"None of {len(table)} slices is clearly weaker than the rest."
    return StudyResult(
        summary,
        {"slices_weaker_than_the_rest": estimate(len(weak))},
        {f"Slices by {metric.words}, weakest first": table},
        notes=[
            f"A slice counts as weaker where the {100 * context.confidence:.4g} % interval of its gap leaves out zero; "
            "intervals are not widened for the number of slices. Slices of fewer than "
            f"{context.min_group_rows} rows are not shown."
        ],
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
