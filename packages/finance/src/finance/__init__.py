"""Plinth for finance: fraud from a card's transactions, default from a client's record.

``finance.train("data=transactions", "data.path=payments.parquet", "data.card=card", "data.label=fraud")``
"""

from __future__ import annotations

from core.cli.commands import commands, reporting_commands
from core.domain import Domain
from finance.glossary import METRICS
from finance.stream.config import monitor as _monitor

DOMAIN = Domain(
    name="finance",
    title="fraud from a card's transactions, default from a client's record",
    metrics=METRICS,
    modules=(
        "finance.fraud",
        "finance.credit",
        "finance.sources.fdh",
        "finance.sources.transactions",
        "finance.sources.taiwan",
    ),
)
train, evaluate, predict, serve = commands(DOMAIN)
card, compare = reporting_commands(DOMAIN)
monitor = _monitor(DOMAIN)

__version__ = "0.2.0"
__all__ = ["DOMAIN", "card", "compare", "evaluate", "monitor", "predict", "serve", "train"]
