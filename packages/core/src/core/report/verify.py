"""Whether the figures of a document are those of the record: read back from the text, not from how it was written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from core.report.json_pointer import resolve
from core.report.record import Json, Record, plain

LINK = re.compile(r'\[((?:[^\[\]\\]|\\.)*)\]\((?:\.\./)?record\.json#([^)\s]*) "([^"]*)"\)')
NUMBER = re.compile(
    r"(?<![\w.])([−-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)(?: (%|min|h|[Mkmµ]?(?:Wh|J|g|B|s)))?(?![\w.]*\d)"
)
PREFIX = {"M": 1e6, "k": 1e3, "m": 1e-3, "µ": 1e-6}
WHOLE_UNITS = {
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


def disagreements(text: str, record: Record) -> list[str]:
    """Name each figure or text of a Markdown document that its link's field of the record does not hold.

    Also names links to fields that there aren't and links that quote another record. Empty where all agree.
    """
    content, found = plain(record), []
    for shown, anchor, title in LINK.findall(text):
        where = unquote(anchor)
        shown = re.sub(r"\\(.)", r"\1", shown).removeprefix("**").removesuffix("**")
        try:
            value = resolve(content, where)
        except KeyError:
            found.append(f"{where}: the record has no such field; the document says {shown!r}")
            continue
        if not agrees(shown, value):
            found.append(f"{where}: the document says {shown!r}, the record {value!r}")
        elif record.seal is None or not title.endswith(record.seal[:12]):
            found.append(f"{where}: the link quotes another record ({title})")
    return found


def agrees(shown: str, value: Json) -> bool:
    """Tell whether a text shows a value of the record, to the digits that it shows."""
    if isinstance(value, bool):
        return shown == ("yes" if value else "no")
    if isinstance(value, str):
        return shown.split() == value.split()
    if isinstance(value, int | float):
        return any(_near(*number, value) for number in numbers(shown)[-1:])
    if isinstance(value, Mapping) and "value" in value:
        held = [value[part] for part in ("value", "low", "high") if value.get(part) is not None]
        read = numbers(shown)
        return len(read) in (1, len(held)) and all(_near(*a, b) for a, b in zip(read, held, strict=False))
    if isinstance(value, list) and not any(isinstance(item, Mapping | list) for item in value):
        said = shown.split("; … (")[0]
        if said != shown and not shown.endswith(f"({len(value)} in all)"):
            return False
        whole = "; ".join(item if isinstance(item, str) else "\0" for item in value)
        if "\0" not in whole:
            return (
                whole.split() == said.split() if said == shown else " ".join(whole.split()).startswith(said)
            )
        items = said.split("; ")
        return len(items) <= len(value) and all(map(agrees, items, value))
    return isinstance(value, Mapping | list) and shown.split()[:1] == [str(len(value))]


def numbers(text: str) -> list[tuple[float, float]]:
    """Read the numbers of a text: each with half a unit of its last digit, in the unit's own scale."""
    found = []
    for digits, unit in NUMBER.findall(text):
        plain_digits = digits.replace("−", "-").replace(",", "")
        mantissa, _, exponent = plain_digits.partition("e")
        places = len(mantissa.partition(".")[2])
        scale = WHOLE_UNITS.get(unit) or PREFIX[unit[0]] * WHOLE_UNITS[unit[1:]]
        step = 0.5 * 10.0 ** (int(exponent or 0) - places)
        found.append((float(plain_digits) * scale, step * scale))
    return found


def _near(read: float, step: float, held: float) -> bool:
    return abs(read - held) <= step * (1 + 1e-9) + 1e-12
