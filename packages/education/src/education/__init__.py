"""Plinth for education: grades of short answers, essays and pupils.

``education.train("data=table", "data.path=a.csv", "data.text=answer", "data.references=key", "data.target=grade")``
"""

from __future__ import annotations

from core.cli.commands import commands, reporting_commands
from core.domain import Domain
from education.glossary import METRICS
from education.grading.command import feedback as _feedback

DOMAIN = Domain(
    name="education",
    title="grades of short answers, essays and pupils",
    metrics=METRICS,
    modules=(
        "education.answers",
        "education.essays",
        "education.performance",
        "education.sources.semeval2013",
        "education.sources.asap",
        "education.sources.uci_student",
    ),
)
train, evaluate, predict, serve = commands(DOMAIN)
card, compare = reporting_commands(DOMAIN)
feedback = _feedback(DOMAIN)

__version__ = "0.2.0"
__all__ = ["DOMAIN", "card", "compare", "evaluate", "feedback", "predict", "serve", "train"]
