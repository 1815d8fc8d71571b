"""The declared operational design domain (ODD) of a task, and how much of the test set lies inside it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.coercion import to_numbers
from core.evaluation.bootstrap import estimate
from core.evaluation.study import Study, StudyResult

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext
    from core.targets.types import Predictions


def declaration(task: str) -> dict[str, Any]:
    """Return the dated ODD declaration of a task."""
    content: dict[str, Any] = json.loads(
        (files("driving") / "odd_declarations" / f"{task}.json").read_text(encoding="utf-8")
    )
    return content


def odd_coverage(task: str) -> Study:
    """Return the study: each declared limit with the test rows inside and outside it, and the triggering conditions."""

    def study(context: EvaluationContext) -> StudyResult:
        return _coverage(context, declaration(task))

    return study


def _coverage(context: EvaluationContext, declared: dict[str, Any]) -> StudyResult:
    frame, part = context.frames["test"], context.parts["test"]
    inside = np.ones(len(part), bool)
    table, checked = [], 0
    metric = context.target.headline_metric()
    for limit in declared["domain"]:
        row: dict[str, Any] = {"attribute": limit["attribute"], "declared": limit["within"]}
        within = None
        if limit["column"] in frame:
            values = to_numbers(frame[limit["column"]], limit["column"])
            low, high = limit["low"], limit["high"]
            within = (values >= (-np.inf if low is None else low)) & (
                values <= (np.inf if high is None else high)
            )
            inside &= within
            checked += 1
        row["test rows inside"] = None if within is None else float(within.mean())
        row[f"{metric.words} inside"] = None if within is None else _value(context, part, within)
        row[f"{metric.words} outside"] = None if within is None else _value(context, part, ~within)
        table.append(row)
    fraction = float(inside.mean()) if checked else None
    covered = "no test row can be checked" if fraction is None else f"{fraction:.0%} of the test rows lie"
    return StudyResult(
        f"Declared {declared['declared']}: {covered} inside the {checked} of {len(table)} limits that can be checked.",
        {
            "fraction_inside": estimate(fraction),
            f"{metric.name}_inside": estimate(_value(context, part, inside) if checked else None),
        },
        {"Operational design domain": table, "Triggering conditions": declared["triggering_conditions"]},
        notes=[declared["terms"], f"Review: {declared['review']}."],
    )


def _value(context: EvaluationContext, part: Predictions, rows: np.ndarray) -> float | None:
    if rows.sum() < context.min_group_rows:
        return None
    metric = context.target.headline_metric()
    members = part.take(np.flatnonzero(rows))
    value = metric.combine(metric.columns(members).sum(axis=0, keepdims=True)).item()
    return float(value) if np.isfinite(value) else None
