"""Every sentence about a record by its name: ``fairness.headline``, ``evaluation.method``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any, get_args, get_type_hints

from core.report.record import Record
from core.report.sentences import (
    energy,
    evaluation,
    explanation,
    fairness,
    model,
    oversight,
    performance,
    privacy,
    training,
    uncertainty,
)

WHOLE: dict[str, ModuleType] = {"evaluation": evaluation}
"""Modules whose functions take the whole record."""
SECTIONS: dict[str, ModuleType] = {
    "model": model,
    "training": training,
    "privacy": privacy,
    "fairness": fairness,
    "explanation": explanation,
    "uncertainty": uncertainty,
    "oversight": oversight,
    "energy": energy,
    "performance": performance,
}
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
    """Return the sentences of a function that returns a list, or the one of another; empty ones are left out."""
    room, _, function = name.partition(".")
    subject = record if room in WHOLE else getattr(record, room, None)
    if subject is None or room not in MODULES:
        return []
    found = getattr(MODULES[room], function)(subject)
    return [text for text in ([found] if isinstance(found, str) else found) if text]


def about_section(record: Record, room: str) -> str:
    """Return headline and detail of a section; empty where the run has none."""
    headline, detail = (sentence(record, f"{room}.{part}") for part in ("headline", "detail"))
    return f"{headline}. {detail}" if detail else headline


def about(record: Record, room: str) -> set[str]:
    """Return all sentences that the module of a section can make of this record."""
    return {text for name in _names(room, record) for text in sentences(record, name)}


def _names(room: str, record: Record) -> Iterator[str]:
    subject: Any = record if room in WHOLE else getattr(record, room, None)
    if subject is None or room not in MODULES:
        return
    for name, function in inspect.getmembers(MODULES[room], inspect.isfunction):
        required = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.default is inspect.Parameter.empty
        ]
        hints = get_type_hints(function)
        if (
            len(required) == 1
            and _accepts(hints.get(required[0]), subject)
            and hints.get("return") in (str, list[str])
        ):
            yield f"{room}.{name}"


def _accepts(hint: Any, value: object) -> bool:
    """Return whether a value is of an annotated class, or of one in a union."""
    inner = get_args(hint)
    return (
        any(_accepts(part, value) for part in inner)
        if inner
        else isinstance(hint, type) and isinstance(value, hint)
    )
