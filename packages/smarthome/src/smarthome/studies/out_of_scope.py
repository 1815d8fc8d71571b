"""Study ``out_of_scope``: does the run refuse what no home can do?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.evaluation.study import StudyResult, EvaluationContext
from smarthome.simulate.phrases import OUTSIDE, UNSEEN, written
from smarthome.studies.intervals import resampled, share

if TYPE_CHECKING:
    from core.targets.intent_slots import IntentSlotsTarget

Array = NDArray[np.float64]
DRAWN = 400
"""Sentences out of scope, of kinds that no training part has."""


def in_scope(scores: Array, classes: tuple[str, ...]) -> Array:
    """Give the largest probability of an intent that a home can do, (N,)."""
    inside = [k for k, name in enumerate(classes) if name != OUTSIDE]
    best: Array = scores[:, inside].max(axis=1)
    return best


def auroc(inside: Array, outside: Array) -> float:
    """Give the chance that a command scores above what is out of scope; ties count half."""
    if not len(inside) or not len(outside):
        return float("nan")
    order = np.sort(outside)
    below = np.searchsorted(order, inside, side="left") + np.searchsorted(order, inside, side="right")
    return float(below.mean() / (2 * len(outside)))


def unseen_outside(rng: np.random.Generator, count: int = DRAWN) -> list[str]:
    """Draw distinct sentences of the kinds that are kept out of training."""
    said: dict[str, None] = {}
    for _ in range(20 * count):
        said.setdefault(written(str(rng.choice(UNSEEN)), {}, rng)[0])
        if len(said) == count:
            break
    return list(said)


def rejection(context: EvaluationContext) -> StudyResult:
    """Compare commands of the test part with sentences that no home can do.

    The score is the largest probability of an intent that can be done; the threshold keeps 95 (and 99) of 100 commands
    of the validation part.
    """
    target: IntentSlotsTarget = context.target  # type: ignore[assignment]
    classes = target.classes
    parts = {}
    for name, part in context.parts.items():
        names = np.asarray(classes, object)[part.targets[:, 0]]
        parts[name] = in_scope(part.scores, classes), names == OUTSIDE
    validation = parts["validation"][0][~parts["validation"][1]]
    cuts = {keep: float(np.quantile(validation, 1 - keep / 100)) for keep in (95, 99)}
    score, is_outside = parts["test"]
    inside = score[~is_outside]
    rng = np.random.default_rng(context.seed)
    unseen = pd.DataFrame({target.text: unseen_outside(rng)})
    for column in context.dataset.roles.inputs():
        if column not in unseen:
            unseen[column] = None
    kinds = {"unseen kinds (drawn)": in_scope(context.scorer.scores(unseen), classes)}
    if is_outside.any():
        kinds = {"test part": score[is_outside], **kinds}
    rows: list[dict[str, Any]] = []
    figures: dict[str, dict[str, Any]] = {}
    accepted: list[float] = []
    for kind, outside in kinds.items():
        both = np.concatenate([inside, outside])

        def area(chosen: NDArray[np.int64], both: Array = both) -> float:
            values, mark = both[chosen], chosen < len(inside)
            return auroc(values[mark], values[~mark])

        name = "" if kind == "test part" or len(kinds) == 1 else "_unseen"
        figures[f"auroc{name}"] = resampled(context, len(both), area)
        figures[f"fpr_at_95_tpr{name}"] = share(context, (outside >= cuts[95]).astype(np.float64))
        accepted.append(float((outside >= cuts[95]).mean()))
        rows.append(
            {
                "out of scope": kind,
                "sentences": len(outside),
                "auroc": round(auroc(inside, outside), 4),
                "accepted at 95 % of commands": round(accepted[-1], 4),
                "accepted at 99 % of commands": round(float((outside >= cuts[99]).mean()), 4),
            }
        )
    for keep, cut in cuts.items():
        figures[f"threshold_{keep}"] = {"value": cut, "low": None, "high": None}
        figures[f"commands_kept_{keep}"] = share(context, (inside >= cut).astype(np.float64))
    worst = max(accepted)
    return StudyResult(
        f"With 95 of 100 commands kept, at most {100 * worst:.1f} % of what is out of scope is taken for a command.",
        figures,
        {"Out of scope": rows},
        notes=[
            "Thresholds are quantiles of the validation part's commands; figures are of the test part.",
            "Sentences of unseen kinds are English, drawn from phrases that are in no training part.",
        ],
    )
