"""The documents quote the record exactly, say what is missing, claim nothing, and are not overwritten once edited."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args, get_origin
from urllib.parse import unquote

import pytest
import yaml
from fakes.report import record, whole
from huggingface_hub import ModelCard
from pydantic import BaseModel

from core.report.card import card
from core.report.documents import MANIFEST, check, edited, expected, restore, rewrite, write_documents
from core.report.evidence import chosen, evidence, frameworks
from core.report.json_pointer import fragment, resolve, split_pointer, to_pointer, with_pointers
from core.report.record import DataSection, ModelSection, Record, RunSection, plain, sealed, write_record
from core.report.sentences.index import about, sentence
from core.report.summary import all_items
from core.report.verify import Shown, agrees, disagreements, numbers, shown

DOMAINS = ("healthcare", "finance", "education", "driving", "smarthome")


def body(text: str) -> str:
    """Give what stands below a card's head."""
    return text.split("---\n", 2)[2]


def folder_of(made: Record, path: Path) -> Path:
    """Write a run's record and documents."""
    write_documents(made, path)
    write_record(made, path)
    return path


def test_card_is_a_card_of_the_hub() -> None:
    made = whole()
    text = card(made)
    parsed = ModelCard(text)
    assert parsed.data.library_name == "plinth"
    assert parsed.data.license is None
    assert "license: # TO BE FILLED BY A HUMAN" in text
    assert {"healthcare", "records", "simulated-data", "differential-privacy"} <= set(parsed.data.tags)
    assert parsed.data.eval_results is not None
    content = plain(made)
    for result in parsed.data.eval_results:
        assert result.metric_value == resolve(content, result.metric_args["field"])
    assert parsed.data.eval_results[0].metric_type == "auroc"
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["co2_eq_emissions"]["emissions"] == made.energy.carbon.grams  # type: ignore[union-attr]


def cells(text: str) -> list[Shown]:
    """Return what the tables of a document show."""
    return list(shown(text))


def test_every_row_of_the_card_shows_the_field_that_it_links_to() -> None:
    made = whole()
    text = card(made)
    content = json.loads(json.dumps(plain(made)))
    found = cells(text)
    assert len(found) > 90
    for where in ("/metrics/auroc", "/fairness/comparisons/0/difference", "/privacy/epsilon", "/energy/carbon/grams",
                  "/baseline/difference/auroc", "/performance/latency_ms/p50"):  # fmt: skip
        assert any(cell.where == where for cell in found), where
    compared = 0
    for cell in found:
        if cell.where == "verdict":
            continue
        value = resolve(content, cell.where)
        if not agrees(cell.text, value):  # a sentence about the section
            assert cell.text in {item.text for item in all_items(made)} | about(made, cell.row.split("/")[1])
        compared += 1
    assert compared > 80
    for line in text.splitlines():
        assert line.count("](record.json#") <= 1, "one link a row"
    assert disagreements(text, made) == []
    assert f"`{made.seal}`" in text


def test_no_number_of_the_card_stands_outside_a_row_with_a_field() -> None:
    made = whole()
    text = body(card(made)).replace(str(made.seal), "")
    known = {item.text for item in all_items(made)} | {sentence(made, "evaluation.method")}
    for line in text.splitlines():
        if "](record.json#" in line or line.startswith("<!-- fields: "):
            continue
        left = re.sub(r"\\(.)", r"\1", line)
        for words in known:
            left = left.replace(words, "")
        left = left.replace("sha256", "").replace("CO2e", "")
        assert not re.search(r"\d", left), line


def test_the_card_is_plain_markdown_of_half_the_length() -> None:
    text = card(whole())
    assert len(text) < 15_000
    links = re.findall(r"\]\(record\.json#[^)]*\)", text)
    assert len(links) <= len(set(links)) + 1, "the headline metric is in the summary and among the results"
    assert sum(map(len, links)) < 0.5 * len(text)


def test_an_altered_number_sentence_or_verdict_is_reported() -> None:
    made = whole()
    text = card(made)
    auroc = made.metrics["auroc"].value
    assert f"| {auroc:.3f} (" in text
    wrong = disagreements(text.replace(f"| {auroc:.3f} (", "| 0.111 ("), made)
    assert any(fault.startswith("/metrics/auroc: the document says '0.111 (") for fault in wrong)
    assert "no such field" in disagreements(text.replace("#/metrics/auroc)", "#/metrics/nothing)"), made)[0]
    assert "| no clear difference |" in text
    assert "'better'" in disagreements(text.replace("| no clear difference |", "| better |", 1), made)[0]
    item = all_items(made)[3]
    assert item.headline in text
    assert disagreements(text.replace(f"| {item.headline}", "| 1 mWh"), made)
    assert disagreements(text.replace(f"value: {auroc}", "value: 0.99"), made) == [
        f"/metrics/auroc/value: the card's head says 0.99, the record {auroc!r}"
    ]
    other = sealed(made.model_copy(update={"run": made.run.model_copy(update={"seed": 8})}))
    assert any("quotes another record" in fault for fault in disagreements(text, other))


