"""Study ``out_of_scope``: out-of-scope detection by the confidence of the intent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.config.section import Estimate
from core.evaluation.bootstrap import estimate, share_estimate, weighted_estimate
from core.evaluation.study import EvaluationContext, StudyResult
from core.targets.metrics import auroc_of
from core.targets.roc import RocCurve
from smarthome.simulate.phrases import HELD_OUT_PHRASES, OUT_OF_SCOPE, sample_phrase

if TYPE_CHECKING:
    from core.targets.intent_slots import IntentSlotsTarget

Array = NDArray[np.float64]
SENTENCES = 400
"""Out-of-scope sentences of kinds that are never in training data."""


def in_scope_score(scores: Array, classes: tuple[str, ...]) -> Array:
    """Return the maximum probability of an in-scope intent, (N,)."""
    inside = [k for k, name in enumerate(classes) if name != OUT_OF_SCOPE]
    best: Array = scores[:, inside].max(axis=1)
    return best


def held_out_sentences(rng: np.random.Generator, count: int = SENTENCES) -> list[str]:
    """Return distinct sentences of the kinds that are held out of training."""
    sentences: dict[str, None] = {}
    for _ in range(20 * count):
        sentences.setdefault(sample_phrase(str(rng.choice(HELD_OUT_PHRASES)), {}, rng)[0])
        if len(sentences) == count:
            break
    return list(sentences)


def out_of_scope(context: EvaluationContext) -> StudyResult:
    """Compute how well confidence separates commands of the test set from out-of-scope sentences.

    The score is the maximum probability of an in-scope intent; thresholds keep 95 % and 99 % of the validation set's
    commands.
    """
    target: IntentSlotsTarget = context.target  # type: ignore[assignment]
    classes = target.classes
    scores = {}
    for name, part in context.parts.items():
        names = np.asarray(classes, object)[part.targets[:, 0]]
        scores[name] = in_scope_score(part.scores, classes), names == OUT_OF_SCOPE
    validation = scores["validation"][0][~scores["validation"][1]]
    thresholds = {keep: float(np.quantile(validation, 1 - keep / 100)) for keep in (95, 99)}
    score, is_outside = scores["test"]
    inside = score[~is_outside]
    rng = np.random.default_rng(context.seed)
    unseen = pd.DataFrame({target.text: held_out_sentences(rng)})
    for column in context.dataset.roles.inputs():
        if column not in unseen:
            unseen[column] = None
    kinds = {"held-out kinds (simulated)": in_scope_score(context.scorer.scores(unseen), classes)}
    if is_outside.any():
        kinds = {"test set": score[is_outside], **kinds}
    rows: list[dict[str, Any]] = []
    metrics: dict[str, Estimate] = {}
    accepted: list[float] = []
    for kind, outside in kinds.items():
        both = np.concatenate([inside, outside])

        in_scope = np.arange(len(both)) < len(inside)
        curve = RocCurve(both, in_scope)

        def area(weights_RN: Array, curve: RocCurve = curve) -> Array:
            return curve.auroc_auprc(weights_RN)[:, 0]

        name = "" if kind == "test set" or len(kinds) == 1 else "_held_out"
        metrics[f"auroc{name}"] = weighted_estimate(context, area, len(both))
        metrics[f"fpr_at_95_tpr{name}"] = share_estimate(
            context, (outside >= thresholds[95]).astype(np.float64)
        )
        accepted.append(float((outside >= thresholds[95]).mean()))
        rows.append(
            {
                "out of scope": kind,
                "sentences": len(outside),
                "auroc": round(auroc_of(both, in_scope), 4),
                "FPR at 95 % TPR": round(accepted[-1], 4),
                "FPR at 99 % TPR": round(float((outside >= thresholds[99]).mean()), 4),
            }
        )
    for keep, threshold in thresholds.items():
        metrics[f"threshold_{keep}"] = estimate(threshold)
        metrics[f"tpr_at_threshold_{keep}"] = share_estimate(
            context, (inside >= threshold).astype(np.float64)
        )
    worst = max(accepted)
    return StudyResult(
        f"At 95 % true positive rate, at most {100 * worst:.1f} % of out-of-scope sentences are accepted as commands.",
        metrics,
        {"Out of scope": rows},
        notes=[
            "Thresholds are quantiles of the validation set's commands; metrics are of the test set.",
            "Sentences of held-out kinds are English, from phrases that are never in training data.",
        ],
    )
