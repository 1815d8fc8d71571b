"""The evidence pack: what a framework asks, beside what the record of a run says."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

from core.report.markdown_links import MarkdownLinks, escape_markdown, human_placeholder
from core.report.record import Record


@dataclass(frozen=True)
class Row:
    """One thing that a framework asks."""

    section: str
    asks: str
    """In our own words."""
    fields: tuple[str, ...]
    """Pointers to what the record says about it."""
    human_placeholder: str
    """What only a human can provide; empty where the record says it all."""


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
    """Read all tables that this package ships."""
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
    """Name the frameworks of a domain."""
    return [framework for framework in frameworks() if domain in framework.domains]


def evidence(record: Record, framework: Framework) -> str:
    """Write the document of one framework about a sealed record, as Markdown for the folder ``evidence``."""
    from core.report.templates import markdown

    cited = MarkdownLinks(record, above="../")
    told = [[line for where in row.fields for line in cited.lines(where)] for row in framework.rows]
    text: str = (
        markdown()
        .get_template("evidence.md.j2")
        .render(framework=framework, c=cited, told=told, human=human_placeholder, text=escape_markdown)
    )
    return text


def contents(record: Record) -> str:
    """Write the pack's first page: which documents there are, and how much of each a human must still fill."""
    cited = MarkdownLinks(record, above="../")
    lines = [
        f"| [{escape_markdown(f.name)}]({f.key}.md) | {escape_markdown(f.version)} | {f.dated} |"
        for f in chosen(record.run.domain)
    ]
    return "\n".join(
        [
            "# Evidence",
            "",
            "**No claim of compliance.** Each document sets facts of one run beside what a framework asks. What only a "
            "human can know stays visibly empty.",
            "",
            f"Run: {cited('/run/domain')}, {cited('/run/task')}, finished {cited('/run/finished')}. Every figure is a "
            f"link to its field of `record.json`, whose seal is sha256 `{cited.seal}`.",
            "",
            "| Framework | Version | Dated |",
            "|---|---|---|",
            *lines,
            "",
            "`manifest.json` holds the sha256 of each document as it was written: it tells what was edited since.",
            "",
        ]
    )
