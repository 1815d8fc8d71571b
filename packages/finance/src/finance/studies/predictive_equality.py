"""Predictive equality: whether people of some groups are flagged without cause more often than others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from core.evaluation.study import Gate, StudyResult
from finance.studies.resampling import ratio_of_sums, resampled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.evaluation.study import EvaluationContext


def predictive_equality(held: EvaluationContext, bar: float) -> StudyResult:
    """Compare false positive rates between groups of the test part, with intervals, against the bar for the gap.

    Source: predictive equality (Corbett-Davies et al. 2017, KDD). Groups with fewer negatives than the run's
    minimum are left out.
    """
    part = held.parts["test"]
    negative, flagged = part.targets == 0, part.labels == 1
    figures: dict[str, dict[str, Any]] = {}
    tables: dict[str, list[dict[str, Any]]] = {}
    gates: list[Gate] = []
    notes: list[str] = []
    for attribute, names in part.groups.items():
        shown = [g for g in np.unique(names) if int((negative & (names == g)).sum()) >= held.minimum_group]
        small = [str(g) for g in np.unique(names) if g not in shown]
        if small:
            notes.append(f"{attribute}: {', '.join(small)} have fewer than {held.minimum_group} negatives.")
        rows = []
        for group in shown:
            inside = (names == group) & negative
            rate = ratio_of_sums(held, "test", (inside & flagged).astype(float), inside.astype(float))
            caught = ratio_of_sums(
                held, "test", ((names == group) & ~negative & flagged).astype(float),
                ((names == group) & ~negative).astype(float),
            )  # fmt: skip
            rows.append(
                {
                    "group": str(group), "negatives": int(inside.sum()), "false positive rate": rate["value"],
                    "low": rate["low"], "high": rate["high"], "caught": caught["value"],
                }
            )  # fmt: skip
        tables[f"{attribute}: flagged without cause"] = rows
        if len(shown) < 2:
            continue
        insides = np.stack([(names == g) & negative for g in shown], axis=1).astype(float)
        wrongly = insides * flagged[:, None]

        def gap(
            weights_RN: NDArray[np.float64],
            wrongly: NDArray[np.float64] = wrongly,
            insides: NDArray[np.float64] = insides,
        ) -> NDArray[np.float64]:
            with np.errstate(invalid="ignore", divide="ignore"):
                rates = (weights_RN @ wrongly) / (weights_RN @ insides)
            return np.asarray(rates.max(axis=1) - rates.min(axis=1))

        found = resampled(held, "test", gap)
        figures[f"equality_gap_{attribute}"] = found
        value = found["value"]
        gates.append(
            Gate(
                f"predictive equality by {attribute}",
                value,
                f"<= {bar:g}",
                value is not None and value <= bar,
                "false positive rates of the groups differ by no more than the bar",
            )
        )
    if not part.groups:
        return StudyResult(
            "No groups are named (data.sensitive), so false alarms can't be compared between them."
        )
    worst = max(figures, key=lambda name: figures[name]["value"] or 0.0) if figures else None
    summary = (
        "No two groups are large enough to be compared."
        if worst is None
        else f"The largest gap in false positive rates is {figures[worst]['value']:.3f}, by "
        f"{worst.removeprefix('equality_gap_')}."
    )
    return StudyResult(summary, figures, tables, gates, notes)
