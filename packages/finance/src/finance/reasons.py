"""Reason codes: groups of related input columns, and the text of each group."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

from core.explanation.column_occlusion import HISTORY

Codes = Mapping[str, tuple[str, tuple[str, ...]]]
"""Code -> (text, columns of the group)."""

FRAUD_CODES = {
    "R2": ("the amount relative to the card's usual amounts", ("card_ratio", "card_spread", "card_mean_*")),
    "R3": ("recent frequency of use of the card", ("card_count_*", "card_gap")),
    "R4": ("earlier frauds on this card", ("card_frauds",)),
    "R5": ("known frauds at this terminal", ("terminal_risk_*", "terminal_since_fraud", "terminal_last")),
    "R6": ("recent number of transactions at the terminal", ("terminal_count_*",)),
    "R7": ("the time of day or week", ("night", "weekend")),
}
"""Code -> (text, patterns of columns); the amount is R1, the card's history R9, every other column R8."""
CREDIT_CODES = {
    "C1": ("late repayments", ("PAY_[0-9]", "*late*", "late_*")),
    "C2": ("utilization of the credit limit", ("use_*", "bill_*", "room")),
    "C3": ("payments relative to the bills", ("paid_*", "months_paid_in_full", "months_unpaid")),
    "C4": ("the credit limit", ("LIMIT_BAL", "limit")),
    "C5": ("the credit bureau's score", ("bureau_score",)),
    "C6": ("income", ("income",)),
    "C7": ("length of the relationship with the client", ("years_as_client",)),
    "C8": ("account activity", ("months_unused",)),
}


def fraud_reason_codes(amount: str, inputs: Sequence[str]) -> Codes:
    """Return the codes of a fraud model with these input columns; a column of no group gets a code of its own."""
    codes = {"R1": ("the amount itself", (amount,)), **_matching_groups(FRAUD_CODES, inputs)}
    rest = [c for c in inputs if not any(c in columns for _, columns in codes.values())]
    return {**codes, **{f"R8 {c}": (f"the value of {c}", (c,)) for c in rest}}


def credit_reason_codes(inputs: Sequence[str]) -> Codes:
    """Return the codes of a credit model with these input columns; a column of no group gets a code of its own."""
    codes = _matching_groups(CREDIT_CODES, inputs)
    rest = [c for c in inputs if not any(c in columns for _, columns in codes.values())]
    return {**codes, **{f"C9 {c}": (f"the value of {c}", (c,)) for c in rest}}


def reason_text(codes: Codes, code: str) -> str:
    """Return the text of a code."""
    return "the card's earlier transactions" if code == HISTORY else codes[code][0]


def _matching_groups(codes: Codes, inputs: Sequence[str]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the groups restricted to the model's input columns; a column belongs to the first group it matches."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    taken: set[str] = set()
    for code, (text, patterns) in codes.items():
        columns = tuple(
            c for c in inputs if c not in taken and any(fnmatch.fnmatchcase(c, p) for p in patterns)
        )
        taken |= set(columns)
        if columns:
            found[code] = (text, columns)
    return found
