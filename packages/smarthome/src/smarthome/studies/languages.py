"""Study ``languages``: metrics by language (or dialect), and the worst-off group."""

from __future__ import annotations

import numpy as np

from core.evaluation.bootstrap import estimate, share_estimate
from core.evaluation.study import EvaluationContext, StudyResult
from core.targets.slot_metrics import all_right, intent_accuracy, slot_f1


def languages(context: EvaluationContext) -> StudyResult:
    """Compare exact match of the groups of each sensitive attribute, and of the worst-off group with all rows."""
    test = context.parts["test"]
    right = all_right(test)
    tables, metrics, sentences = {}, {}, []
    for attribute, groups in test.groups.items():
        rows = []
        for name in sorted(set(groups.tolist())):
            members = groups == name
            if int(members.sum()) < context.min_group_rows:
                continue
            inside = test.take(members)
            figure = share_estimate(context, right, members, test.units)
            rows.append(
                {
                    attribute: name,
                    "rows": int(members.sum()),
                    "exact match": figure.value,
                    "low": figure.low,
                    "high": figure.high,
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
        metrics[f"gap_{attribute}"] = estimate(best["exact match"] - worst["exact match"])
        metrics[f"worst_{attribute}"] = share_estimate(context, right, groups == worst[attribute], test.units)
        sentences.append(
            f"{attribute}: {worst[attribute]} is worst off with exact match {worst['exact match']:.3f}, "
            f"{100 * gap:.1f} points below all rows"
        )
    if not sentences:
        return StudyResult(
            "No two groups have enough rows to be compared.",
            notes=[f"{context.min_group_rows} rows are needed."],
        )
    spread = float(np.mean([len(rows) for rows in tables.values()]))
    return StudyResult(
        "; ".join(sentences) + ".",
        metrics,
        tables,
        notes=[f"{spread:.0f} groups compared; the worst of many is partly chance."],
    )
