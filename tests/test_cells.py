"""The 35 cells: in each of the five domains, each of the seven concerns has its answer and its evidence."""

from __future__ import annotations

import io
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import page_checks
import pytest
from domains import DOMAINS
from page_checks import check_console, check_page
from rich.console import Console

from core.cli.application import Application
from core.report.console import print_summary
from core.report.documents import check, edited, expected
from core.report.evidence import chosen
from core.report.json_pointer import resolve, split_pointer
from core.report.record import Record, read_record
from core.report.sentences.energy import source_method
from core.report.sentences.index import sentences
from core.report.summary import SummaryItem, all_items
from core.testing import application

ROWS = {"finance": 2000, "smarthome": 2000}
"""Where the audit would find too few to compare among the others' 600."""
SMALL = (
    "training.epochs=2",
    "training.progress=none",
    "evaluation.resamples=60",
    "evaluation.resamples_slow=20",
    "evaluation.min_group_rows=10",
    "evaluation.studies=false",
    "threads=1",
)
"""What makes a run short; which questions it answers is left as the domain has it."""

Content = dict[str, Any]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make the run of a domain when it is first asked for."""
    made: dict[str, Path] = {}

    def run(domain: str) -> Path:
        if domain not in made:
            train = application(_domain(domain), "train")
            assert isinstance(train, Application)
            made[domain] = tmp_path_factory.mktemp("runs") / domain
            train(f"data.rows={ROWS.get(domain, 600)}", *SMALL, folder=made[domain])
        return made[domain]

    return run


def _domain(name: str) -> Any:
    import importlib

    return importlib.import_module(name).DOMAIN


def read(folder: Path) -> tuple[Record, Content]:
    return read_record(folder), json.loads((folder / "record.json").read_text())


def interval(figure: Content, low: float = -math.inf, high: float = math.inf) -> None:
    """A figure with an interval around it, within what is possible."""
    assert low <= figure["low"] <= figure["value"] <= figure["high"] <= high, figure


def answered(record: Record, content: Content, question: str, page: page_checks.Element) -> SummaryItem:
    """A question that was answered, from a field of the record, in words that stand on the page."""
    item = next(item for item in all_items(record) if item.question == question)
    assert item.measured, f"{item.question} is not answered"
    assert item.headline
    assert item.detail.endswith((".", ")")), item.detail
    assert resolve(content, item.field) is not None
    shown = [e.text() for e in page.all() if e.attributes.get("data-summary") == question]
    assert shown == [item.headline, item.detail]
    return item


def fairness(record: Record, content: Content, page: page_checks.Element) -> None:
    answered(record, content, "How fair?", page)
    section = content["fairness"]
    assert section["unit"]
    assert 0.5 <= section["confidence"] < 1
    assert section["metrics"]
    assert section["comparisons"], "no group was large enough to compare"
    for line in section["comparisons"]:
        difference = line["difference"]
        assert difference["low"] < difference["value"] < difference["high"]
        assert line["found"] == (not difference["low"] <= 0 <= difference["high"])
        assert difference["value"] == pytest.approx(line["rate"] - line["others"], abs=1e-9)
    assert set(section["by_group"]) >= set(content["data"]["roles"]["sensitive"])


def privacy(record: Record, content: Content, page: page_checks.Element) -> None:
    answered(record, content, "How private?", page)
    section = content["privacy"]
    assert section["epsilon"] is None, "the default guarantees nothing and says so"
    interval(section["attack"]["auc"], 0, 1)
    assert section["attack"]["members"] >= 50 <= section["attack"]["non_members"]


def ethics(record: Record, content: Content, page: page_checks.Element) -> None:
    answered(record, content, "Who is responsible?", page)
    section = content["oversight"]
    for declared in ("intended_use", "responsible"):
        assert len(section["declaration"][declared]) > 3, declared
    for declared in ("affected", "forbidden_uses", "human_decides"):
        assert section["declaration"][declared], declared
        assert all(len(text) > 3 for text in section["declaration"][declared]), declared
    assert sentences(record, "oversight.rule")
    counts = section["counts"]
    assert 0 < counts["rows"] <= content["data"]["rows"]["test"]
    assert counts["model"] + counts["unsure"] + counts["confirm"] == counts["rows"]
    assert min(counts[name] for name in ("model", "unsure", "confirm")) >= 0


def environment(record: Record, content: Content, page: page_checks.Element) -> None:
    answered(record, content, "How much energy?", page)
    section = content["energy"]
    assert 0 < section["low"] < section["joules"] < section["high"]
    assert 0 <= section["measured_share"] <= 1
    assert section["joules"] == pytest.approx(sum(p["joules"] for p in section["phases"].values()), rel=1e-6)
    assert record.energy is not None
    for source in record.energy.sources:
        assert source_method(source)
        assert 0 < source.relative_uncertainty <= 1
    carbon = section["carbon"]
    assert carbon["grams"] == pytest.approx(
        section["joules"] / 3.6e6 * carbon["grams_per_kwh"] * carbon["pue"]
    )
    assert carbon["source"]
    assert 0 < section["per_prediction"]["joules"] < section["joules"]


def networks(record: Record, content: Content, page: page_checks.Element) -> None:
    item = answered(record, content, "Which network?", page)
    section = content["model"]
    assert 0 < section["trainable"] <= section["parameters"]
    assert section["backbone"] == content["run"]["config"]["backbone"]["option"]
    assert section["adapter"] == content["run"]["config"]["adapter"]["option"]
    assert f"{section['parameters']:,} parameters" == item.headline
    assert f"Backbone {section['backbone']}, adapter {section['adapter']}" in item.detail


def optimizer(record: Record, content: Content, page: page_checks.Element) -> None:
    item = answered(record, content, "How trained?", page)
    section = content["training"]
    assert section["steps"] > 0 < section["seconds"]
    assert section["stop_reason"]
    assert section["precision_reason"]
    losses = [point["loss"] for point in section["history"] if point["loss"] is not None]
    assert losses
    assert all(math.isfinite(loss) for loss in losses)
    assert f"Optimizer {content['run']['config']['optimizer']['option']}" in item.detail
    for estimate in content["metrics"].values():
        if estimate["value"] is not None and estimate["low"] is not None:
            assert estimate["low"] <= estimate["high"]
    assert content["intervals"]["method"]


def computing(record: Record, content: Content, page: page_checks.Element) -> None:
    answered(record, content, "How fast?", page)
    section = content["performance"]
    assert 0 < section["latency_ms"]["p50"] <= section["latency_ms"]["p99"]
    assert section["latency_ms"]["batch"] == 1
    assert section["predict_rows_per_second"] > 0
    assert section["train_rows_per_second"] > 0
    assert section["peak_memory_bytes"] > 2**20
    assert section["parameters"] == content["model"]["parameters"]
    assert section["device"]


CONCERNS = {
    "fairness": fairness,
    "privacy": privacy,
    "ethics": ethics,
    "environmental impact": environment,
    "architecture": networks,
    "optimization": optimizer,
    "computing performance": computing,
}


@pytest.mark.slow
@pytest.mark.parametrize("concern", CONCERNS)
@pytest.mark.parametrize("domain", DOMAINS)
def test_cell(domain: str, concern: str, runs: Callable[[str], Path]) -> None:
    folder = runs(domain)
    page = page_checks.read((folder / "report.html").read_text())
    CONCERNS[concern](*read(folder), page)


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_why_is_answered_and_tested(domain: str, runs: Callable[[str], Path]) -> None:
    record, content = read(runs(domain))
    page = page_checks.read((runs(domain) / "report.html").read_text())
    answered(record, content, "How good?", page)
    answered(record, content, "Why?", page)
    assert content["explanation"]["method"]
    assert isinstance(content["explanation"]["faithfulness"]["above_random"], bool)
    assert 0 < content["uncertainty"]["alpha"] < 1


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_page_is_true_to_the_record_and_readable(domain: str, runs: Callable[[str], Path]) -> None:
    folder = runs(domain)
    record, _ = read(folder)
    assert check_page((folder / "report.html").read_text(), record) > 200


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_console_fits_80_columns(domain: str, runs: Callable[[str], Path]) -> None:
    folder = runs(domain)
    record, _ = read(folder)
    out = io.StringIO()
    print_summary(record, folder, Console(file=out, width=80))
    check_console(out.getvalue(), record, folder)


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_documents_are_true_to_the_record(domain: str, runs: Callable[[str], Path]) -> None:
    folder = runs(domain)
    record, _ = read(folder)
    assert all((folder / name).is_file() for name in expected(record))
    assert edited(folder) == []
    assert check(folder) > 300


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_frameworks_point_at_fields_that_there_are(domain: str, runs: Callable[[str], Path]) -> None:
    _, content = read(runs(domain))
    conditional = {
        "studies",
        "privacy",
        "data",
        "curves",
        "thresholds",
        "decision_curve",
        "uncertainty",
        "metrics",
    }
    for framework in chosen(domain):
        for row in framework.rows:
            for where in row.fields:
                if split_pointer(where)[0] in conditional and len(split_pointer(where)) > 1:
                    continue  # what a task, a kind of target or differential privacy adds
                resolve(content, where)


def test_there_are_35_cells() -> None:
    assert len(DOMAINS) * len(CONCERNS) == 35


@pytest.mark.slow
def test_verbs_for_readers(runs: Callable[[str], Path], tmp_path: Path) -> None:
    """A finished run gets back what it lost; ``card`` checks and rewrites; ``compare`` sets runs side by side."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        shutil.copytree(runs("healthcare"), folder)
    domain = _domain("healthcare")
    (one / "CARD.md").unlink()
    (one / "evidence/tripod_ai.md").unlink()
    application(domain, "train")("data.rows=600", *SMALL, folder=one)
    assert (one / "CARD.md").read_text() == (other / "CARD.md").read_text()
    assert edited(one) == []
    card, compare = application(domain, "card"), application(domain, "compare")
    assert card(f"run={one}", "check=true") == []
    assert "CARD.md" in card(f"run={one}")
    points = compare(f"runs=[{one},{other}]", f"output={tmp_path / 'out'}")
    assert [point.frontier for point in points] == [True, True]
    html = (tmp_path / "out/comparison.html").read_text()
    elements = list(page_checks.read(html).all())
    page_checks.check_alone(html, elements)
    page_checks.check_readable(elements)
