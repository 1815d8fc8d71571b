"""Figures on the page, each carrying the pointer to its field of ``record.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.report import formatting
from core.report.record import Json

if TYPE_CHECKING:
    from markupsafe import Markup


def with_field(text: str, where: str | None) -> Markup:
    """Wrap a text in an element that names the field it was copied from; without a pointer, only escape it."""
    from markupsafe import Markup, escape

    if not where:
        return escape(text)
    # An attribute takes the value as it stands: a template that puts a figure into one must strip the tags.
    return Markup('<data data-field="{0}" value="{1}" title="record.json#{0}">{1}</data>').format(where, text)


def _marked(text: str, value: Json) -> Markup:
    return with_field(text, getattr(value, "pointer", None))


def number(value: float | None, signed: bool = False) -> Markup:
    """Write a figure as ``wording.number`` does."""
    return _marked(formatting.format_number(value, signed), value)


def plainly(value: float, unit: str = "") -> Markup:
    """Write a quantity as ``wording.plainly`` does."""
    return _marked(formatting.format_si(value, unit), value)


def duration(seconds: float) -> Markup:
    """Write a time as ``wording.duration`` does."""
    return _marked(formatting.format_duration(seconds), seconds)


def whole(value: int | None) -> Markup:
    """Write a count, or a dash."""
    return _marked("–" if value is None else f"{value:,}", value)


def percent(value: float | None) -> Markup:
    """Write a share in per cent, or a dash."""
    return _marked("–" if value is None else f"{100 * value:.3g} %", value)


def general(value: float) -> Markup:
    """Write a number as short as it goes."""
    return _marked(f"{value:g}", value)


def cell(value: Json) -> Markup:
    """Write a value of a study's table as ``wording.cell`` does."""
    from markupsafe import Markup

    if isinstance(value, list):
        return Markup(", ").join(cell(item) for item in value)
    return _marked(formatting.format_cell(value), value)


def figure(found: Any) -> dict[str, Json]:
    """Take a figure's value, low and high, None where one is missing."""
    return {part: found.get(part) for part in ("value", "low", "high")}


def spread(found: dict[str, Json], signed: bool = False) -> Markup | str:
    """Write an interval, or nothing where none was made."""
    low, high = found.get("low"), found.get("high")
    if low is None or high is None:
        return ""
    from markupsafe import Markup

    return Markup("{} to {}").format(number(low, signed), number(high, signed))


FILTERS = {
    "number": number,
    "plainly": plainly,
    "duration": duration,
    "whole": whole,
    "percent": percent,
    "general": general,
    "cell": cell,
    "figure": figure,
    "spread": spread,
    "marked": with_field,
}
