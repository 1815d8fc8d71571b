"""What a bank asks of held-out rows beyond figures of the predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext, Study, StudyResult
    from finance.credit import Credit
    from finance.fraud import Fraud
    from finance.reasons import Codes


def fraud_studies(task: Fraud) -> dict[str, Study]:
    """Name the studies of card fraud; what each needs is imported when it is carried out."""

    def alerts(held: EvaluationContext) -> StudyResult:
        from finance.studies.alerts import alerts as study

        return study(held, task.capacity, _amount(held))

    def cost_sensitive_threshold(held: EvaluationContext) -> StudyResult:
        from finance.studies.costs import CostMatrix, cost_sensitive_threshold

        amount = held.frames["test"][_amount(held)].abs(), held.frames["validation"][_amount(held)].abs()
        table = CostMatrix(task.review_cost, task.friction_cost, task.miss_cost, task.miss_share)
        return cost_sensitive_threshold(
            held, table, {"test": amount[0].to_numpy(float), "validation": amount[1].to_numpy(float)}
        )

    def codes(held: EvaluationContext) -> Codes:
        from finance.reasons import fraud_reason_codes

        return fraud_reason_codes(_amount(held), held.dataset.roles.inputs())

    return {
        "alerts": alerts,
        "costs": cost_sensitive_threshold,
        **_common(task.equality_gap, task.reasons, codes),
    }


def credit_studies(task: Credit) -> dict[str, Study]:
    """Name the studies of credit default."""

    def cost_sensitive_threshold(held: EvaluationContext) -> StudyResult:
        from finance.studies.costs import CostMatrix, cost_sensitive_threshold

        return cost_sensitive_threshold(held, CostMatrix(0.0, task.refuse_cost, task.default_cost, 0.0), {})

    def codes(held: EvaluationContext) -> Codes:
        from finance.reasons import credit_reason_codes

        return credit_reason_codes(held.dataset.roles.inputs())

    return {"costs": cost_sensitive_threshold, **_common(task.equality_gap, task.reasons, codes)}


def _common(gap: float, reasons: int, codes: _CodesOf) -> dict[str, Study]:
    def drift(held: EvaluationContext) -> StudyResult:
        from finance.studies.drift import drift as study

        return study(held)

    def predictive_equality(held: EvaluationContext) -> StudyResult:
        from finance.studies.predictive_equality import predictive_equality as study

        return study(held, gap)

    def why(held: EvaluationContext) -> StudyResult:
        from finance.studies.reasons import reasons as study

        return study(held, codes(held), reasons)

    def latency(held: EvaluationContext) -> StudyResult:
        from finance.studies.latency import latency as study

        return study(held)

    return {"drift": drift, "groups": predictive_equality, "reasons": why, "speed": latency}


def _amount(held: EvaluationContext) -> str:
    """Name the column of amounts: the first numeric input, as every source of transactions lays it out."""
    return held.dataset.roles.numeric[0]


if TYPE_CHECKING:
    from collections.abc import Callable

    _CodesOf = Callable[[EvaluationContext], Codes]
