"""Cost-sensitive threshold: the least expected cost of false positives and false negatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.evaluation.bootstrap import estimate, ratio_estimate
from core.evaluation.study import StudyResult

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CostMatrix:
    """The cost matrix, in the unit of the amounts."""

    flag: float
    """Of every flagged row, right or wrong."""
    false_positive: float
    """Of a flagged row that is negative, in addition."""
    false_negative: float
    """Of a positive row that is not flagged."""
    amount_fraction: float
    """Fraction of its amount that is lost, in addition."""

    def costs(self, positive: NDArray[np.bool_], flagged: NDArray[np.bool_], amount: Array) -> Array:
        """Return each row's cost, (N,)."""
        missed = np.where(positive, self.false_negative + self.amount_fraction * amount, 0.0)
        spent = self.flag + np.where(positive, 0.0, self.false_positive)
        return np.where(flagged, spent, missed)


def cost_optimal_threshold(
    matrix: CostMatrix, positive: NDArray[np.bool_], score: Array, amount: Array
) -> float:
    """Return the threshold t of "flag where score >= t" with the least total cost; above 1 where flagging never pays.

    Of equal costs the highest threshold; t lies halfway between neighboring scores.
    """
    order = np.argsort(-score, kind="stable")
    flagged = matrix.costs(positive, np.ones(len(score), bool), amount)[order]
    passed = matrix.costs(positive, np.zeros(len(score), bool), amount)[order]
    total = passed.sum() + np.concatenate([[0.0], np.cumsum(flagged - passed)])
    sorted_ = score[order]
    possible = np.concatenate(
        [[True], sorted_[1:] < sorted_[:-1], [True]]
    )  # equal scores are flagged together
    best = int(np.argmin(np.where(possible, total, np.inf)))
    if best == 0:
        return float(np.nextafter(max(float(sorted_[0]), 1.0), 2.0))
    below = sorted_[best] if best < len(sorted_) else sorted_[best - 1]
    return float((sorted_[best - 1] + below) / 2)


def cost_sensitive_threshold(
    context: EvaluationContext, matrix: CostMatrix, amounts: Mapping[str, Array]
) -> StudyResult:
    """Choose the least-cost threshold on validation; compare its cost on test with the run's and with no model."""
    validation, test = context.parts["validation"], context.parts["test"]
    amount = {name: amounts.get(name, np.zeros(len(part))) for name, part in context.parts.items()}
    threshold = cost_optimal_threshold(
        matrix, validation.targets == 1, validation.scores[:, 1], amount["validation"]
    )
    positive, score = test.targets == 1, test.scores[:, 1]
    rules = {
        "cost-optimal": score >= threshold,
        "the run's threshold": test.labels == 1,
        "flag nothing": np.zeros(len(test), bool),
        "flag everything": np.ones(len(test), bool),
    }
    cost = {name: matrix.costs(positive, flagged, amount["test"]) for name, flagged in rules.items()}
    nothing, ones = cost["flag nothing"], np.ones(len(test))
    metrics = {
        "cost_optimal_threshold": estimate(threshold),
        "cost_per_row": ratio_estimate(context, cost["cost-optimal"], ones, test.units),
        "savings": ratio_estimate(context, nothing - cost["cost-optimal"], nothing, test.units),
    }
    rows = [
        {
            "rule": name,
            "alert rate": float(rules[name].mean()),
            "recall": float(rules[name][positive].mean()) if positive.any() else None,
            "cost per 1,000 rows": float(1000 * of_rule.mean()),
        }
        for name, of_rule in cost.items()
    ]
    entries = [
        {"entry": "a flagged row", "cost": matrix.flag},
        {"entry": "a false positive, in addition", "cost": matrix.false_positive},
        {"entry": "a false negative", "cost": matrix.false_negative},
        {"entry": "a false negative, fraction of its amount in addition", "cost": matrix.amount_fraction},
    ]
    savings = metrics["savings"].value
    saved = "an undefined fraction" if savings is None else f"{savings:.0%}"
    return StudyResult(
        f"At the cost-optimal threshold of validation ({threshold:.4g}), {saved} of the cost without a model is "
        "saved on test.",
        metrics,
        {"Cost of each rule on test": rows, "Cost matrix": entries},
        notes=[
            "Scores are recalibrated on validation; the threshold is chosen there and not changed for the test.",
            "Savings: 1 - cost / cost without a model (Bahnsen et al. 2015).",
        ],
    )
