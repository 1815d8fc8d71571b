"""Facts of a record in Markdown, each a link to the field that it came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from core.report.json_pointer import fragment, to_pointer, resolve, split_pointer
from core.report.record import Json, Record, plain
from core.report.formatting import format_duration, display_name, format_number, format_si

MARKED = "TO BE FILLED BY A HUMAN"
SHOWN = 8
"""Items of a list or a group of fields that a document writes out; the record has them all."""


def _percent(value: float) -> str:
    return f"{100 * value:.3g} %"


FORMS: Mapping[str, Callable[[float], str]] = {
    "joules": lambda v: format_si(v, "J"),
    "grams": lambda v: format_si(v, "g"),
    "seconds": format_duration,
    "peak_memory_bytes": lambda v: format_si(v, "B"),
    "peak_device_memory_bytes": lambda v: format_si(v, "B"),
    "band": _percent,
    "measured_share": _percent,
    "delta": lambda v: f"{v:.1e}",
    "year": str,
    "seed": str,
    "schema_version": str,
}
"""How a number is written, by the name of its field."""


class MarkdownLinks:
    """Write values of a record as links, ``[0.840 (0.804 to 0.873)](record.json#/metrics/auroc "...")``.

    ``above`` is the way from the document to the record's folder, such as ``../``. Each link's title names the
    field and the first digits of the record's seal.
    """

    def __init__(self, record: Record, above: str = "") -> None:
        assert record.seal, "a document quotes a sealed record"
        self.content: Json = plain(record)
        self.seal = record.seal
        self._file = f"{above}record.json"

    def __call__(self, where: str, unit: str = "") -> str:
        """Write the value at a pointer in its natural form; a dash, without a link, where there is none.

        ``unit`` names a field whose form it takes, where its own name doesn't tell.
        """
        value = self.at(where)
        if value is None:
            return "–"
        return self.link(escape_markdown(written(value, unit or split_pointer(where)[-1])), where)

    def at(self, where: str) -> Json:
        """Give the value at a pointer; None where nothing stands."""
        try:
            return resolve(self.content, where)
        except KeyError:
            return None

    def link(self, text: str, where: str) -> str:
        """Link a text, which is Markdown already, to a field."""
        field = ".".join(split_pointer(where)).replace('"', "'").replace("|", "/")
        return f'[{text}]({self._file}{fragment(where)} "{field} of record {self.seal[:12]}")'

    def lines(self, where: str, label: str = "") -> list[str]:
        """Write all that stands at a pointer, a line a fact, each with its label; nothing where there is nothing."""
        value = self.at(where)
        label = label or escape_markdown(" › ".join(_readable(step) for step in split_pointer(where)))
        if value is None or value in ([], {}, ""):
            return []
        if isinstance(value, Mapping) and all(
            isinstance(v, Mapping) and "summary" in v for v in value.values()
        ):
            return [line for name in value for line in self.lines(where + to_pointer(name))]
        if isinstance(value, Mapping) and "summary" in value:
            figures = self._fields(where + "/figures", "figures", value.get("figures", {}))
            return [f"{label}: {'; '.join([self(where + '/summary'), *figures])}"]
        if isinstance(value, Mapping) and "headline" in value:
            told = [self(where + to_pointer(part)) for part in ("headline", "detail") if value.get(part)]
            return [f"{label}: {'. '.join(told)}"]
        if isinstance(value, Mapping) and "value" not in value:
            return self._fields(where, label, value)
        return [f"{label}: {self(where)}"]

    def _fields(self, where: str, label: str, value: Mapping[str, Json]) -> list[str]:
        """Write the simple values and figures of a group of fields."""
        simple = [key for key, item in value.items() if _is_simple(item)]
        told = [f"{escape_markdown(_readable(key))} {self(where + to_pointer(key))}" for key in simple[:SHOWN]]
        if not value:
            return []
        if len(simple) < len(value) or len(simple) > SHOWN:
            told.append(f"all: {self.link(f'{len(value)} fields', where)}")
        return [f"{label}: {'; '.join(told)}"]


def human_placeholder(what: str) -> str:
    """Mark a place that only a human can fill; it stays visibly empty."""
    return f"**{MARKED}:** {escape_markdown(what)} ______"


def written(value: Json, name: str = "") -> str:
    """Write a value of the record as text; ``name`` is its field's, which tells the unit."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        if "value" not in value:
            return f"{len(value)} fields"
        form = FORMS.get(name, format_number)
        low, high = value.get("low"), value.get("high")
        reach = "" if low is None or high is None else f" ({form(low)} to {form(high)})"
        return ("–" if value["value"] is None else form(value["value"])) + reach
    if isinstance(value, list):
        if any(isinstance(item, Mapping | list) for item in value):
            return f"{len(value)} entries"
        said = "; ".join(written(item) for item in value[:SHOWN])
        return said + (f"; … ({len(value)} in all)" if len(value) > SHOWN else "")
    if isinstance(value, int | float):
        if name in FORMS:
            return FORMS[name](value)
        if isinstance(value, int):
            return f"{value:,}"
        if value == round(value) and abs(value) < 1e15:
            return f"{value:,.0f}"
        return format_number(value) if abs(value) >= 1e-2 else format_si(value)
    return " ".join(str(value).split())


def escape_markdown(text: str) -> str:
    """Take their meaning from signs that Markdown and its tables would read."""
    return re.sub(r"([\\`*_\[\]<>|~$])", r"\\\1", text)


def _is_simple(value: Json) -> bool:
    if isinstance(value, Mapping):
        return value.get("value") is not None
    if isinstance(value, list):
        return bool(value) and not any(isinstance(item, Mapping | list) for item in value)
    return value is not None and value != ""


def _readable(step: str) -> str:
    text = step.replace("_", " ")
    name = display_name(step)
    return text if name == text[:1].upper() + text[1:] else name
