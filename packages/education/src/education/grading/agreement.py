"""Human-machine agreement beside human-human agreement, and the gates of operational scoring.

The gates are those of Williamson, Xi and Breyer 2012 (quadratic weighted kappa of at least 0.70, at most 0.10 below
that of two humans, means at most 0.15 standard deviations apart overall and 0.10 in any group).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.coercion import is_missing, to_categories
from core.evaluation.bootstrap import row_estimates
from core.evaluation.study import Gate, StudyResult
from core.targets.metrics import adjacent_agreement, exact_agreement, quadratic_kappa
from education.grading.metrics import (
    NAN,
    Array,
    dsm,
    grades_of,
    prmse,
    smd,
)

if TYPE_CHECKING:
    from core.config.section import Estimate
    from core.evaluation.study import EvaluationContext, Json, Study
    from education.config import GradingTask

KAPPA, DEGRADATION, SMD, GROUP = 0.70, 0.10, 0.15, 0.10
MIN_ROWS = 30
"""Subgroups with fewer test rows are not shown."""


def agreement(task: GradingTask) -> Study:
    """Return the study of human-machine agreement."""

    def study(context: EvaluationContext) -> StudyResult:
        p, frame = context.parts["test"], context.frames["test"]
        grades = grades_of(p, task.grade_order)
        if grades is None:
            return StudyResult(
                "The classes have no order (task.grade_order): agreement on a scale is undefined."
            )
        names = [c for c in task.rater_columns if c in frame]
        raters = [parse_ratings(frame[c], task.grade_order, c) for c in names]
        first = raters[0] if raters else grades.human
        second = raters[1] if len(raters) > 1 else None
        both = np.column_stack([first, second]) if second is not None else None
        masks = _groups(context)

        def statistics(rows: NDArray[np.int64]) -> dict[str, float]:
            raw, rounded, human = grades.raw[rows], grades.rounded[rows], grades.human[rows]
            found = {
                "qwk": quadratic_kappa(rounded, human),
                "exact_agreement": exact_agreement(rounded, human),
                "adjacent_agreement": adjacent_agreement(rounded, human),
                "correlation": correlation(raw, human),
                "smd": smd(raw, human),
            }
            if both is not None:
                known = ~np.isnan(both[rows]).any(axis=1)
                h1, h2 = both[rows][known].T
                found["qwk_human_human"] = quadratic_kappa(h1, h2)
                found["exact_agreement_human_human"] = exact_agreement(h1, h2)
                found["degradation"] = found["qwk_human_human"] - quadratic_kappa(rounded[known], h1)
                found["prmse"] = prmse(raw, both[rows])
            found |= {f"dsm {name}": dsm(raw, human, mask[rows]) for name, mask in masks.items()}
            return found

        measured = row_estimates(context, "test", statistics)
        by_group = {name: measured.pop(f"dsm {name}") for name in masks}
        tables: dict[str, list[dict[str, Json]]] = {}
        if by_group:
            tables["Difference of standardized means (DSM) by group"] = [
                {"group": name, "rows": int(masks[name].sum()), **dict(value)}
                for name, value in by_group.items()
            ]
        for column in (c for c in task.subgroup_columns if c in frame and frame[c].nunique() > 1):
            tables[f"Agreement by {column}"] = _by_subgroup(
                to_categories(frame[column]), grades.rounded, grades.human
            )
        notes = [
            "SMD and DSM as RSMTool defines them (unpooled; deviations with N - 1), of the expected grade; kappa and "
            "agreement of the grade given.",
            "studies/rsmeval.csv is input for rsmeval, with id_column=spkitemid, human_score_column=sc1, "
            "second_human_score_column=sc2, system_score_column=raw.",
        ]
        if both is None:
            notes.append("One human grade a row: degradation and PRMSE, which need two, are not computed.")
        if not by_group:
            notes.append("No sensitive attribute with two large enough groups: no gate for groups.")
        gates = _gates(measured, by_group)
        failed = [g.name for g in gates if not g.passed]
        value = measured["qwk"].value
        shown = "undefined" if value is None else f"{value:.2f}"
        return StudyResult(
            f"Quadratic weighted kappa with humans {shown}; {len(gates) - len(failed)} of {len(gates)} gates passed"
            + (f", failed: {', '.join(failed)}." if failed else "."),
            measured,
            tables,
            gates,
            notes,
            {"rsmeval.csv": _rsmeval(context, grades.raw, first, second)},
        )

    return study


def parse_ratings(values: pd.Series, order: list[str], column: str) -> Array:
    """Return single human ratings as numbers, NaN where missing; raises ValueError for values not in the order."""
    missing, names = is_missing(values), to_categories(values)
    found = np.full(len(values), NAN)
    for i, name in enumerate(names):
        if missing[i] or name is None:
            continue
        try:
            found[i] = float(name)
        except ValueError:
            if name not in order:
                raise ValueError(
                    f"column {column!r}, row {values.index[i]}: {name!r} is not a number and not in "
                    f"task.grade_order={order}"
                ) from None
            found[i] = float(order.index(name))
    return found


def correlation(a: Array, b: Array) -> float:
    """Return Pearson's r; NaN where one does not vary."""
    if len(a) < 2 or not np.std(a) or not np.std(b):
        return NAN
    return float(np.corrcoef(a, b)[0, 1])


