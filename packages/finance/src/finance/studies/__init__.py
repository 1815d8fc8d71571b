"""What a bank asks of held-out rows beyond figures of the predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.evaluation.study import Findings, Held, Study
    from finance.credit import Credit
    from finance.fraud import Fraud
    from finance.reasons import Codes


def of_fraud(task: Fraud) -> dict[str, Study]:
    """Name the studies of card fraud; what each needs is imported when it is carried out."""

    def alerts(held: Held) -> Findings:
        from finance.studies.alerts import alerts as study

        return study(held, task.capacity, _amount(held))

    def costs(held: Held) -> Findings:
        from finance.studies.costs import Costs, costs

        amount = held.frames["test"][_amount(held)].abs(), held.frames["validation"][_amount(held)].abs()
        table = Costs(task.review_cost, task.friction_cost, task.miss_cost, task.miss_share)
        return costs(
            held, table, {"test": amount[0].to_numpy(float), "validation": amount[1].to_numpy(float)}
        )

    def codes(held: Held) -> Codes:
        from finance.reasons import of_columns

        return of_columns(_amount(held), held.dataset.fields.inputs())

    return {"alerts": alerts, "costs": costs, **_common(task.equality_gap, task.reasons, codes)}


def of_credit(task: Credit) -> dict[str, Study]:
    """Name the studies of credit default."""

    def costs(held: Held) -> Findings:
        from finance.studies.costs import Costs, costs

        return costs(held, Costs(0.0, task.refuse_cost, task.default_cost, 0.0), {})

    def codes(held: Held) -> Codes:
        from finance.reasons import of_clients

        return of_clients(held.dataset.fields.inputs())

    return {"costs": costs, **_common(task.equality_gap, task.reasons, codes)}


def _common(gap: float, reasons: int, codes: _CodesOf) -> dict[str, Study]:
    def drift(held: Held) -> Findings:
        from finance.studies.drift import drift as study

        return study(held)

    def groups(held: Held) -> Findings:
        from finance.studies.groups import groups as study

        return study(held, gap)

    def why(held: Held) -> Findings:
        from finance.studies.reasons import reasons as study

        return study(held, codes(held), reasons)

    def speed(held: Held) -> Findings:
        from finance.studies.speed import speed as study

        return study(held)

    return {"drift": drift, "groups": groups, "reasons": why, "speed": speed}


def _amount(held: Held) -> str:
    """Name the column of amounts: the first numeric input, as every source of transactions lays it out."""
    return held.dataset.fields.numeric[0]


if TYPE_CHECKING:
    from collections.abc import Callable

    _CodesOf = Callable[[Held], Codes]