def test_a_row_with_too_few_cells_is_reported() -> None:
    made = whole()
    text = card(made)
    line = next(line for line in text.splitlines() if line.startswith("| AUROC |"))
    short = "| AUROC | " + line.rpartition(" | ")[2]
    assert "cells for 4 fields" in disagreements(text.replace(line, short), made)[0]


def test_documents_of_the_version_before_are_still_checked() -> None:
    made = whole()
    value, seal = made.metrics["auroc"].value, str(made.seal)[:12]
    old = f'[{value:.3f}](record.json#/metrics/auroc "metrics.auroc of record {seal}")'
    assert disagreements(old, made) == []
    assert "the document says '0.111'" in disagreements(re.sub(r"\[[\d.]+\]", "[0.111]", old), made)[0]
    assert "quotes another record" in disagreements(old.replace(str(made.seal)[:12], "0" * 12), made)[0]


def test_a_bare_record_makes_a_card_that_says_what_is_missing() -> None:
    bare = sealed(
        Record(
            run=RunSection(domain="d", task="t"),
            data=DataSection(source="s", simulated=False),
            model=ModelSection(backbone="b"),
        )
    )
    text = card(bare)
    for said in (
        "Not declared in this run",
        "Groups were not compared",
        "not explained",
        "without differential privacy",
    ):
        assert said in text
    assert ModelCard(text).data.eval_results is None
    assert "Simulated data" not in text


@pytest.mark.parametrize("framework", frameworks(), ids=lambda f: f.key)
def test_framework_tables_are_dated_sourced_and_whole(framework) -> None:
    assert re.fullmatch(r"\d{4}(-\d\d){0,2}", framework.dated)
    assert re.fullmatch(r"\d{4}-\d\d", framework.written)
    assert framework.source
    assert set(framework.domains) <= set(DOMAINS)
    assert len({(row.section, row.asks) for row in framework.rows}) == len(framework.rows) >= 10
    for row in framework.rows:
        assert row.asks.endswith(".")
        assert row.fields or row.human, row.section
        for where in row.fields:
            assert declares(Record, split_pointer(where)), f"{row.section}: no section declares {where}"


def declares(hint: Any, steps: list[str]) -> bool:
    """Whether an annotated type has a field at these steps; keys of dictionaries may be any."""
    if not steps:
        return True
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        field = hint.model_fields.get(steps[0])
        return field is not None and declares(field.annotation, steps[1:])
    if get_origin(hint) is dict:
        return declares(get_args(hint)[1], steps[1:])
    if get_origin(hint) is list:
        return steps[0].isdigit() and declares(get_args(hint)[0], steps[1:])
    if get_args(hint):  # unions, annotated types
        return any(declares(inner, steps) for inner in get_args(hint) if inner is not type(None))
    return hint is Any


def test_a_pointer_to_nothing_is_noticed() -> None:
    assert declares(Record, ["metrics", "auroc", "low"])
    assert declares(Record, ["privacy", "initial_weights"])
    assert not declares(Record, ["privacy", "promise"])
    assert not declares(Record, ["metrics", "auroc", "lowest"])


def test_every_domain_has_its_field_s_own_table() -> None:
    own = {domain: [f.key for f in chosen(domain) if len(f.domains) == 1] for domain in DOMAINS}
    assert own == {
        "healthcare": ["tripod_ai"],
        "finance": ["sr_26_2"],
        "education": ["automated_scoring"],
        "driving": ["sotif"],
        "smarthome": ["home_devices"],
    }
    assert all({"eu_ai_act", "nist_ai_rmf"} <= {f.key for f in chosen(domain)} for domain in DOMAINS)
    sections = [row.section for f in frameworks() if f.key == "eu_ai_act" for row in f.rows]
    assert [s for s in sections if "(" not in s] == list("3456789")
    items = {
        row.section.split(" ")[0].rstrip("abcdefg")
        for f in frameworks()
        if f.key == "tripod_ai"
        for row in f.rows
    }
    assert items == {str(n) for n in range(1, 28)}


def test_documents_show_what_the_record_says_and_what_a_human_must_fill() -> None:
    made = whole()
    for framework in chosen("healthcare"):
        text = evidence(made, framework)
        assert "**No claim of compliance.**" in text
        assert str(made.seal) in text
        assert framework.dated in text
        assert disagreements(text, made) == []
        assert len(cells(text)) > 30
        assert text.count("TO BE FILLED BY A HUMAN") == sum(bool(row.human) for row in framework.rows)
        assert not re.search(r"\bcomplian(t|ce with)\b", text), "no claim"
        for row in framework.rows:
            assert f"## {row.section}" in text
        assert "None" not in text


