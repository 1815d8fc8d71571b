"""Every sentence about a record by its name: ``fairness.headline``, ``evaluation.method``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from core.report.record import Record
from core.report.sentences import evaluation, model, training

WHOLE: dict[str, ModuleType] = {"evaluation": evaluation}
"""Modules whose functions take the whole record."""
SECTIONS: dict[str, ModuleType] = {"model": model, "training": training}
"""Section of the record -> the module whose functions take it."""
MODULES = WHOLE | SECTIONS


def sentence(record: Record, name: str) -> str:
    """Return a sentence by module and function; empty where the run has no such section.

    >>> from core.report.record import DataSection, ModelSection, Record, RunSection
    >>> run, data = RunSection(domain="d", task="t"), DataSection(source="s", simulated=False)
    >>> sentence(Record(run=run, data=data, model=ModelSection(backbone="tabular", parameters=1234)), "model.headline")
    '1,234 parameters'
    """
    found = sentences(record, name)
    assert len(found) <= 1, f"{name} is a list"
    return found[0] if found else ""


def sentences(record: Record, name: str) -> list[str]:
    """Return the sentences of a function that gives a list, or the one of another in a list; empty ones are left out."""
    room, _, function = name.partition(".")
    subject = record if room in WHOLE else getattr(record, room)
    if subject is None:
        return []
    if isinstance(subject, dict):
        found = subject.get(function, "")
    else:
        found = getattr(MODULES[room], function)(subject)
    return [text for text in ([found] if isinstance(found, str) else found) if text]


def about(record: Record, room: str) -> set[str]:
    """Return all sentences that the module of a section can make of this record."""
    return {text for name in _names(room, record) for text in sentences(record, name)}


def _names(room: str, record: Record) -> Iterator[str]:
    subject: Any = record if room in WHOLE else getattr(record, room, None)
    if isinstance(subject, dict):
        yield from (f"{room}.{name}" for name in ("headline", "detail"))
        return
    kind = type(subject).__name__
    for name, function in inspect.getmembers(MODULES.get(room), inspect.isfunction):
        parameters = inspect.signature(function).parameters.values()
        required = [p.annotation for p in parameters if p.default is inspect.Parameter.empty]
        if required == [kind] and inspect.signature(function).return_annotation in ("str", "list[str]"):
            yield f"{room}.{name}"
