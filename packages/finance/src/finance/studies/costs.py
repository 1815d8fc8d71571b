"""Where the threshold should lie when alarms, stopped customers and missed frauds have a price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.evaluation.study import StudyResult
from finance.studies.resampling import ratio_of_sums

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CostMatrix:
    """The cost table, in the unit of the amounts."""

    flag: float
    """Of every flagged row, right or wrong."""
    false: float
    """Of a flagged row that was negative, beyond that."""
    miss: float
    """Of a positive row that was not flagged."""
    share: float
    """Share of its amount lost beyond that."""

    def of(self, positive: NDArray[np.bool_], flagged: NDArray[np.bool_], amount: Array) -> Array:
        """Give each row's cost, (N,)."""
        missed = np.where(positive, self.miss + self.share * amount, 0.0)
        spent = self.flag + np.where(positive, 0.0, self.false)
        return np.where(flagged, spent, missed)


def cost_optimal_threshold(
    cost_sensitive_threshold: CostMatrix, positive: NDArray[np.bool_], score: Array, amount: Array
) -> float:
    """Find the threshold t of "flag where score >= t" with the least total cost; above 1 where flagging never pays.

    Of equally cheap ones the highest; t lies halfway between neighbouring scores.
    """
    order = np.argsort(-score, kind="stable")
    flagged = cost_sensitive_threshold.of(positive, np.ones(len(score), bool), amount)[order]
    passed = cost_sensitive_threshold.of(positive, np.zeros(len(score), bool), amount)[order]
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
    held: EvaluationContext, table: CostMatrix, amounts: Mapping[str, Array]
) -> StudyResult:
    """Choose the cheapest threshold on validation and say what it costs on test, beside the run's and none at all."""
    validation, test = held.parts["validation"], held.parts["test"]
    amount = {name: amounts.get(name, np.zeros(len(part))) for name, part in held.parts.items()}
    cut = cost_optimal_threshold(
        table, validation.targets == 1, validation.scores[:, 1], amount["validation"]
    )
    positive, score = test.targets == 1, test.scores[:, 1]
    ways = {
        "cost-optimal": score >= cut,
        "the run's threshold": test.labels == 1,
        "flag nothing": np.zeros(len(test), bool),
        "flag everything": np.ones(len(test), bool),
    }
    each = {name: table.of(positive, flagged, amount["test"]) for name, flagged in ways.items()}
    nothing, ones = each["flag nothing"], np.ones(len(test))
    figures = {
        "cost_optimal_threshold": {"value": cut, "low": None, "high": None},
        "cost_per_row": ratio_of_sums(held, "test", each["cost-optimal"], ones),
        "saved_share": ratio_of_sums(held, "test", nothing - each["cost-optimal"], nothing),
    }
    rows = [
        {
            "rule": name,
            "flagged": float(ways[name].mean()),
            "caught": float(ways[name][positive].mean()) if positive.any() else None,
            "cost per 1,000 rows": float(1000 * cost.mean()),
        }
        for name, cost in each.items()
    ]
    priced = [
        {"what": "a flagged row", "cost": table.flag},
        {"what": "and if it was negative, beyond that", "cost": table.false},
        {"what": "a positive that is not flagged", "cost": table.miss},
        {"what": "and of its amount, the share", "cost": table.share},
    ]
    saved = figures["saved_share"]["value"]
    told = "undefined" if saved is None else f"{saved:.0%}"
    return StudyResult(
        f"At the cheapest threshold of validation ({cut:.4g}), {told} of the cost without a model is saved on test.",
        figures,
        {"Cost of each rule on test": rows, "The cost table": priced},
        notes=[
            "Scores are recalibrated on validation; the threshold was chosen there and not moved for the test."
        ],
    )