def test_documents_of_a_run_are_listed_with_their_hashes(tmp_path: Path) -> None:
    made = whole()
    folder_of(made, tmp_path)
    assert all((tmp_path / name).is_file() for name in expected(made))
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    assert manifest["record"]["seal"] == json.loads((tmp_path / "record.json").read_text())["seal"]
    assert set(manifest["documents"]) == {*expected(made)} - {MANIFEST}
    assert edited(tmp_path) == []
    assert check(tmp_path) > 300


def test_what_somebody_filled_in_is_kept(tmp_path: Path) -> None:
    folder_of(whole(), tmp_path)
    path = tmp_path / "CARD.md"
    path.write_text(path.read_text().replace("______", "the ward's board", 1))
    kept = path.read_text()
    with pytest.raises(ValueError, match=r"CARD\.md changed since written .* overwrite=true"):
        rewrite(tmp_path)
    (tmp_path / "evidence/eu_ai_act.md").unlink()
    (tmp_path / "report.html").unlink()
    assert restore(tmp_path) == ["report.html", "evidence/eu_ai_act.md"]
    assert path.read_text() == kept
    assert edited(tmp_path) == ["CARD.md"]
    assert restore(tmp_path) == []
    rewrite(tmp_path, overwrite=True)
    assert edited(tmp_path) == []
    assert path.read_text() != kept


def test_a_run_without_documents_gets_them_and_a_wrong_figure_is_refused(tmp_path: Path) -> None:
    write_record(whole(), tmp_path)
    with pytest.raises(ValueError, match=r"no CARD\.md"):
        check(tmp_path)
    assert rewrite(tmp_path) == expected(whole())
    path = tmp_path / "evidence/nist_ai_rmf.md"
    path.write_text(path.read_text().replace("| 59.1 J |", "| 5.91 J |"))
    with pytest.raises(ValueError, match=r"nist_ai_rmf\.md: /energy/joules: the document says '5\.91 J'"):
        check(tmp_path)
    (tmp_path / MANIFEST).write_text("{")
    with pytest.raises(ValueError, match="not a manifest"):
        edited(tmp_path)


def test_pointers_are_rfc_6901() -> None:
    document = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "m~n": 8, "sex × age": {"x": 2}}
    for steps, value in (((), document), (("foo", 0), "bar"), (("",), 0), (("a/b",), 1), (("m~n",), 8)):
        assert resolve(document, to_pointer(*steps)) == value
        assert split_pointer(to_pointer(*steps)) == [str(step) for step in steps]
        assert unquote(fragment(to_pointer(*steps)))[1:] == to_pointer(*steps)
    assert to_pointer("a/b") == "/a~1b"
    assert to_pointer("m~n") == "/m~0n"
    for nowhere in ("/foo/2", "/foo/-1", "/bar", "/foo/bar"):
        with pytest.raises(KeyError):
            resolve(document, nowhere)
    copy = with_pointers(document)
    assert copy == document
    assert copy["sex × age"]["x"].pointer == "/sex × age/x"


@pytest.mark.parametrize(
    ("text", "value", "same"),
    [
        ("0.840 (0.804 to 0.873)", {"value": 0.84020, "low": 0.80361, "high": 0.87259}, True),
        ("0.840 (0.804 to 0.874)", {"value": 0.84020, "low": 0.80361, "high": 0.87259}, False),
        ("−0.423", -0.42311, True),
        ("0.423", -0.42311, False),
        ("7.9 mg", 0.0079, True),
        ("7.9 g", 0.0079, False),
        ("16.4 mWh", 59.1, True),
        ("2.65 s", 2.652, True),
        ("1.5 min", 90.2, True),
        ("50 %", 0.5, True),
        ("1.2e-05", 1.23e-5, True),
        ("30,483", 30483, True),
        ("30,483", 30484, False),
        ("yes", True, True),
        ("yes", False, False),
        ("a; b; … (12 in all)", [*"ab", *"cdefghijkl"], True),
        ("a; b", ["a", "b"], True),
        ("a; b", ["a", "c"], False),
        ("5 entries", [{}] * 5, True),
        ("4 fields", {"a": 1}, False),
        ("", 0.5, False),
    ],
)
def test_what_is_shown_is_read_back_and_compared(text: str, value: object, same: bool) -> None:
    assert agrees(text, value) is same


def test_numbers_are_not_read_out_of_names() -> None:
    assert [n for n, _ in numbers("AUROC 0.840 of x2 at F1 and CO2e 7 mg")] == [0.84, pytest.approx(0.007)]


def test_a_record_of_another_kind_makes_a_card_too() -> None:
    for kind in ("multiclass", "multilabel", "regression"):
        made = sealed(record(kind))
        assert disagreements(card(made), made) == []
