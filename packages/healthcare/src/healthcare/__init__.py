"""Plinth for healthcare: diagnosis from records, notes, images and heartbeats.

``healthcare.train("task=records", "data=table", "data.path=ward.csv", "data.target=outcome")``
"""

from __future__ import annotations

from core.cli.commands import commands, reporting_commands
from core.domain import Domain

DOMAIN = Domain(
    name="healthcare",
    title="diagnosis from records, notes, images and heartbeats",
    modules=(
        "healthcare.records",
        "healthcare.notes",
        "healthcare.images",
        "healthcare.ecg",
        "healthcare.sources.diabetes130",
        "healthcare.sources.heart",
        "healthcare.sources.mtsamples",
        "healthcare.sources.ham10000",
        "healthcare.sources.mitbih",
    ),
)
train, evaluate, predict, serve = commands(DOMAIN)
card, compare = reporting_commands(DOMAIN)

__version__ = "0.2.0"
__all__ = ["DOMAIN", "card", "compare", "evaluate", "predict", "serve", "train"]
