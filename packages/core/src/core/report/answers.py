"""The five questions every run answers, in a sentence each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.report.record import Record
from core.report.wording import named, number, spread, verdict

NOT_MEASURED = "Not measured in this run"


@dataclass(frozen=True)
class Answer:
    """One question, its short answer, and what stands behind it."""

    question: str
    headline: str
    detail: str
    measured: bool
    key: str
    """The record's section it comes from."""


def answers(record: Record) -> list[Answer]:
    """Answer how good, how private, how fair, how much energy, and why.

    A concern's section may word its own answer under ``headline`` and ``detail``; that is then shown.
    """
    return [
        _good(record),
        _worded("How private?", "privacy", record.privacy) or _private(record.privacy),
        _worded("How fair?", "fairness", record.fairness) or _fair(record),
        _worded("How much energy?", "energy", record.energy) or _missing("How much energy?", "energy"),
        _worded("Why?", "explanation", record.explanation) or _missing("Why?", "explanation"),
    ]


def headline_metric(record: Record) -> str | None:
    """Name the figure the run is judged by: the first of its metrics."""
    return next(iter(record.metrics), None)


def _worded(question: str, key: str, section: dict[str, Any] | None) -> Answer | None:
    if not section or "headline" not in section:
        return None
    return Answer(question, str(section["headline"]), str(section.get("detail", "")), True, key)


def _missing(question: str, key: str) -> Answer:
    return Answer(question, NOT_MEASURED, "", False, key)


def _good(record: Record) -> Answer:
    metric = headline_metric(record)
    if metric is None or record.metrics[metric].value is None:
        return _missing("How good?", "metrics")
    figure = record.metrics[metric]
    confidence = record.intervals.get("confidence")
    said = []
    if spread(figure):
        share = f"{100 * confidence:.4g} % interval" if confidence else "interval"
        said.append(f"{share} {spread(figure)}, on the test part.")
    if record.challenger is not None and metric in record.challenger.metrics:
        theirs = record.challenger.metrics[metric]
        said.append(
            f"The classical challenger ({plain_name(record.challenger.name)}) reaches {number(theirs.value)}:"
        )
        difference = record.challenger.difference.get(metric)
        word = verdict(metric, difference) if difference is not None else ""
        if difference is not None and word:
            said.append(f"this model is {word}." if word != "no clear difference" else f"{word}.")
        else:
            said[-1] = said[-1].rstrip(":") + "."
    return Answer("How good?", f"{named(metric)} {number(figure.value)}", " ".join(said), True, "metrics")


def plain_name(challenger: str) -> str:
    """Name a challenger for a reader."""
    names = {
        "boosting": "gradient boosting",
        "logistic": "logistic regression",
        "tfidf": "TF-IDF with logistic regression",
        "tfidf_tagger": "TF-IDF and a linear tagger",
        "linear_probe": "linear probe of histograms",
    }
    return names.get(challenger, challenger)


def _private(section: dict[str, Any] | None) -> Answer:
    if section and section.get("epsilon") is not None:
        unit = f" per {section['unit']}" if section.get("unit") else ""
        delta = f", δ = {section['delta']:.1e}" if section.get("delta") is not None else ""
        detail = f"Differential privacy{unit}{delta}."
        return Answer("How private?", f"ε = {section['epsilon']:.3g}", detail, True, "privacy")
    return Answer(
        "How private?",
        NOT_MEASURED,
        "Trained without differential privacy: the weights may reveal who was in the training data.",
        False,
        "privacy",
    )


def _fair(record: Record) -> Answer:
    metric = headline_metric(record)
    widest: tuple[float, str] | None = None
    for attribute, table in record.groups.items():
        if " × " in attribute or metric is None:
            continue
        known = {
            name: group["metrics"][metric]["value"]
            for name, group in table["groups"].items()
            if group["metrics"].get(metric, {}).get("value") is not None
        }
        if len(known) < 2:
            continue
        low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
        gap = known[high] - known[low]
        if widest is None or gap > widest[0]:
            text = f"{attribute}: {low} {number(known[low])}, {high} {number(known[high])}."
            widest = (gap, text)
    if widest is None or metric is None:
        return _missing("How fair?", "fairness")
    return Answer(
        "How fair?",
        f"{named(metric)} gap {number(widest[0])}",
        f"Widest between groups of {widest[1]} A description, not yet an audit.",
        True,
        "groups",
    )
