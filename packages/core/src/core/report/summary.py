"""The questions that every run answers, with headline and detail: the same on page, card and terminal."""

from __future__ import annotations

from dataclasses import dataclass

from core.report.json_pointer import to_pointer
from core.report.record import Record
from core.report.sentences import evaluation, model, training
from core.report.sentences.index import sentence
from core.report.sentences.notices import NOT_DECLARED, NOT_MEASURED, NOT_PRIVATE


@dataclass(frozen=True)
class SummaryItem:
    """One question, its headline, and the evidence for it."""

    question: str
    headline: str
    detail: str
    measured: bool
    section: str
    """The section of the record that answers it."""
    field: str = ""
    """Pointer to what the headline words; empty where nothing was measured."""

    @property
    def text(self) -> str:
        """Return headline and detail as sentences."""
        return f"{self.headline}. {self.detail}" if self.detail else self.headline


def summary_items(record: Record) -> list[SummaryItem]:
    """Return the five concerns: how good, how private, how fair, how much energy, and why."""
    return [
        _good(record),
        _private(record),
        _fair(record),
        _item(record, "How much energy?", "energy"),
        _item(record, "Why?", "explanation"),
    ]


def responsible(record: Record) -> SummaryItem:
    """Return who is responsible and how much a human decides."""
    return _item(record, "Who is responsible?", "oversight", NOT_DECLARED)


def speed(record: Record) -> SummaryItem:
    """Return how fast the model trains and predicts."""
    return _item(record, "How fast?", "performance")


def architecture(record: Record) -> SummaryItem:
    """Return which network was trained."""
    field = "/model/backbone" if record.model.parameters is None else "/model"
    return SummaryItem(
        "Which network?", model.headline(record.model), model.detail(record.model), True, "model", field
    )


def optimization(record: Record) -> SummaryItem:
    """Return how the network was trained."""
    headline = training.headline(record.training)
    if not headline:
        return _missing("How trained?", "training")
    optimizer = record.run.config.get("optimizer", {}).get("option")
    detail = (f"Optimizer {optimizer}. " if optimizer else "") + training.detail(record.training)
    return SummaryItem("How trained?", headline, detail, True, "training", "/training")


def all_items(record: Record) -> list[SummaryItem]:
    """Return all questions: the five concerns, who is responsible, and the network, its training and its speed."""
    return [
        *summary_items(record),
        responsible(record),
        architecture(record),
        optimization(record),
        speed(record),
    ]


def _item(record: Record, question: str, key: str, otherwise: str = NOT_MEASURED) -> SummaryItem:
    headline = sentence(record, f"{key}.headline")
    if not headline:
        return _missing(question, key, otherwise)
    return SummaryItem(question, headline, sentence(record, f"{key}.detail"), True, key, to_pointer(key))


def _missing(question: str, key: str, headline: str = NOT_MEASURED, detail: str = "") -> SummaryItem:
    return SummaryItem(question, headline, detail, False, key)


def _good(record: Record) -> SummaryItem:
    metric, headline = evaluation.headline_metric(record), evaluation.headline(record)
    if metric is None or not headline:
        return _missing("How good?", "metrics")
    field = to_pointer("metrics", metric)
    return SummaryItem("How good?", headline, evaluation.detail(record), True, "metrics", field)


def _private(record: Record) -> SummaryItem:
    found = _item(record, "How private?", "privacy")
    return found if found.measured else _missing("How private?", "privacy", detail=NOT_PRIVATE)


def _fair(record: Record) -> SummaryItem:
    found = _item(record, "How fair?", "fairness")
    if found.measured:
        return found
    headline, detail = evaluation.group_gap(record)
    if not headline:
        return found
    return SummaryItem("How fair?", headline, detail, True, "groups", "/groups")