def _groups(context: EvaluationContext) -> dict[str, NDArray[np.bool_]]:
    masks: dict[str, NDArray[np.bool_]] = {}
    for attribute, names in context.parts["test"].groups.items():
        found = {str(n): names == n for n in np.unique(names) if (names == n).sum() >= context.min_group_rows}
        if len(found) > 1:
            masks |= {f"{attribute}: {name}": mask for name, mask in found.items()}
    return masks


def _by_subgroup(names: NDArray[np.object_], machine: Array, human: Array) -> list[dict[str, Json]]:
    rows: list[dict[str, Json]] = []
    for name in sorted({str(n) for n in names}):
        here = np.array([str(n) == name for n in names])
        if here.sum() >= MIN_ROWS:
            kappa = quadratic_kappa(machine[here], human[here])
            rows.append(
                {
                    "value": name if len(name) <= 60 else name[:57] + "...",
                    "rows": int(here.sum()),
                    "qwk": kappa if np.isfinite(kappa) else None,
                    "exact agreement": exact_agreement(machine[here], human[here]),
                    "mean machine - mean human": float(machine[here].mean() - human[here].mean()),
                }
            )
    return rows


def _gates(measured: dict[str, Estimate], by_group: dict[str, Estimate]) -> list[Gate]:
    gates = []

    def gate(name: str, value: float | None, bar: str, passed: bool, meaning: str) -> None:
        gates.append(Gate(name, value, bar, passed, meaning))

    kappa, mean = measured["qwk"].value, measured["smd"].value
    gate(
        "quadratic weighted kappa",
        kappa,
        ">= 0.70",
        kappa is not None and kappa >= KAPPA,
        "human-machine agreement",
    )
    if "degradation" in measured:
        lost = measured["degradation"].value
        gate(
            "degradation", lost, "<= 0.10", lost is not None and lost <= DEGRADATION,
            "human-human kappa minus human-machine kappa",
        )  # fmt: skip
    gate(
        "|SMD|",
        mean,
        "<= 0.15",
        mean is not None and abs(mean) <= SMD,
        "the machine is neither more lenient nor more severe",
    )
    known = {name: figure.value for name, figure in by_group.items() if figure.value is not None}
    if known:
        worst = max(known, key=lambda name: abs(known[name]))
        gate(
            "largest group |DSM|",
            known[worst],
            "<= 0.10",
            abs(known[worst]) <= GROUP,
            f"no group is scored differently ({worst})",
        )
    return gates


def _rsmeval(context: EvaluationContext, raw: Array, first: Array, second: Array | None) -> pd.DataFrame:
    p = context.parts["test"]
    table: dict[str, object] = {
        "spkitemid": [f"row{n}" for n in context.frames["test"].index],
        "sc1": first,
        "raw": raw,
    }
    if second is not None:
        table["sc2"] = second
    if p.units is not None:
        table["candidate"] = p.units
    return pd.DataFrame(table | dict(p.groups))
