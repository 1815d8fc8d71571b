"""What every page must be: self-contained, true to its record, and readable for everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from core.report.console import console_metrics
from core.report.glossary import display_name
from core.report.json_pointer import resolve
from core.report.record import Record, plain
from core.report.sentences import privacy
from core.report.sentences.evaluation import headline_metric
from core.report.sentences.index import sentences
from core.report.summary import all_items
from core.report.verify import agrees

VOID = {
    "meta",
    "link",
    "br",
    "img",
    "hr",
    "input",
    "path",
    "use",
    "rect",
    "circle",
    "line",
    "polyline",
    "polygon",
}
OUTSIDE = re.compile(r"^(?!#|data:image/)", re.IGNORECASE)


@dataclass
class Element:
    """One element of a page with what it holds."""

    tag: str
    attributes: dict[str, str]
    above: Element | None = None
    inside: list[Element] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    """The text that stands in no element inside."""

    def all(self) -> Iterator[Element]:
        yield self
        for element in self.inside:
            yield from element.all()

    def text(self) -> str:
        return "".join(self.words)

    def unmarked(self) -> str:
        """Return the text that carries no pointer."""
        if {"data-field", "data-sentence"} & set(self.attributes):
            return ""
        return " ".join([*self.own, *(element.unmarked() for element in self.inside)])

    def ancestors(self) -> Iterator[Element]:
        element: Element | None = self
        while element is not None:
            yield element
            element = element.above


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("document", {})
        self.at = self.root

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self.at)
        self.at.inside.append(element)
        if tag not in VOID:
            self.at = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.at.inside.append(Element(tag, {name: value or "" for name, value in attrs}, self.at))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.at.tag == tag, f"</{tag}> closes <{self.at.tag}>"
        assert self.at.above is not None
        self.at = self.at.above

    def handle_data(self, data: str) -> None:
        self.at.own.append(data)
        for element in self.at.ancestors():
            element.words.append(data)


def read(html: str) -> Element:
    """Parse a page; fails where tags do not nest."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.at is reader.root, f"<{reader.at.tag}> is never closed"
    return reader.root


def check_page(html: str, record: Record) -> int:
    """Check all of it; return how many numbers and sentences were compared with the record."""
    page = read(html)
    elements = list(page.all())
    check_alone(html, elements)
    check_readable(elements)
    check_tables(elements)
    return check_figures(elements, plain(record)) + check_sentences(elements, record)


def check_sentences(elements: list[Element], record: Record) -> int:
    """Every sentence is the one that today's function makes of the record."""
    items = {item.question: (item.headline, item.detail) for item in all_items(record)}
    compared = 0
    for element in elements:
        text, name = element.text(), element.attributes.get("data-sentence")
        if name is not None:
            assert text in sentences(record, name), f"{name}: {text!r}"
            compared += 1
        question = element.attributes.get("data-summary")
        if question is not None:
            assert text in items[question], f"{question} {text!r}"
            compared += 1
        condition = element.attributes.get("data-condition")
        if condition is not None:
            assert text == privacy.conditions(record.privacy)[condition]  # type: ignore[arg-type]
            compared += 1
    shown = {e.attributes.get("data-summary") for e in elements}
    assert shown >= set(items), "every question stands on the page"
    return compared


def check_console(text: str, record: Record, folder: Path) -> None:
    """At most eight metrics, a line each for the questions, within 80 columns and without broken words."""
    lines = text.rstrip().splitlines()
    assert lines[-1] == str(folder)
    table = [line for line in lines if not line.startswith((str(folder), "Report"))]
    assert max(map(len, table)) <= 80, [line for line in table if len(line) > 80]
    items = all_items(record)
    for item in items:
        assert sum(line.startswith(item.question) for line in lines) == 1, text
        line = next(line for line in lines if line.startswith(item.question))
        assert line.removeprefix(item.question).strip().rstrip("…") in item.headline
    metrics = [m for m in console_metrics(record) if any(line.startswith(display_name(m)) for line in lines)]
    assert 1 <= len(metrics) <= 8
    assert headline_metric(record) in metrics
    assert not any("…" in line for line in lines if line.startswith(tuple(map(display_name, metrics))))


