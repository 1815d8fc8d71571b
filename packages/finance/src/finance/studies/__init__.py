"""Studies of risk management on held-out rows, beyond metrics of the predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext, Study, StudyResult
    from finance.credit import Credit
    from finance.fraud import Fraud
    from finance.reasons import Codes


def fraud_studies(kind: str, task: Fraud) -> dict[str, Study]:
    """Return the studies of card fraud; what each needs is imported when it runs."""

    def alerts(context: EvaluationContext) -> StudyResult:
        from finance.studies.alerts import alerts as study

        return study(context, task.capacity, _amount(context))

    def costs(context: EvaluationContext) -> StudyResult:
        from finance.studies.costs import CostMatrix, cost_sensitive_threshold

        amount = (
            context.frames["test"][_amount(context)].abs(),
            context.frames["validation"][_amount(context)].abs(),
        )
        matrix = CostMatrix(task.review_cost, task.friction_cost, task.miss_cost, task.miss_amount_fraction)
        return cost_sensitive_threshold(
            context, matrix, {"test": amount[0].to_numpy(float), "validation": amount[1].to_numpy(float)}
        )

    def codes(context: EvaluationContext) -> Codes:
        from finance.reasons import fraud_reason_codes

        return fraud_reason_codes(_amount(context), context.dataset.roles.inputs())

    common = _common(task.max_fpr_difference, task.num_reasons, codes)
    return {"binary": {"alerts": alerts, "costs": costs, **common}}.get(kind, {})


def credit_studies(kind: str, task: Credit) -> dict[str, Study]:
    """Return the studies of credit default."""

    def costs(context: EvaluationContext) -> StudyResult:
        from finance.studies.costs import CostMatrix, cost_sensitive_threshold

        return cost_sensitive_threshold(
            context, CostMatrix(0.0, task.refuse_cost, task.default_cost, 0.0), {}
        )

    def codes(context: EvaluationContext) -> Codes:
        from finance.reasons import credit_reason_codes

        return credit_reason_codes(context.dataset.roles.inputs())

    common = _common(task.max_fpr_difference, task.num_reasons, codes)
    return {"binary": {"costs": costs, **common}}.get(kind, {})


def _common(max_fpr_difference: float, num_reasons: int, codes: _CodesOf) -> dict[str, Study]:
    def drift(context: EvaluationContext) -> StudyResult:
        from finance.studies.drift import drift as study

        return study(context)

    def predictive_equality(context: EvaluationContext) -> StudyResult:
        from finance.studies.predictive_equality import predictive_equality as study

        return study(context, max_fpr_difference)

    def reason_codes(context: EvaluationContext) -> StudyResult:
        from finance.studies.reasons import reason_codes as study

        return study(context, codes(context), num_reasons)

    def latency(context: EvaluationContext) -> StudyResult:
        from finance.studies.latency import latency as study

        return study(context)

    return {
        "drift": drift,
        "predictive_equality": predictive_equality,
        "reason_codes": reason_codes,
        "latency": latency,
    }


def _amount(context: EvaluationContext) -> str:
    """Return the column of amounts: the first numeric input of every source of transactions."""
    return context.dataset.roles.numeric[0]


if TYPE_CHECKING:
    from collections.abc import Callable

    _CodesOf = Callable[[EvaluationContext], Codes]
