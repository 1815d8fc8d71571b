"""Filters of the page's templates: numbers of the record, each carrying the pointer to its field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.report import formatting
from core.report.record import Json

if TYPE_CHECKING:
    from markupsafe import Markup


def with_field(text: str, where: str | None) -> Markup:
    """Return a text in an element that carries the field it was copied from; without a pointer, only escape it."""
    from markupsafe import Markup, escape

    if not where:
        return escape(text)
    # An attribute takes the value as it stands: a template that puts a number into one must strip the tags.
    return Markup('<data data-field="{0}" value="{1}" title="record.json#{0}">{1}</data>').format(where, text)


def _linked(text: str, value: Json) -> Markup:
    return with_field(text, getattr(value, "pointer", None))


def number(value: float | None, signed: bool = False) -> Markup:
    """Return a statistic as ``format_number`` writes it."""
    return _linked(formatting.format_number(value, signed), value)


def si(value: float, unit: str = "") -> Markup:
    """Return a quantity as ``format_si`` writes it."""
    return _linked(formatting.format_si(value, unit), value)


def duration(seconds: float) -> Markup:
    """Return a time as ``format_duration`` writes it."""
    return _linked(formatting.format_duration(seconds), seconds)


def count(value: int | None) -> Markup:
    """Return a whole number, or a dash."""
    return _linked(formatting.format_count(value), value)


def percent(value: float | None) -> Markup:
    """Return a share in per cent, or a dash."""
    return _linked(formatting.format_percent(value), value)


def general(value: float) -> Markup:
    """Return a number in its shortest form."""
    return _linked(f"{value:g}", value)


def cell(value: Json) -> Markup:
    """Return a value of a study's table as ``format_cell`` writes it."""
    from markupsafe import Markup

    if isinstance(value, list):
        return Markup(", ").join(cell(item) for item in value)
    return _linked(formatting.format_cell(value), value)


def estimate(found: Any) -> dict[str, Json]:
    """Return value, low and high of an object, None where one is missing."""
    return {part: found.get(part) for part in ("value", "low", "high")}


def interval(found: dict[str, Json], signed: bool = False) -> Markup | str:
    """Return an interval, or nothing where none was computed."""
    low, high = found.get("low"), found.get("high")
    if low is None or high is None:
        return ""
    from markupsafe import Markup

    return Markup("{} to {}").format(number(low, signed), number(high, signed))


FILTERS = {
    "number": number,
    "si": si,
    "duration": duration,
    "count": count,
    "percent": percent,
    "general": general,
    "cell": cell,
    "estimate": estimate,
    "interval": interval,
    "with_field": with_field,
}
