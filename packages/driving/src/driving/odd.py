"""The operational design domain that is declared for a task, and how many test rows lie inside it."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.coercion import to_numbers
from core.evaluation.perturbation import headline
from core.evaluation.study import StudyResult, Study

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext
    from core.targets.types import Predictions


def declaration(task: str) -> dict[str, Any]:
    """Read the dated declaration of a task."""
    content: dict[str, Any] = json.loads(
        (files("driving") / "odd" / f"{task}.json").read_text(encoding="utf-8")
    )
    return content


def declared_domain(task: str) -> Study:
    """Make the study: each declared limit with the test rows inside and outside it, and the triggering conditions."""

    def study(held: EvaluationContext) -> StudyResult:
        return _measured(held, declaration(task))

    return study


def _measured(held: EvaluationContext, declared: dict[str, Any]) -> StudyResult:
    frame, part = held.frames["test"], held.parts["test"]
    inside = np.ones(len(part), bool)
    table, measured = [], 0
    figure = headline(held.target.kind)
    name = figure.name
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
            measured += 1
        row["test rows inside"] = None if within is None else float(within.mean())
        row[f"{figure.words} inside"] = None if within is None else _figure(held, part, within)
        row[f"{figure.words} outside"] = None if within is None else _figure(held, part, ~within)
        table.append(row)
    share = float(inside.mean()) if measured else None
    told = f"{100 * share:.0f} % of the test rows lie" if share is not None else "none can be told to lie"
    return StudyResult(
        f"Declared {declared['declared']}: {told} inside the {measured} of {len(table)} limits that can be checked.",
        {
            "share_inside": {"value": share, "low": None, "high": None},
            f"{name}_inside": {
                "value": _figure(held, part, inside) if measured else None,
                "low": None,
                "high": None,
            },
        },
        {"Operational design domain": table, "Triggering conditions": declared["triggering_conditions"]},
        notes=[declared["terms"], f"To be reviewed {declared['review']}."],
    )


def _figure(held: EvaluationContext, part: Predictions, rows: np.ndarray) -> float | None:
    if rows.sum() < held.minimum_group:
        return None
    figure = headline(held.target.kind)
    members = part.take(np.flatnonzero(rows))
    value = figure.combine(figure.columns(members).sum(axis=0, keepdims=True)).item()
    return float(value) if np.isfinite(value) else None
