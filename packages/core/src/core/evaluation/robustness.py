"""Corruption robustness: how much worse the model is on corrupted images, fifteen kinds at five severities."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from core.evaluation.perturbation import (
    bootstrap_weights,
    confidence_interval,
    generator,
    repredict,
    row_batches,
    sample_rows,
)
from core.evaluation.study import Study, StudyResult
from core.targets.bootstrap_metrics import ratio
from core.targets.types import Array

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext


def robustness(rows: int, kinds: Iterable[str] = tuple(CORRUPTIONS)) -> Study:
    """Return the study: headline metric of up to ``rows`` test rows, clean and corrupted.

    Relative degradation is (clean - corrupted) / clean. Both are compared on the same rows and resamples.
    """
    asked = tuple(kinds)

    def study(context: EvaluationContext) -> StudyResult:
        return _measured(context, rows, asked)

    return study


def _measured(context: EvaluationContext, rows: int, kinds: tuple[str, ...]) -> StudyResult:
    metric = context.target.headline_metric()
    chosen = sample_rows(context, rows, "robustness")
    part = context.parts["test"].take(chosen)
    cases = [(kind, severity) for kind in kinds for severity in SEVERITIES]
    clean: list[Array] = []
    corrupted: list[list[Array]] = [[] for _ in cases]
    for piece in row_batches(chosen, context):
        inputs = context.scorer.encode(context.frames["test"].iloc[piece])
        clean.append(metric.columns(repredict(context, piece, inputs)))
        for found, (kind, severity) in zip(corrupted, cases, strict=True):
            stream = generator(context, "corruption", kind, severity, int(piece[0]))
            image = corrupt(inputs["image"], kind, severity, stream)
            found.append(metric.columns(repredict(context, piece, {**inputs, "image": image})))
    weights_RN = bootstrap_weights(context, part)
    ones = np.ones((1, len(part)))

    def values(columns: list[Array]) -> tuple[Array, Array]:
        columns_NC = np.concatenate(columns)
        return metric.combine(ones @ columns_NC), metric.combine(weights_RN @ columns_NC)

    base, base_R = values(clean)
    each = {case: values(found) for case, found in zip(cases, corrupted, strict=True)}
    table: list[dict[str, Any]] = []
    for kind in kinds:
        own = [each[kind, s][0].item() for s in SEVERITIES]
        shown = {f"severity {s}": v for s, v in zip(SEVERITIES, own, strict=True)}
        lost = 1 - float(np.mean(own)) / base.item()
        name = kind.replace("_", " ")
        table.append({"corruption": name, **shown, "mean": float(np.mean(own)), "relative degradation": lost})
    mean = np.mean([v for v, _ in each.values()], axis=0)
    mean_R = np.mean([v for _, v in each.values()], axis=0)
    worst = max(table, key=lambda row: row["relative degradation"])
    loss, loss_R = 1 - ratio(mean, base), 1 - ratio(mean_R, base_R)
    name = metric.name
    return StudyResult(
        f"Corrupted images cost {100 * loss.item():.0f} % of the {metric.words} on average "
        f"({base.item():.3f} clean, {mean.item():.3f} corrupted); most by {worst['corruption']}.",
        {
            f"clean_{name}": confidence_interval(context, base, base_R),
            f"corrupted_{name}": confidence_interval(context, mean, mean_R),
            "relative_degradation": confidence_interval(context, loss, loss_R),
        },
        {f"{metric.words[0].upper()}{metric.words[1:]} by corruption": table},
        notes=[
            f"{len(part)} of {len(context.parts['test'])} test rows, drawn at random; {len(kinds)} kinds of corruption "
            f"at {len(SEVERITIES)} severities (after Hendrycks and Dietterich 2019, own implementation on tensors).",
            "The corruptions are computed; weather, dirt and damage in the field differ from them.",
        ],
        files={
            "robustness.csv": pd.DataFrame(
                [
                    {"corruption": k, "severity": s, name: each[k, s][0].item(), f"clean_{name}": base.item()}
                    for k, s in cases
                ]
            )
        },
    )
