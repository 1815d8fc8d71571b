"""Does the model notice what it was never taught? Confidence on test rows against confidence on foreign ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.config import derive_seed
from core.evaluation.perturbation import sample, bootstrap_weights
from core.evaluation.intervals import interval, resampled_weights
from core.targets.roc import Ranking
from core.evaluation.study import StudyResult, Study
from core.evaluation.types import Array

if TYPE_CHECKING:
    import pandas as pd

    from core.evaluation.study import EvaluationContext

Foreign = Callable[["Held"], "pd.DataFrame"]
"""Makes rows, with the input columns alone, that show none of the classes."""
ACCEPTED = 0.95
"""Share of test rows that must be accepted where false acceptance is measured."""


def outliers(sets: Mapping[str, Foreign], rows: int) -> Study:
    """Make the study: AUROC, and false-positive rate at 95 % true-positive rate, for each set of foreign rows.

    The data set's own ``foreign`` rows, such as classes that were held out, are sets too (at most ``rows`` of each).
    Of masks the mean over the pixels of a picture counts. Two measures of confidence: the largest probability
    (Hendrycks and Gimpel 2017, arXiv:1610.02136), and the energy logsumexp of the logits (Liu et al. 2020,
    arXiv:2010.03759). Accepting a test row is the true positive.
    """

    def study(held: EvaluationContext) -> StudyResult:
        own = {name: _drawn(name, frame, rows) for name, frame in held.dataset.ood_sets.items()}
        return _measured(held, {**sets, **own}, rows)

    return study


def _drawn(name: str, frame: pd.DataFrame, rows: int) -> Foreign:
    def drawn(held: EvaluationContext) -> pd.DataFrame:
        rng = np.random.default_rng(derive_seed(held.seed, "foreign", name))
        return frame.iloc[np.sort(rng.permutation(len(frame))[:rows])]

    return drawn


def _measured(held: EvaluationContext, sets: Mapping[str, Foreign], rows: int) -> StudyResult:
    assert held.target.kind in ("multiclass", "mask"), "energy is defined for one of several classes"
    chosen = sample(held, rows, "outliers")
    part = held.parts["test"].take(chosen)
    own = _confidences(held, held.frames["test"].iloc[chosen])
    own_RN = bootstrap_weights(held, part)
    figures: dict[str, dict[str, Any]] = {}
    table = []
    for name, make in sets.items():
        frame = make(held)
        foreign = _confidences(held, frame)
        seed = derive_seed(held.seed, "outliers", name)
        foreign_RM = np.concatenate(list(resampled_weights(len(frame), None, held.resamples, seed)))
        weights = np.concatenate([own_RN, foreign_RM], axis=1)
        row: dict[str, Any] = {"foreign rows": name, "number": len(frame)}
        for how in own:
            scores = np.concatenate([own[how], foreign[how]])
            truth = np.arange(len(scores)) < len(part)
            area, accepted = separation(scores, truth, np.ones((1, len(scores))))
            area_R, accepted_R = separation(scores, truth, weights)
            for figure, value, samples in (("auroc", area, area_R), ("fpr_at_95_tpr", accepted, accepted_R)):
                figures[f"{figure}_{name}_{how}"] = interval(value.item(), samples, held.confidence)
                row[f"{figure.replace('_', ' ')}, {how}"] = value.item()
        table.append(row)
    mean = float(np.mean([row["auroc, energy"] for row in table]))
    worst = min(table, key=lambda row: row["auroc, energy"])
    return StudyResult(
        f"Foreign pictures are told from test rows with AUROC {mean:.3f} on average (energy); least well "
        f"{worst['foreign rows']}, {worst['auroc, energy']:.3f}.",
        figures,
        {"Foreign pictures": table},
        notes=[f"{len(part)} test rows, drawn at random. No threshold was chosen by these figures."],
    )


def separation(scores: Array, accept: NDArray[np.bool_], weights_RN: Array) -> tuple[Array, Array]:
    """Give the AUROC, and the share of the others accepted where 95 % of ``accept`` are, for each weighting (R,)."""
    ranking = Ranking(scores, accept)
    yes_RT, no_RT = ranking.counts(weights_RN)
    right, wrong = yes_RT / yes_RT[:, -1:], no_RT / no_RT[:, -1:]
    at = (right >= ACCEPTED - 1e-12).argmax(axis=1)
    return ranking.areas(weights_RN)[:, 0], wrong[np.arange(len(wrong)), at]


AT_ONCE = 8
"""Pictures whose pixels are looked at together."""


def _confidences(held: EvaluationContext, frame: pd.DataFrame) -> dict[str, Array]:
    if held.target.kind == "mask":
        return _of_pixels(held, frame)
    inputs = held.scorer.encode(frame)
    energy, _ = _energy(held.scorer.outputs(inputs))
    return {"probability": held.scorer.scores(inputs).max(axis=1), "energy": energy}


def _of_pixels(held: EvaluationContext, frame: pd.DataFrame) -> dict[str, Array]:
    """Average each measure over the pixels of a picture."""
    found: dict[str, list[Array]] = {"probability": [], "energy": []}
    for start in range(0, len(frame), AT_ONCE):
        logits_NKHW = held.scorer.outputs(held.scorer.encode(frame.iloc[start : start + AT_ONCE]))
        energy, top = _energy(logits_NKHW)
        found["energy"].append(energy.mean(axis=(1, 2)))
        found["probability"].append(np.exp(top - energy).mean(axis=(1, 2)))
    return {how: np.concatenate(values) for how, values in found.items()}


def _energy(logits: Array) -> tuple[Array, Array]:
    """Give logsumexp over the classes, which stand in the second place, and the largest logit."""
    top = logits.max(axis=1, keepdims=True)
    return top[:, 0] + np.log(np.exp(logits - top).sum(axis=1)), top[:, 0]
