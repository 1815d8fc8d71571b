"""Compare a document with its record: what its tables show is read back from the text and looked up in the fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from core.config.section import Estimate
from core.report.glossary import verdict
from core.report.json_pointer import resolve, split_pointer, to_pointer
from core.report.markdown_links import EMPTY
from core.report.record import Json, Record, plain
from core.report.sentences import index
from core.report.summary import all_items

LINK = re.compile(r"\[`[^`]*`\]\((?:\.\./)?record\.json#([^)\s]*)\)")
FIELDS = re.compile(r"<!-- fields: (.*) -->")
SEAL = re.compile(r"seal: sha256 `([0-9a-f]*)`")
TITLED_LINK = re.compile(r'\[((?:[^\[\]\\]|\\.)*)\]\((?:\.\./)?record\.json#([^)\s]*) "([^"]*)"\)')
"""A fact as plinth-core 0.1 wrote it: a link around every number, whose title names the record."""
NUMBER = re.compile(
    r"(?<![\w.])([−-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)(?: (%|min|h|[Mkmµ]?(?:Wh|J|g|B|s)))?(?![\w.]*\d)"
)
PREFIX = {"M": 1e6, "k": 1e3, "m": 1e-3, "µ": 1e-6}
UNITS = {
    "": 1.0,
    "%": 0.01,
    "min": 60.0,
    "h": 3600.0,
    "J": 1.0,
    "g": 1.0,
    "B": 1.0,
    "s": 1.0,
    "Wh": 3600.0,
}


@dataclass(frozen=True)
class Shown:
    """What a document shows of a field."""

    text: str
    """The cell's text, without escapes and emphasis."""
    where: str
    """Pointer to the field; ``verdict`` for the interpretation of a difference."""
    row: str
    """Pointer of the row that it stands in."""


def shown(text: str) -> Iterator[Shown]:
    """Yield what the tables of a document show of its record.

    A row's first or last cell links to a field. Linked first, the second cell shows the field's value; linked last,
    the cell between it and a label does. Where ``<!-- fields: a, b -->`` stands above the table, the cells between
    the label and the link show those fields, ``*`` standing for the last step of the row's own pointer.
    """
    fields: list[str] = []
    for line in text.splitlines():
        declared = FIELDS.fullmatch(line.strip())
        if declared:
            fields = [field.strip() for field in declared[1].split(",")]
        elif not line.startswith("|"):
            fields = []
        cells = re.split(r"(?<!\\)\|", line)[1:-1] if line.startswith("|") else []
        first, last = (LINK.fullmatch(cells[n].strip()) if cells else None for n in (0, -1))
        link, values = (first, cells[1:]) if first else (last, cells[1:-1])
        if link is None:
            continue
        where = unquote(link[1])
        step = to_pointer(split_pointer(where)[-1])
        places = [field.replace("/*", step, 1) for field in fields] or [where]
        if len(values) != len(places):
            yield Shown(f"{len(values)} cells for {len(places)} fields", "", where)
            continue
        for cell, place in zip(values, places, strict=True):
            yield Shown(
                re.sub(r"\\(.)", r"\1", cell.strip()).removeprefix("**").removesuffix("**"), place, where
            )


def disagreements(text: str, record: Record, original: Json = None) -> list[str]:
    """Return what a Markdown document shows that the record does not hold; empty where all agree.

    Also returned: fields that there aren't, a document of another record, and metrics of the card's head that differ.
    ``original`` is the content of a ``record.json`` of schema_version 1, for documents written with it.
    """
    content = plain(record)
    faults = [fault for found in shown(text) for fault in _faults(found, record, content)]
    seals = SEAL.findall(text)
    if seals and record.seal not in seals:
        faults.append(f"the document quotes another record (seal {seals[0][:12]}…)")
    faults += _head_faults(text, content)
    faults += _titled_faults(text, record, content if original is None else original)
    return faults


def count_shown(text: str) -> int:
    """Return how many values of its record a document shows."""
    return sum(1 for _ in shown(text)) + len(TITLED_LINK.findall(text))


def _faults(found: Shown, record: Record, content: Json) -> Iterator[str]:
    if not found.where:
        yield f"{found.row}: {found.text}"
    elif found.where == "verdict":
        metric = split_pointer(found.row)[-1]
        difference = ((content.get("baseline") or {}).get("difference") or {}).get(metric) or {}
        word = verdict(metric, Estimate(**{key: difference.get(key) for key in ("value", "low", "high")}))
        if found.text != (word or EMPTY):
            yield f"{found.row}: the document says {found.text!r}, the record's interval {word or EMPTY!r}"
    else:
        try:
            value = resolve(content, found.where)
        except KeyError:
            if found.text != EMPTY:
                yield f"{found.where}: the record has no such field; the document says {found.text!r}"
            return
        if not agrees(found.text, value) and found.text not in _sentences(record, found.where):
            yield f"{found.where}: the document says {found.text!r}, the record {_short(value)}"


