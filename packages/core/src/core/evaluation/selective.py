"""Leaving the least sure answers to a person: risk against coverage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.evaluation.answered import rows_at_once, sample, spread, weighted
from core.evaluation.figures import ratio
from core.evaluation.study import Findings, Study
from core.evaluation.types import Array
from core.targets.types import Predictions

if TYPE_CHECKING:
    from core.evaluation.study import Held

BINS = 200
COVERAGES = (1.0, 0.99, 0.95, 0.9, 0.8, 0.7, 0.5)


def risk_coverage(rows: int = 64) -> Study:
    """Make the study: error rate among the answers kept, the most confident first (El-Yaniv and Wiener 2010).

    Confidence is the probability of the decided class. Of masks, pixels are kept or left, on up to ``rows`` rows.
    AURC is the area under risk against coverage; its least value is that of an order that knows all errors
    (Geifman et al. 2019).
    """

    def study(held: Held) -> Findings:
        return _measured(held, rows)

    return study


def risks(counts_RB: Array, errors_RB: Array) -> tuple[Array, Array, Array]:
    """Give coverage and risk (R, B) after each bin, the most confident first, and the area under them (R,).

    Inside a bin the order is unknown: its errors are spread evenly.
    """
    kept, wrong = np.cumsum(counts_RB, axis=1), np.cumsum(errors_RB, axis=1)
    coverage, risk = ratio(kept, kept[:, -1:]), ratio(wrong, kept)
    before = kept - counts_RB
    middle = ratio(wrong - errors_RB / 2, before + counts_RB / 2)
    share = ratio(counts_RB, kept[:, -1:])
    return coverage, risk, np.nansum(middle * share, axis=1)


def _measured(held: Held, rows: int) -> Findings:
    if held.target.kind == "mask":
        counts_NB, errors_NB, part, what = *_pixels(held, rows), "pixels"
    else:
        part, what = held.parts["test"], "rows"
        code = _bins(part.scores.max(axis=1))
        place = np.arange(len(part))
        counts_NB, errors_NB = np.zeros((len(part), BINS)), np.zeros((len(part), BINS))
        counts_NB[place, code] = 1
        errors_NB[place, code] = part.labels != part.targets
    ones, weights_RN = np.ones((1, len(part))), weighted(held, part)
    coverage, risk, area = risks(ones @ counts_NB, ones @ errors_NB)
    _, _, area_R = risks(weights_RN @ counts_NB, weights_RN @ errors_NB)
    error = (errors_NB.sum() / counts_NB.sum()).item()
    table = []
    for wanted in COVERAGES:
        at = min(int(np.searchsorted(coverage[0], wanted - 1e-9)), BINS - 1)
        table.append({"coverage": coverage[0, at].item(), "risk": risk[0, at].item()})
    # with errors e in all, the best order errs only from coverage 1 - e on: area e + (1 - e) ln(1 - e)
    least = error + (1 - error) * float(np.log1p(-error)) if error < 1 else 1.0
    at = min(int(np.searchsorted(coverage[0], 0.9)), BINS - 1)
    return Findings(
        f"Kept to the surest {100 * coverage[0, at]:.0f} % of {what}, {100 * risk[0, at]:.2f} % are wrong "
        f"instead of {100 * error:.2f} %.",
        {
            "aurc": spread(held, area, area_R),
            "excess_aurc": {"value": area.item() - least, "low": None, "high": None},
            "risk_at_full_coverage": {"value": error, "low": None, "high": None},
        },
        {"Risk by coverage": table},
        notes=[f"{what.capitalize()} of {len(part)} test rows, in {BINS} bins of confidence."],
    )


def _bins(confidence: NDArray[np.floating]) -> NDArray[np.int64]:
    """Number bins of confidence, the surest first; finer near 1, where most answers lie."""
    doubt = np.clip(1 - confidence, 1e-7, 1.0)
    place = (np.log10(doubt) + 7) / 7  # 0 where the doubt is 1e-7, 1 where it is 1
    return np.asarray(np.clip((place * BINS).astype(np.int64), 0, BINS - 1))


def _pixels(held: Held, rows: int) -> tuple[Array, Array, Predictions]:
    chosen = sample(held, rows, "selective")
    part = held.parts["test"].take(chosen)
    counts, errors = np.zeros((len(part), BINS)), np.zeros((len(part), BINS))
    n = 0
    for piece in rows_at_once(chosen, held):
        found = held.scorer.scores(held.frames["test"].iloc[piece])
        labels = held.scorer.labels(found)
        truth = held.parts["test"].targets[piece]
        step = (truth.shape[1] / found.shape[2], truth.shape[2] / found.shape[3])
        down = ((np.arange(found.shape[2]) + 0.5) * step[0]).astype(np.int64)
        across = ((np.arange(found.shape[3]) + 0.5) * step[1]).astype(np.int64)
        # places of the network's own map: between them probabilities are interpolated and say nothing new
        at = np.ix_(np.arange(len(piece)), down, across)
        code, known = _bins(found.max(axis=1)), truth[at] < found.shape[1]
        wrong = known & (labels[at] != truth[at])
        for own_code, own_known, own_wrong in zip(code, known, wrong, strict=True):
            counts[n] = np.bincount(own_code[own_known], minlength=BINS)
            errors[n] = np.bincount(own_code[own_wrong], minlength=BINS)
            n += 1
    return counts, errors, part
