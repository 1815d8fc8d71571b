"""docs/glossary.md has a row for each option, key, metric and section of the record, and for what the project coins."""

from __future__ import annotations

import json
import re

import pytest
from domains import ROOT
from reference_pages.metrics import metric_rows, tasks
from reference_pages.options import keys, options, register_everything

from core.config import GROUPS

GLOSSARY = (ROOT / "docs/glossary.md").read_text()


@pytest.fixture(scope="module", autouse=True)
def registered() -> None:
    """Register the options of every domain."""
    register_everything()


def rows(heading: str) -> dict[str, str]:
    """Return first cell -> last cell of the table under a heading, code and links undone."""
    under = GLOSSARY.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = {}
    for line in under.splitlines():
        cells = re.split(r"(?<!\\) \| ", line.strip().strip("|"))
        if line.startswith("| ") and len(cells) > 1:
            found[re.sub(r"[`\[\]]|\(.*\)", "", cells[0]).strip()] = cells[-1].strip()
    return found


def test_every_option_is_in_it() -> None:
    found = rows("Options")
    missing = [f"{group}={name}" for group, name in options() if not found.get(f"{group}={name}")]
    assert missing == []
    assert len(options()) > 80


def test_every_key_is_in_it_with_a_meaning() -> None:
    found = rows("Keys")
    names = {key.path.split(".")[-1] for option in options().values() for key in keys(option)}
    assert sorted(name for name in names if not found.get(name)) == []
    assert len(names) > 200


def test_every_group_is_explained() -> None:
    page = (ROOT / "docs/reference/options.md").read_text()
    assert all(f"\n## {group} {{#{group}}}\n" in page for group in GROUPS)


def test_every_metric_is_in_it_with_a_meaning() -> None:
    table = GLOSSARY.split("\n## Metrics\n")[1].split("\n## ")[0]
    reported = metric_rows()
    assert len(reported) > 45
    assert [row.key for row in reported if f"| `{row.key}` |" not in table] == []
    assert [row.key for row in reported if not row.meaning] == []


def test_every_study_is_explained() -> None:
    page = (ROOT / "docs/reference/metrics.md").read_text()
    for name, task in tasks().items():
        part = page.split(f"\n### {name}\n")[-1].split("\n### ")[0]
        for kind in (
            "binary",
            "multiclass",
            "multilabel",
            "ordinal",
            "regression",
            "segmentation",
            "intent_slots",
        ):
            for study in task.studies(kind):
                assert re.search(rf"\| `{study}` \| \w", part), f"{name}: {study}"


def test_every_section_of_the_record_is_in_it() -> None:
    schema = json.loads((ROOT / "docs/reference/record.schema.json").read_text())
    found = rows("Sections of the record")
    assert [name for name in schema["properties"] if not found.get(name)] == []


def test_terms_are_in_order_and_explained() -> None:
    terms = rows("Terms")
    del terms["term"]
    assert all(len(meaning.rstrip(".")) > 15 for meaning in terms.values())
    assert list(terms) == sorted(terms, key=str.casefold)
    assert len(terms) > 100