def _short(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"


def _sentences(record: Record, where: str) -> set[str]:
    """Return the sentences that are made of a field."""
    items = {" ".join(item.text.split()) for item in all_items(record) if item.field == where}
    room = split_pointer(where)[0]
    if where != to_pointer(room):
        return items
    texts = {*index.about(record, room), index.about_section(record, room)}
    return items | {" ".join(text.split()) for text in texts}


def _head_faults(text: str, content: Json) -> Iterator[str]:
    """Compare the metrics of a card's YAML head, each of which names its field."""
    import yaml

    if not text.startswith("---\n"):
        return
    head = yaml.safe_load(text.split("---\n")[1]) or {}
    metrics = [
        metric
        for model in head.get("model-index", [])
        for result in model["results"]
        for metric in result["metrics"]
    ]
    for metric in metrics:
        where = metric["args"]["field"]
        try:
            value = resolve(content, where)
        except KeyError:
            yield f"{where}: the record has no such field; the card's head says {metric['value']!r}"
            continue
        if value != metric["value"]:
            yield f"{where}: the card's head says {metric['value']!r}, the record {value!r}"


def _titled_faults(text: str, record: Record, content: Json) -> Iterator[str]:
    """Compare a document of plinth-core 0.1. Removed in 0.3.0."""
    for label, anchor, title in TITLED_LINK.findall(text):
        where = unquote(anchor)
        label = re.sub(r"\\(.)", r"\1", label).removeprefix("**").removesuffix("**")
        try:
            value = resolve(content, where)
        except KeyError:
            yield f"{where}: the record has no such field; the document says {label!r}"
            continue
        if not agrees(label, value):
            yield f"{where}: the document says {label!r}, the record {_short(value)}"
        elif record.seal is None or not title.endswith(record.seal[:12]):
            yield f"{where}: the link quotes another record ({title})"


def agrees(text: str, value: Json) -> bool:
    """Return whether a text shows a value of the record, to the digits that it shows.

    >>> agrees("0.840 (0.804 to 0.873)", {"value": 0.84020, "low": 0.80361, "high": 0.87259}), agrees("7.9 mg", 0.0079)
    (True, True)
    """
    if value is None:
        return text == EMPTY
    if isinstance(value, bool):
        return text == ("yes" if value else "no")
    if isinstance(value, str):
        return text.split() == value.split()
    if isinstance(value, int | float):
        return any(_near(*number, value) for number in numbers(text)[-1:])
    if isinstance(value, Mapping) and "value" in value:
        held = [value[part] for part in ("value", "low", "high") if value.get(part) is not None]
        read = numbers(text)
        if not held:
            return text == EMPTY
        return len(read) in (1, len(held)) and all(_near(*a, b) for a, b in zip(read, held, strict=False))
    if isinstance(value, list) and not any(isinstance(item, Mapping | list) for item in value):
        items_text = text.split("; … (")[0]
        if items_text != text and not text.endswith(f"({len(value)} in all)"):
            return False
        joined = "; ".join(item if isinstance(item, str) else "\0" for item in value)
        if "\0" not in joined:
            return (
                joined.split() == items_text.split()
                if items_text == text
                else " ".join(joined.split()).startswith(items_text)
            )
        items = items_text.split("; ")
        return len(items) <= len(value) and all(map(agrees, items, value))
    return isinstance(value, Mapping | list) and text.split()[:1] == [str(len(value))]


def numbers(text: str) -> list[tuple[float, float]]:
    """Return the numbers of a text, each with half a unit of its last digit, in the unit's own scale."""
    found = []
    for digits, unit in NUMBER.findall(text):
        plain_digits = digits.replace("−", "-").replace(",", "")
        mantissa, _, exponent = plain_digits.partition("e")
        places = len(mantissa.partition(".")[2])
        scale = UNITS.get(unit) or PREFIX[unit[0]] * UNITS[unit[1:]]
        step = 0.5 * 10.0 ** (int(exponent or 0) - places)
        found.append((float(plain_digits) * scale, step * scale))
    return found


def _near(read: float, step: float, held: float) -> bool:
    return abs(read - held) <= step * (1 + 1e-9) + 1e-12
