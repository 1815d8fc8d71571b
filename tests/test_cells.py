"""The 35 cells: in each of the five domains, each of the seven concerns has its answer and its evidence."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import page_checks
import pytest
from domains import DOMAINS
from page_checks import check_page

from core.cli.application import Application
from core.report.documents import check, edited, expected
from core.report.evidence import chosen
from core.report.json_pointer import resolve, split_pointer
from core.report.record import Record, read_record
from core.report.sentences.index import sentence, sentences
from core.report.summary import SummaryItem, summary_items, architecture, optimization, responsible, speed
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
"""What makes a run short; which answers it gives is left as the domain has it."""

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


def worded(answer: SummaryItem, content: Content) -> None:
    """An answer that was given, in words that stand in the record."""
    assert answer.measured, f"{answer.question} is not answered"
    assert answer.headline
    assert answer.detail.endswith((".", ")")), answer.detail
    assert resolve(content, answer.field) is not None


def answered(record: Record, question: str) -> SummaryItem:
    return next(a for a in summary_items(record) if a.question == question)


def fairness(record: Record, content: Content) -> None:
    worded(answered(record, "How fair?"), content)
    section = content["fairness"]
    assert sentence(record, "fairness.method")
    assert 0.5 <= section["confidence"] < 1
    assert section["metrics"]
    assert section["comparisons"], "no group was large enough to compare"
    for line in section["comparisons"]:
        difference = line["difference"]
        assert difference["low"] < difference["value"] < difference["high"]
        assert line["found"] == (not difference["low"] <= 0 <= difference["high"])
        assert difference["value"] == pytest.approx(line["rate"] - line["others"], abs=1e-9)
    assert set(section["by_group"]) >= set(content["data"]["roles"]["sensitive"])


def privacy(record: Record, content: Content) -> None:
    worded(answered(record, "How private?"), content)
    section = content["privacy"]
    assert section["epsilon"] is None, "the default promises nothing and says so"
    interval(section["attack"]["auc"], 0, 1)
    assert section["attack"]["members"] >= 50 <= section["attack"]["others"]


def ethics(record: Record, content: Content) -> None:
    worded(responsible(record), content)
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


def environment(record: Record, content: Content) -> None:
    worded(answered(record, "How much energy?"), content)
    section = content["energy"]
    assert 0 < section["low"] < section["joules"] < section["high"]
    assert 0 <= section["measured_share"] <= 1
    assert section["joules"] == pytest.approx(sum(p["joules"] for p in section["phases"].values()), rel=1e-6)
    assert all(source["method"] and 0 < source["relative_uncertainty"] <= 1 for source in section["sources"])
    carbon = section["carbon"]
    assert carbon["grams"] == pytest.approx(
        section["joules"] / 3.6e6 * carbon["grams_per_kwh"] * carbon["pue"]
    )
    assert carbon["source"]
    assert 0 < section["per_prediction"]["joules"] < section["joules"]


def networks(record: Record, content: Content) -> None:
    worded(architecture(record), content)
    section = content["model"]
    assert 0 < section["trainable"] <= section["parameters"]
    assert section["backbone"] == content["run"]["config"]["backbone"]["option"]
    assert section["adapter"] == content["run"]["config"]["adapter"]["option"]


def optimiser(record: Record, content: Content) -> None:
    worded(optimization(record), content)
    section = content["training"]
    assert section["steps"] > 0 < section["seconds"]
    assert section["reason"]
    assert section["precision_reason"]
    losses = [point["loss"] for point in section["history"] if point["loss"] is not None]
    assert losses
    assert all(math.isfinite(loss) for loss in losses)
    assert content["run"]["config"]["optimizer"]["option"]
    for figure in content["metrics"].values():
        if figure["value"] is not None and figure["low"] is not None:
            assert figure["low"] <= figure["high"]
    assert content["intervals"]["method"]


def computing(record: Record, content: Content) -> None:
    worded(speed(record), content)
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
    "optimisation": optimiser,
    "computing performance": computing,
}


@pytest.mark.slow
@pytest.mark.parametrize("concern", CONCERNS)
@pytest.mark.parametrize("domain", DOMAINS)
def test_cell(domain: str, concern: str, runs: Callable[[str], Path]) -> None:
    CONCERNS[concern](*read(runs(domain)))


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_why_is_answered_and_tested(domain: str, runs: Callable[[str], Path]) -> None:
    record, content = read(runs(domain))
    worded(answered(record, "How good?"), content)
    worded(answered(record, "Why?"), content)
    assert content["explanation"]["method"]
    assert isinstance(content["explanation"]["faithfulness"]["above_random"], bool)
    assert 0 < content["uncertainty"]["alpha"] < 1


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_page_is_true_to_the_record_and_readable(domain: str, runs: Callable[[str], Path]) -> None:
    folder = runs(domain)
    _, content = read(folder)
    assert check_page((folder / "report.html").read_text(), content) > 200


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
