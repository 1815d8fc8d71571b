"""Facts of a record as rows of Markdown tables, each row with one link to its field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from core.report.formatting import format_duration, format_number, format_percent, format_si
from core.report.json_pointer import fragment, resolve, split_pointer, to_pointer
from core.report.record import Json, Record, plain
from core.report.sentences import index

FILL_IN = "TO BE FILLED BY A HUMAN"
SHOWN = 8
"""Items of a list or fields of a section that a document writes out; the record has them all."""
EMPTY = "–"

FORMS: Mapping[str, Callable[[float], str]] = {
    "joules": lambda v: format_si(v, "J"),
    "grams": lambda v: format_si(v, "g"),
    "seconds": format_duration,
    "processor_seconds": format_duration,
    "peak_memory_bytes": lambda v: format_si(v, "B"),
    "peak_device_memory_bytes": lambda v: format_si(v, "B"),
    "relative_uncertainty": format_percent,
    "measured_share": format_percent,
    "delta": lambda v: f"{v:.1e}",
    "year": str,
    "seed": str,
    "schema_version": str,
}
"""How a number is written, by the name of its field."""


class MarkdownLinks:
    """Write facts of a record as table rows: ``| AUROC | 0.840 (0.804 to 0.873) | [`metrics.auroc`](...) |``.

    ``above`` is the way from the document to the record's folder, such as ``../``. A document holds the record's seal
    once; ``core.report.verify`` reads the rows back and compares them with a record of that seal.
    """

    def __init__(self, record: Record, above: str = "") -> None:
        assert record.seal, "a document quotes a sealed record"
        self.record = record
        self.content: Json = plain(record)
        self.seal = record.seal
        self._file = f"{above}record.json"

    def at(self, where: str) -> Json:
        """Return the value at a pointer; None where there is nothing."""
        try:
            return resolve(self.content, where)
        except KeyError:
            return None

    def text(self, where: str) -> str:
        """Return the value at a pointer as Markdown; a dash where there is none."""
        value = self.at(where)
        return EMPTY if value is None else escape_markdown(written(value, split_pointer(where)[-1]))

    def link(self, where: str) -> str:
        """Return the link to a field, its name in code style."""
        name = ".".join(split_pointer(where)).replace("`", "'").replace("|", "/")
        return f"[`{name}`]({self._file}{fragment(where)})"

    def row(self, label: str, where: str) -> str:
        """Return a row with the value at a pointer; empty where there is none."""
        value = self.at(where)
        if value is None or value in ("", [], {}):
            return ""
        return f"| {escape_markdown(label)} | {self.text(where)} | {self.link(where)} |"

    def sentence(self, label: str, text: str, where: str) -> str:
        """Return a row with a sentence about a field (one that ``core.report.sentences`` makes of it)."""
        return f"| {escape_markdown(label)} | {escape_markdown(text)} | {self.link(where)} |" if text else ""

    def cells(self, label: str, where: str, fields: Iterable[str]) -> str:
        """Return a row of several values; ``fields`` are pointers in which ``*`` is the last step of ``where``."""
        step = to_pointer(split_pointer(where)[-1])
        shown = " | ".join(self.text(field.replace("/*", step, 1)) for field in fields)
        return f"| {escape_markdown(label)} | {shown} | {self.link(where)} |"

    def rows(self, where: str) -> list[str]:
        """Return rows ``| field | value |`` of all that is recorded at a pointer.

        Of a section: the sentences about it; without any, its simple values and estimates, and a row for the rest.
        """
        value = self.at(where)
        if value is None or value in ("", [], {}):
            return []
        room = split_pointer(where)[0]
        if where == to_pointer(room) and index.sentence(self.record, f"{room}.headline"):
            return [self._fact(where, index.about_section(self.record, room))]
        if isinstance(value, Mapping) and "value" not in value:
            return self._fields(where, value)
        if isinstance(value, list) and value and isinstance(value[0], str):
            return [self._fact(f"{where}/{n}") for n in range(len(value[:SHOWN]))]
        return [self._fact(where)]

    def _fields(self, where: str, value: Mapping[str, Json]) -> list[str]:
        if all(isinstance(item, Mapping) and "summary" in item for item in value.values()):  # studies
            return [self._fact(where + to_pointer(name, "summary")) for name in value]
        simple = [key for key, item in value.items() if _is_simple(item)][:SHOWN]
        rest = [self._fact(where)] if len(simple) < len(value) else []
        return [self._fact(where + to_pointer(key)) for key in simple] + rest

    def _fact(self, where: str, sentence: str = "") -> str:
        text = escape_markdown(sentence) if sentence else self.text(where)
        return f"| {self.link(where)} | {text} |"


def human_placeholder(what: str) -> str:
    """Return a place that only a human can fill; it stays visibly empty."""
    return f"**{FILL_IN}:** {escape_markdown(what)} ______"


def written(value: Json, name: str = "") -> str:
    """Return a value of the record as text; ``name`` is its field's, which decides the unit."""
    if value is None:
        return EMPTY
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        if "value" not in value:
            return f"{len(value)} fields"
        form = FORMS.get(name, format_number)
        low, high = value.get("low"), value.get("high")
        interval = "" if low is None or high is None else f" ({form(low)} to {form(high)})"
        return (EMPTY if value["value"] is None else form(value["value"])) + interval
    if isinstance(value, list):
        if any(isinstance(item, Mapping | list) for item in value):
            return f"{len(value)} entries"
        items = "; ".join(written(item) for item in value[:SHOWN])
        return items + (f"; … ({len(value)} in all)" if len(value) > SHOWN else "")
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
    """Return a text with the signs escaped that Markdown and its tables would interpret.

    >>> print(escape_markdown("a|b [c]_"))
    a\\|b \\[c\\]\\_
    """
    return re.sub(r"([\\`*_\[\]<>|~$])", r"\\\1", text)


def _is_simple(value: Json) -> bool:
    if isinstance(value, Mapping):
        return value.get("value") is not None
    if isinstance(value, list):
        return bool(value) and not any(isinstance(item, Mapping | list) for item in value)
    return value is not None and value != ""
