"""Study ``languages``: how far the worst language (or dialect) is behind."""

from __future__ import annotations

import numpy as np

from core.evaluation.study import StudyResult, EvaluationContext
from core.targets.slot_metrics import all_right, intent_accuracy, slot_f1
from smarthome.studies.intervals import share


def languages(context: EvaluationContext) -> StudyResult:
    """Compare exact match between the groups of each sensitive attribute, the worst with the whole."""
    test = context.parts["test"]
    right = all_right(test)
    tables, figures, said = {}, {}, []
    for attribute, groups in test.groups.items():
        rows = []
        for name in sorted(set(groups.tolist())):
            members = groups == name
            if int(members.sum()) < context.minimum_group:
                continue
            inside = test.take(members)
            figure = share(context, right, members, test.units)
            rows.append(
                {
                    attribute: name,
                    "rows": int(members.sum()),
                    "exact match": figure["value"],
                    "low": figure["low"],
                    "high": figure["high"],
                    "intent accuracy": intent_accuracy(inside),
                    "slot F1": slot_f1(inside),
                }
            )
        if len(rows) < 2:
            continue
        rows.sort(key=lambda row: row["exact match"])
        tables[f"By {attribute}"] = rows
        worst, best = rows[0], rows[-1]
        gap = float(right.mean()) - worst["exact match"]
        figures[f"gap_{attribute}"] = {
            "value": best["exact match"] - worst["exact match"],
            "low": None,
            "high": None,
        }
        figures[f"worst_{attribute}"] = share(context, right, groups == worst[attribute], test.units)
        said.append(
            f"{attribute}: {worst[attribute]} is lowest with {worst['exact match']:.3f}, {100 * gap:.1f} points below "
            "the whole"
        )
    if not said:
        return StudyResult(
            "No two groups have enough rows to compare.", notes=[f"{context.minimum_group} rows are needed."]
        )
    spread = float(np.mean([len(rows) for rows in tables.values()]))
    return StudyResult(
        "; ".join(said) + ".",
        figures,
        tables,
        notes=[f"{spread:.0f} groups compared; the worst of many is partly chance."],
    )
