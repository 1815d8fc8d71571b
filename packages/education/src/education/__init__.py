"""Plinth for education: grades of short answers, essays and pupils.

``education.train("data=table", "data.path=a.csv", "data.text=answer", "data.references=key", "data.target=grade")``
"""

from __future__ import annotations

from core.app import papers, verbs
from core.domain import Domain

DOMAIN = Domain(
    name="education",
    title="grades of short answers, essays and pupils",
    modules=(
        "education.answers",
        "education.essays",
        "education.performance",
        "education.sources.semeval2013",
        "education.sources.asap",
        "education.sources.uci_student",
    ),
)
train, evaluate, predict, serve = verbs(DOMAIN)
card, compare = papers(DOMAIN)

__version__ = "0.1.0"
__all__ = ["DOMAIN", "card", "compare", "evaluate", "predict", "serve", "train"]
