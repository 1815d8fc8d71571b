"""The questions every run answers, in a sentence each: five about the model, and who answers for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.report.json_pointer import to_pointer
from core.report.record import Record
from core.report.formatting import format_duration, display_name, format_number, format_interval, verdict

NOT_MEASURED = "Not measured in this run"


@dataclass(frozen=True)
class SummaryItem:
    """One question, its short answer, and what stands behind it."""

    question: str
    headline: str
    detail: str
    measured: bool
    key: str
    """The record's section it comes from."""
    field: str = ""
    """Pointer to what the headline says; empty where nothing was measured."""

    @property
    def detail_field(self) -> str:
        """Give the pointer to the detail; empty where it is put together from several fields."""
        worded = self.field == to_pointer(self.key, "headline") and self.detail
        return to_pointer(self.key, "detail") if worded else ""


def summary_items(record: Record) -> list[SummaryItem]:
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


def responsible(record: Record) -> SummaryItem:
    """Answer who is responsible and how much a human decides."""
    question = "Who is responsible?"
    return _worded(question, "oversight", record.oversight) or SummaryItem(
        question, "Not declared in this run", "", False, "oversight"
    )


def speed(record: Record) -> SummaryItem:
    """Answer how fast the model trains and answers."""
    return _worded("How fast?", "performance", record.performance) or _missing("How fast?", "performance")


def architecture(record: Record) -> SummaryItem:
    """Say what network was trained."""
    m = record.model
    if m.parameters is None:
        return SummaryItem("What network?", m.backbone, "", True, "model", "/model/backbone")
    detail = f"Backbone {m.backbone}, adapter {m.adapter or 'none'}"
    if m.trainable is not None:
        detail += f"; {m.trainable:,} of {m.parameters:,} weights were trained"
    return SummaryItem(
        "What network?", f"{m.parameters:,} weights", f"{detail}.", True, "model", "/model/parameters"
    )


def optimization(record: Record) -> SummaryItem:
    """Say how the network was trained."""
    t, question = record.training, "How trained?"
    if t.steps is None:
        return _missing(question, "training")
    optimizer = record.run.config.get("optimizer", {}).get("option")
    detail = [
        f"Optimizer {optimizer}" if optimizer else "",
        f"precision {t.precision}" if t.precision else "",
    ]
    if t.seconds is not None:
        detail.append(f"took {format_duration(t.seconds)}")
    reason = (t.model_extra or {}).get("reason")
    told = ", ".join(part for part in detail if part)
    told = f"{told[:1].upper()}{told[1:]}" + (f"; ended because {reason}" if reason else "")
    return SummaryItem(question, f"{t.steps:,} steps", f"{told}.", True, "training", "/training/steps")


def headline_metric(record: Record) -> str | None:
    """Name the figure the run is judged by: the first of its metrics."""
    return next(iter(record.metrics), None)


def _worded(question: str, key: str, section: dict[str, Any] | None) -> SummaryItem | None:
    if not section or "headline" not in section:
        return None
    return SummaryItem(
        question,
        str(section["headline"]),
        str(section.get("detail", "")),
        True,
        key,
        to_pointer(key, "headline"),
    )


def _missing(question: str, key: str) -> SummaryItem:
    return SummaryItem(question, NOT_MEASURED, "", False, key)


def _good(record: Record) -> SummaryItem:
    metric = headline_metric(record)
    if metric is None or record.metrics[metric].value is None:
        return _missing("How good?", "metrics")
    figure = record.metrics[metric]
    confidence = record.intervals.get("confidence")
    said = []
    if format_interval(figure):
        share = f"{100 * confidence:.4g} % interval" if confidence else "interval"
        said.append(f"{share} {format_interval(figure)}, on the test part.")
    if record.baseline is not None and metric in record.baseline.metrics:
        theirs = record.baseline.metrics[metric]
        said.append(
            f"The classical baseline ({baseline_name(record.baseline.name)}) reaches {format_number(theirs.value)}:"
        )
        difference = record.baseline.difference.get(metric)
        word = verdict(metric, difference) if difference is not None else ""
        if difference is not None and word:
            said.append(f"this model is {word}." if word != "no clear difference" else f"{word}.")
        else:
            said[-1] = said[-1].rstrip(":") + "."
    headline = f"{display_name(metric)} {format_number(figure.value)}"
    return SummaryItem("How good?", headline, " ".join(said), True, "metrics", to_pointer("metrics", metric, "value"))


def baseline_name(baseline: str) -> str:
    """Name a baseline for a reader."""
    names = {
        "boosting": "gradient boosting",
        "logistic": "logistic regression",
        "tfidf": "TF-IDF with logistic regression",
        "tfidf_tagger": "TF-IDF and a linear tagger",
        "linear_probe": "linear probe of histograms",
    }
    return names.get(baseline, baseline)


def _private(section: dict[str, Any] | None) -> SummaryItem:
    if section and section.get("epsilon") is not None:
        unit = f" per {section['unit']}" if section.get("unit") else ""
        delta = f", δ = {section['delta']:.1e}" if section.get("delta") is not None else ""
        detail = f"Differential privacy{unit}{delta}."
        return SummaryItem(
            "How private?", f"ε = {section['epsilon']:.3g}", detail, True, "privacy", "/privacy/epsilon"
        )
    return SummaryItem(
        "How private?",
        NOT_MEASURED,
        "Trained without differential privacy: the weights may reveal who was in the training data.",
        False,
        "privacy",
    )


def _fair(record: Record) -> SummaryItem:
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
            text = f"{attribute}: {low} {format_number(known[low])}, {high} {format_number(known[high])}."
            widest = (gap, text)
    if widest is None or metric is None:
        return _missing("How fair?", "fairness")
    return SummaryItem(
        "How fair?",
        f"{display_name(metric)} gap {format_number(widest[0])}",
        f"Widest between groups of {widest[1]} A description, not yet an audit.",
        True,
        "groups",
    )
