"""Reason codes: which columns speak of the same thing, and the words for it."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

from core.explanation.column_occlusion import HISTORY

Codes = Mapping[str, tuple[str, tuple[str, ...]]]
"""Code -> its words, and the columns it stands for."""

FRAUD_CODES = {
    "R2": ("the amount against what this card usually pays", ("card_ratio", "card_spread", "card_mean_*")),
    "R3": ("how often the card was used lately", ("card_count_*", "card_gap")),
    "R4": ("earlier frauds on this card", ("card_frauds",)),
    "R5": ("frauds known at this terminal", ("terminal_risk_*", "terminal_since_fraud", "terminal_last")),
    "R6": ("how busy the terminal is", ("terminal_count_*",)),
    "R7": ("the time of day or week", ("night", "weekend")),
}
"""Code -> its words and the columns it stands for; the amount is R1, the card's history R9, other columns R8."""
CREDIT_CODES = {
    "C1": ("late repayments", ("PAY_[0-9]", "*late*", "late_*")),
    "C2": ("how much of the limit is used", ("use_*", "bill_*", "room")),
    "C3": ("how much of the bills was paid", ("paid_*", "months_paid_in_full", "months_unpaid")),
    "C4": ("the credit limit", ("LIMIT_BAL", "limit")),
    "C5": ("the bureau's score", ("bureau_score",)),
    "C6": ("income", ("income",)),
    "C7": ("how long the client is known", ("years_as_client",)),
    "C8": ("how the account is used", ("months_unused",)),
}


def fraud_reason_codes(amount: str, inputs: Sequence[str]) -> Codes:
    """Give the codes of a fraud model that reads these columns."""
    codes = {"R1": ("the amount itself", (amount,)), **_kept(FRAUD_CODES, inputs)}
    rest = [c for c in inputs if not any(c in columns for _, columns in codes.values())]
    return {**codes, **{f"R8 {c}": (f"the value of {c}", (c,)) for c in rest}}


def credit_reason_codes(inputs: Sequence[str]) -> Codes:
    """Give the codes of a credit model that reads these columns; a column of no code stands for itself."""
    codes = _kept(CREDIT_CODES, inputs)
    rest = [c for c in inputs if not any(c in columns for _, columns in codes.values())]
    return {**codes, **{f"C9 {c}": (f"the value of {c}", (c,)) for c in rest}}


def reason_text(codes: Codes, code: str) -> str:
    """Give the words for a code."""
    return "what the card was used for before" if code == HISTORY else codes[code][0]


def _kept(codes: Codes, inputs: Sequence[str]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Leave each code the columns that the model reads, each to the first code that names it."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    taken: set[str] = set()
    for code, (said, patterns) in codes.items():
        columns = tuple(
            c for c in inputs if c not in taken and any(fnmatch.fnmatchcase(c, p) for p in patterns)
        )
        taken |= set(columns)
        if columns:
            found[code] = (said, columns)
    return found
