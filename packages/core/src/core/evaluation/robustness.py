"""How much worse the model is on spoilt pictures: fifteen kinds at five severities."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from core.evaluation.perturbation import repredict, generator, headline, rows_at_once, sample, confidence_interval, bootstrap_weights
from core.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from core.targets.bootstrap_metrics import ratio
from core.evaluation.study import StudyResult, Study
from core.evaluation.types import Array

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext


def robustness(rows: int, kinds: Iterable[str] = tuple(CORRUPTIONS)) -> Study:
    """Make the study: accuracy (masks: mean IoU) of up to ``rows`` test rows, clean and spoilt.

    Relative degradation is (clean - spoilt) / clean. Clean and spoilt are compared on the same rows and resamples.
    """
    asked = tuple(kinds)

    def study(held: EvaluationContext) -> StudyResult:
        return _measured(held, rows, asked)

    return study


def _measured(held: EvaluationContext, rows: int, kinds: tuple[str, ...]) -> StudyResult:
    import pandas as pd

    figure = headline(held.target.kind)
    chosen = sample(held, rows, "robustness")
    part = held.parts["test"].take(chosen)
    cases = [(kind, severity) for kind in kinds for severity in SEVERITIES]
    clean: list[Array] = []
    spoilt: list[list[Array]] = [[] for _ in cases]
    for piece in rows_at_once(chosen, held):
        inputs = held.scorer.encode(held.frames["test"].iloc[piece])
        clean.append(figure.columns(repredict(held, piece, inputs)))
        for found, (kind, severity) in zip(spoilt, cases, strict=True):
            stream = generator(held, "corruption", kind, severity, int(piece[0]))
            image = corrupt(inputs["image"], kind, severity, stream)
            found.append(figure.columns(repredict(held, piece, {**inputs, "image": image})))
    weights_RN = bootstrap_weights(held, part)
    ones = np.ones((1, len(part)))

    def values(columns: list[Array]) -> tuple[Array, Array]:
        columns_NC = np.concatenate(columns)
        return figure.combine(ones @ columns_NC), figure.combine(weights_RN @ columns_NC)

    base, base_R = values(clean)
    each = {case: values(found) for case, found in zip(cases, spoilt, strict=True)}
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
    name = figure.name
    return StudyResult(
        f"Spoilt pictures cost {100 * loss.item():.0f} % of the {figure.words} on average "
        f"({base.item():.3f} clean, {mean.item():.3f} spoilt); most by {worst['corruption']}.",
        {
            f"clean_{name}": confidence_interval(held, base, base_R),
            f"corrupted_{name}": confidence_interval(held, mean, mean_R),
            "relative_degradation": confidence_interval(held, loss, loss_R),
        },
        {f"{figure.words[0].upper()}{figure.words[1:]} by corruption": table},
        notes=[
            f"{len(part)} of {len(held.parts['test'])} test rows, drawn at random; {len(kinds)} kinds of corruption at "
            f"{len(SEVERITIES)} severities (after Hendrycks and Dietterich 2019, own implementation on tensors).",
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
