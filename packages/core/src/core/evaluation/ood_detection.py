"""Out-of-distribution detection: confidence on test rows against confidence on rows of no known class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from core.config import derive_seed
from core.config.section import Estimate
from core.evaluation.bootstrap import interval_estimate
from core.evaluation.intervals import resampled_weights
from core.evaluation.perturbation import bootstrap_weights, sample_rows
from core.evaluation.study import Study, StudyResult
from core.targets.roc import RocCurve
from core.targets.types import Array, Flags

if TYPE_CHECKING:
    import pandas as pd

    from core.evaluation.study import EvaluationContext

OodRows = Callable[["EvaluationContext"], "pd.DataFrame"]
"""Makes rows, with the input columns alone, that show none of the classes."""
TARGET_TPR = 0.95
"""Share of test rows that must be accepted where the false positive rate is measured."""
BATCH_ROWS = 8
"""Images whose pixels are scored together."""


def ood_detection(sets: Mapping[str, OodRows], rows: int) -> Study:
    """Return the study: AUROC, and false positive rate at 95 % true positive rate, for each set of OOD rows.

    The data set's own ``ood_sets``, such as classes that were held out, are sets too (at most ``rows`` of each).
    Of dense kinds the mean over the pixels of an image counts. Two scores of confidence: the largest probability
    (MSP: Hendrycks and Gimpel 2017, arXiv:1610.02136), and the energy logsumexp of the logits (Liu et al. 2020,
    arXiv:2010.03759). Accepting a test row is the true positive.
    """

    def study(context: EvaluationContext) -> StudyResult:
        own = {name: _drawn(name, frame, rows) for name, frame in context.dataset.ood_sets.items()}
        return _measured(context, {**sets, **own}, rows)

    return study


def _drawn(name: str, frame: pd.DataFrame, rows: int) -> OodRows:
    def drawn(context: EvaluationContext) -> pd.DataFrame:
        rng = np.random.default_rng(derive_seed(context.seed, "foreign", name))
        return frame.iloc[np.sort(rng.permutation(len(frame))[:rows])]

    return drawn


def _measured(context: EvaluationContext, sets: Mapping[str, OodRows], rows: int) -> StudyResult:
    chosen = sample_rows(context, rows, "outliers")
    part = context.parts["test"].take(chosen)
    own = _confidences(context, context.frames["test"].iloc[chosen])
    own_RN = bootstrap_weights(context, part)
    metrics: dict[str, Estimate] = {}
    table = []
    for name, make in sets.items():
        frame = make(context)
        foreign = _confidences(context, frame)
        seed = derive_seed(context.seed, "outliers", name)
        foreign_RM = np.concatenate(list(resampled_weights(len(frame), None, context.resamples, seed)))
        weights = np.concatenate([own_RN, foreign_RM], axis=1)
        row: dict[str, Any] = {"out-of-distribution rows": name, "number": len(frame)}
        for how in own:
            scores = np.concatenate([own[how], foreign[how]])
            truth = np.arange(len(scores)) < len(part)
            area, accepted = separation(scores, truth, np.ones((1, len(scores))))
            area_R, accepted_R = separation(scores, truth, weights)
            for metric, value, samples in (
                ("auroc", area, area_R),
                ("fpr_at_95_tpr", accepted, accepted_R),
            ):
                metrics[f"{metric}_{name}_{how}"] = interval_estimate(context, value.item(), samples)
                row[f"{metric.replace('_', ' ')}, {how}"] = value.item()
        table.append(row)
    mean = float(np.mean([row["auroc, energy"] for row in table]))
    worst = min(table, key=lambda row: row["auroc, energy"])
    return StudyResult(
        f"Out-of-distribution images are detected with AUROC {mean:.3f} on average (energy); least well "
        f"{worst['out-of-distribution rows']}, {worst['auroc, energy']:.3f}.",
        metrics,
        {"Out-of-distribution images": table},
        notes=[f"{len(part)} test rows, drawn at random. No threshold was chosen by these metrics."],
    )


def separation(scores: Array, accept: Flags, weights_RN: Array) -> tuple[Array, Array]:
    """Compute AUROC, and the share of the others accepted where 95 % of ``accept`` are, for each weighting (R,)."""
    curve = RocCurve(scores, accept)
    yes_RT, no_RT = curve.counts(weights_RN)
    tpr, fpr = yes_RT / yes_RT[:, -1:], no_RT / no_RT[:, -1:]
    at = (tpr >= TARGET_TPR - 1e-12).argmax(axis=1)
    return curve.auroc_auprc(weights_RN)[:, 0], fpr[np.arange(len(fpr)), at]


def _confidences(context: EvaluationContext, frame: pd.DataFrame) -> dict[str, Array]:
    if context.target.dense:
        return _of_pixels(context, frame)
    inputs = context.scorer.encode(frame)
    logits = context.scorer.outputs(inputs)
    assert logits.shape[1] == len(context.target.classes), "energy is defined for a softmax over the classes"
    energy, _ = _energy(logits)
    return {"probability": context.scorer.scores(inputs).max(axis=1), "energy": energy}


def _of_pixels(context: EvaluationContext, frame: pd.DataFrame) -> dict[str, Array]:
    """Average each score over the pixels of an image."""
    found: dict[str, list[Array]] = {"probability": [], "energy": []}
    for start in range(0, len(frame), BATCH_ROWS):
        piece = frame.iloc[start : start + BATCH_ROWS]
        logits_NKHW = context.scorer.outputs(context.scorer.encode(piece))
        energy, top = _energy(logits_NKHW)
        found["energy"].append(energy.mean(axis=(1, 2)))
        found["probability"].append(np.exp(top - energy).mean(axis=(1, 2)))
    return {how: np.concatenate(values) for how, values in found.items()}


def _energy(logits: Array) -> tuple[Array, Array]:
    """Return logsumexp over the classes, which are the second axis, and the largest logit."""
    top = logits.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.exp(logits - top).sum(axis=1)), top[:, 0]
