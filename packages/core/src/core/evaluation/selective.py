"""Selective prediction: risk against coverage, the least confident predictions left out first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.evaluation.bootstrap import estimate
from core.evaluation.dense_predictions import iter_feature_grid
from core.evaluation.perturbation import bootstrap_weights, confidence_interval, sample_rows
from core.evaluation.study import Study, StudyResult
from core.targets.bootstrap_metrics import ratio
from core.targets.types import Array, Predictions

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext

Binned = Callable[[Array], tuple[Array, Array]]
"""Weights of rows (R, N) -> predictions and errors in each bin of confidence, (R, BINS) each."""

BINS = 200
COVERAGES = (1.0, 0.99, 0.95, 0.9, 0.8, 0.7, 0.5)


def risk_coverage(rows: int = 64) -> Study:
    """Return the study: error rate of the predictions kept, the most confident first (El-Yaniv, Wiener 2010).

    Confidence is the probability of the predicted class. Of dense kinds, pixels are kept or left, on up to
    ``rows`` rows.
    AURC is the area under risk against coverage; its least value is that of an order that knows all errors
    (Geifman et al. 2019).
    """

    def study(held: EvaluationContext) -> StudyResult:
        return _measured(held, rows)

    return study


def risk_curve(counts_RB: Array, errors_RB: Array) -> tuple[Array, Array, Array]:
    """Compute coverage and risk (R, B) after each bin, the most confident first, and the area under them (R,).

    Inside a bin the order is unknown: its errors are spread evenly.
    """
    kept, wrong = np.cumsum(counts_RB, axis=1), np.cumsum(errors_RB, axis=1)
    coverage, risk = ratio(kept, kept[:, -1:]), ratio(wrong, kept)
    before = kept - counts_RB
    middle = ratio(wrong - errors_RB / 2, before + counts_RB / 2)
    share = ratio(counts_RB, kept[:, -1:])
    return coverage, risk, np.nansum(middle * share, axis=1)


def bin_by_confidence(confidence: Array, loss: Array) -> Binned:
    """Sort rows into bins of about as many rows once, ties together; both (N,), an error counts as much as its loss."""
    order = np.argsort(-confidence, kind="stable")
    first = np.flatnonzero(np.append(True, np.diff(confidence[order]) != 0))  # of each run of ties
    code = np.repeat(first * BINS // len(order), np.diff(np.append(first, len(order))))
    filled, starts = np.unique(code, return_index=True)

    def by_bin(weights_RN: Array) -> tuple[Array, Array]:
        sorted_RN = weights_RN[:, order]
        both = []
        for each_RN in (sorted_RN, sorted_RN * loss[order]):
            found_RB = np.zeros((len(weights_RN), BINS))
            found_RB[:, filled] = np.add.reduceat(each_RN, starts, axis=1)
            both.append(found_RB)
        return both[0], both[1]

    return by_bin


def risks_at_coverages(coverage_B: Array, risk_B: Array) -> list[dict[str, float]]:
    """Return the curve at the usual coverages, [{coverage, risk}], at the next bin's end where none lies there."""
    places = [min(int(np.searchsorted(coverage_B, wanted - 1e-9)), BINS - 1) for wanted in COVERAGES]
    return [{"coverage": coverage_B[at].item(), "risk": risk_B[at].item()} for at in places]


def least_aurc(error: float) -> float:
    """Return the area under the curve of an order that knows all errors.

    With errors e in all it errs only from coverage 1 - e on: e + (1 - e) ln(1 - e).
    """
    return error + (1 - error) * float(np.log1p(-error)) if error < 1 else 1.0


def _measured(context: EvaluationContext, rows: int) -> StudyResult:
    if context.target.dense:
        counts_NB, errors_NB, part = _pixels(context, rows)
        by_bin: Binned = lambda w: (w @ counts_NB, w @ errors_NB)  # noqa: E731
        what = "pixels"
    else:
        part, what = context.parts["test"], "rows"
        by_bin = bin_by_confidence(part.scores.max(axis=1), part.type.row_losses(part))
    counts_1B, errors_1B = by_bin(np.ones((1, len(part))))
    coverage, risk, area = risk_curve(counts_1B, errors_1B)
    _, _, area_R = risk_curve(*by_bin(bootstrap_weights(context, part)))
    error = (errors_1B.sum() / counts_1B.sum()).item()
    at = min(int(np.searchsorted(coverage[0], 0.9)), BINS - 1)
    return StudyResult(
        f"Of the most confident {100 * coverage[0, at]:.0f} % of {what}, {100 * risk[0, at]:.2f} % are wrong "
        f"instead of {100 * error:.2f} %.",
        {
            "aurc": confidence_interval(context, area, area_R),
            "excess_aurc": estimate(area.item() - least_aurc(error)),
            "risk_at_full_coverage": estimate(error),
        },
        {"Risk by coverage": risks_at_coverages(coverage[0], risk[0])},
        notes=[f"{what.capitalize()} of {len(part)} test rows, in {BINS} bins of confidence."],
    )


def _bins(confidence: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return bins of confidence, the most confident first; finer near 1, where most predictions lie."""
    doubt = np.clip(1 - confidence, 1e-7, 1.0)
    place = (np.log10(doubt) + 7) / 7  # 0 where the doubt is 1e-7, 1 where it is 1
    return np.asarray(np.clip((place * BINS).astype(np.int64), 0, BINS - 1))


def _pixels(context: EvaluationContext, rows: int) -> tuple[Array, Array, Predictions]:
    chosen = sample_rows(context, rows, "selective")
    part = context.parts["test"].take(chosen)
    counts, errors = np.zeros((len(part), BINS)), np.zeros((len(part), BINS))
    n = 0
    for found, labels, truth in iter_feature_grid(
        context.scorer, context.frames["test"], context.parts["test"].targets, chosen
    ):
        code, known = _bins(found.max(axis=1)), truth < found.shape[1]
        wrong = known & (labels != truth)
        for own_code, own_known, own_wrong in zip(code, known, wrong, strict=True):
            counts[n] = np.bincount(own_code[own_known], minlength=BINS)
            errors[n] = np.bincount(own_code[own_wrong], minlength=BINS)
            n += 1
    return counts, errors, part
