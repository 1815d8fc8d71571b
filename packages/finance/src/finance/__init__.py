"""Plinth for finance: fraud from a card's transactions, default from a client's record.

``finance.train("data=transactions", "data.path=payments.parquet", "data.card=card", "data.label=fraud")``
"""

from __future__ import annotations

from core.app import papers, verbs
from core.domain import Domain
from finance.stream.config import monitor as watching

DOMAIN = Domain(
    name="finance",
    title="fraud from a card's transactions, default from a client's record",
    modules=(
        "finance.fraud",
        "finance.credit",
        "finance.sources.fdh",
        "finance.sources.transactions",
        "finance.sources.taiwan",
    ),
)
train, evaluate, predict, serve = verbs(DOMAIN)
card, compare = papers(DOMAIN)
monitor = watching(DOMAIN)

__version__ = "0.1.0"
__all__ = ["DOMAIN", "card", "compare", "evaluate", "monitor", "predict", "serve", "train"]