def check_alone(html: str, elements: list[Element]) -> None:
    """Nothing is loaded from anywhere, and every inner link has its place."""
    assert "<script" not in html
    assert not re.search(r"url\((?!#)|@import", html)
    ids = [e.attributes["id"] for e in elements if "id" in e.attributes]
    assert len(ids) == len(set(ids)), "two elements of one id"
    for element in elements:
        for name in ("src", "href", "xlink:href", "action", "srcset", "poster"):
            value = element.attributes.get(name)
            if value is None:
                continue
            assert not OUTSIDE.match(value), f"{element.tag} {name}={value[:80]}"
            assert not value.startswith("#") or value[1:] in ids, f"{value} leads nowhere"


def check_readable(elements: list[Element]) -> None:
    """Landmarks, headings in order, words for every picture, no markup inside attributes."""
    tags = [e.tag for e in elements]
    assert [tags.count(t) for t in ("header", "main", "footer", "h1")] == [1, 1, 1, 1]
    html = next(e for e in elements if e.tag == "html")
    assert html.attributes.get("lang"), "the page's language"
    level = 1
    for element in elements:
        if re.fullmatch("h[1-6]", element.tag):
            here = int(element.tag[1])
            assert here <= level + 1, f"<{element.tag}> {element.text()!r} after h{level}"
            assert element.text().strip(), "an empty heading"
            level = here
    for element in elements:
        if element.tag == "svg" and not any(e.tag == "svg" for e in list(element.ancestors())[1:]):
            hidden = element.attributes.get("aria-hidden") == "true"
            label = element.attributes.get("aria-label", "")
            assert hidden or (element.attributes.get("role") == "img" and len(label) > 10), element.attributes
        if element.tag == "img":
            assert element.attributes.get("alt"), element.attributes
        for name, value in element.attributes.items():
            assert "<data" not in value, f"{element.tag} {name} holds markup: {value}"
            assert '"' not in name, f"{element.tag} has a broken attribute {name}"


def check_tables(elements: list[Element]) -> None:
    """Head cells say what they head; every figure in a cell carries the pointer of its field."""
    for element in elements:
        if element.tag == "th":
            assert element.attributes.get("scope") in ("col", "row"), element.text()
        if element.tag == "td" and re.search(r"\d", element.unmarked()):
            carried = any("data-field" in e.attributes for e in element.ancestors())
            given = {"given", "left", "wrap"} & {
                *element.attributes.get("class", "").split()
            }  # names, not figures
            head = (
                next((e.text() for e in element.above.inside if e.tag == "th"), "") if element.above else ""
            )
            assert carried or given, f"{element.text()!r} beside {head!r} names no field of the record"


def check_figures(elements: list[Element], record: dict[str, Any]) -> int:
    """Every pointer leads to a field, and the field holds what the page says."""
    compared = 0
    for element in elements:
        where = element.attributes.get("data-field")
        if where is None:
            continue
        value = resolve(record, where)
        if element.tag == "data":
            shown = element.text()
            assert agrees(shown, value) or shown == str(value), f"{where}: {shown!r} for {value!r}"
            assert value is not None, where
            compared += 1
        elif isinstance(value, str) and element.tag in ("p", "span", "li", "dd", "td", "code"):
            said, held = (" ".join(text.split()).casefold() for text in (element.text(), value))
            assert held in said, f"{where}: {element.text()!r}"
            compared += 1
    return compared


def themes(html: str) -> dict[str, dict[str, str]]:
    """Return the colors by name for light, dark and print."""
    blocks = re.findall(r"(@media[^{]*\{\s*)?:root\s*\{([^}]*)\}", html)
    found: dict[str, dict[str, str]] = {}
    for media, body in blocks:
        name = "dark" if "dark" in media else "print" if "print" in media else "light"
        found[name] = dict(re.findall(r"--([\w-]+):\s*(#[0-9a-fA-F]{3,6})\b", body))
    return {name: {**found["light"], **colors} for name, colors in found.items()}


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colors as WCAG 2 counts it, from 1 to 21."""
    lights = sorted((_light(one), _light(other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _light(color: str) -> float:
    digits = color.lstrip("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
