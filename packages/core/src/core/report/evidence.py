"""The evidence pack: what a framework asks, beside what the record of a run holds."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

from core.report.markdown_links import MarkdownLinks, escape_markdown, human_placeholder
from core.report.record import Record
from core.report.sentences.notices import NO_JUDGMENT


@dataclass(frozen=True)
class Row:
    """One requirement of a framework."""

    section: str
    asks: str
    """In our own words."""
    fields: tuple[str, ...]
    """Pointers to what the record holds about it."""
    human: str
    """What only a human can provide; empty where the record is enough."""


@dataclass(frozen=True)
class Framework:
    """A dated table of what a framework asks: ``frameworks/<key>.yaml``."""

    key: str
    name: str
    about: str
    version: str
    dated: str
    written: str
    """Month in which the table was written."""
    source: str
    domains: tuple[str, ...]
    note: str
    rows: tuple[Row, ...]


@cache
def frameworks() -> tuple[Framework, ...]:
    """Load all tables that this package ships."""
    import yaml

    found = []
    folder = files("core.report") / "frameworks"
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if not file.name.endswith(".yaml"):
            continue
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        rows = tuple(
            Row(str(row["section"]), row["asks"], tuple(row["fields"]), row["human"])
            for row in content.pop("rows")
        )
        domains = tuple(content.pop("domains"))
        texts = {name: str(value) for name, value in content.items()}
        assert {*texts, "key", "domains", "rows"} == {f.name for f in fields(Framework)}, file.name
        found.append(Framework(key=file.name.removesuffix(".yaml"), domains=domains, rows=rows, **texts))
    return tuple(found)


def chosen(domain: str) -> list[Framework]:
    """Return the frameworks of a domain."""
    return [framework for framework in frameworks() if domain in framework.domains]


def evidence(record: Record, framework: Framework) -> str:
    """Return the document of one framework about a sealed record, as Markdown for the folder ``evidence``."""
    from core.report.templates import markdown

    links = MarkdownLinks(record, above="../")
    text: str = (
        markdown()
        .get_template("evidence.md.j2")
        .render(
            framework=framework,
            links=links,
            run=f"{record.run.domain}, {record.run.task}",
            facts=[[line for where in row.fields for line in links.rows(where)] for row in framework.rows],
            human=human_placeholder,
            text=escape_markdown,
        )
    )
    return text


def contents(record: Record) -> str:
    """Return the pack's first page: which documents there are."""
    assert record.seal
    rows = [
        f"| [{escape_markdown(f.name)}]({f.key}.md) | {escape_markdown(f.version)} | {f.dated} |"
        for f in chosen(record.run.domain)
    ]
    run = escape_markdown(f"{record.run.domain}, {record.run.task}")
    lines = [
        "# Evidence",
        "",
        f"**No claim of compliance.** {NO_JUDGMENT}",
        "",
        f"Run: {run}. The documents' tables link to the fields of `record.json` (seal: sha256 `{record.seal}`).",
        "",
        "| Framework | Version | Dated |",
        "|---|---|---|",
        *rows,
        "",
        "`manifest.json` holds the sha256 of each document as it was written, so that edits are noticed.",
        "",
    ]
    return "\n".join(lines)
