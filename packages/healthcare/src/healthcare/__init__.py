"""Plinth for healthcare: diagnosis from records, notes, images and heartbeats.

``healthcare.train("task=records", "data=table", "data.path=ward.csv", "data.target=outcome")``
"""

from __future__ import annotations

from core.app import papers, verbs
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
train, evaluate, predict, serve = verbs(DOMAIN)
card, compare = papers(DOMAIN)

__version__ = "0.1.0"
__all__ = ["DOMAIN", "card", "compare", "evaluate", "predict", "serve", "train"]
