"""The page stands alone, answers the five questions, escapes what it shows, and says what is simulated or missing."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from core.evaluation.config import StandardEvaluation
from core.evaluation.evaluate import compare, evaluate
from core.evaluation.types import Challenge
from core.report.answers import answers
from core.report.console import summarise
from core.report.page import write_page
from core.report.record import (
    ChallengerSection,
    DataSection,
    Figure,
    FindingSection,
    ModelSection,
    Record,
    RunSection,
    TrainingSection,
    plain,
)
from core.report.wording import named, number, verdict
from core.targets.binary import BinaryTarget
from core.targets.metrics import macro_f1, rmse
from core.targets.types import Predictions

CONFIG = StandardEvaluation(resamples=40, resamples_single=20, minimum_group=40)
VOID = {"meta", "link", "br", "img", "hr", "input", "path", "use", "rect", "circle", "line"}


class Decider:
    """A target that decides by the highest probability."""

    def __init__(self, kind: str, classes: tuple[str, ...]) -> None:
        self.kind, self.classes = kind, classes

    def labels(self, scores, thresholds=None):
        """Decide."""
        if self.kind == "multilabel":
            return (scores >= np.array([(thresholds or {}).get(c, 0.5) for c in self.classes])).astype(int)
        return scores[:, 0] if self.kind == "regression" else scores.argmax(axis=1)

    def metrics(self):
        """Judge."""
        return {"rmse": rmse} if self.kind == "regression" else {"macro_f1": macro_f1}


def rows(kind: str, classes: tuple[str, ...], seed: int) -> Predictions:
    """Make rows with two groups, one of them too small to show."""
    rng = np.random.default_rng(seed)
    n, k = 200, max(1, len(classes))
    groups = {"sex": np.where(np.arange(n) < 20, "few", rng.choice(["f", "m"], n)).astype(np.str_)}
    if kind == "regression":
        truth = rng.normal(size=n)
        values = truth + 0.4 * rng.normal(size=n)
        return Predictions(values[:, None], values, truth, (), kind, groups)
    if kind == "multilabel":
        truth = (rng.random((n, k)) < 0.4).astype(int)
        scores = 1 / (1 + np.exp(1 - 2 * truth - rng.normal(size=(n, k))))
        return Predictions(scores, (scores > 0.5).astype(int), truth, classes, kind, groups)
    truth = rng.integers(k, size=n)
    z = np.eye(k)[truth] + rng.normal(size=(n, k))
    scores = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return Predictions(scores, scores.argmax(axis=1), truth, classes, kind, groups)


def record(kind: str = "binary", simulated: bool = True, classes: tuple[str, ...] | None = None) -> Record:
    """Evaluate a model and a challenger, and record them."""
    default = {"binary": ("no", "yes"), "regression": ()}.get(kind, ("a", "b", "c"))
    classes = default if classes is None else classes
    target = BinaryTarget("y", classes) if kind == "binary" else Decider(kind, classes)
    validation, test = rows(kind, classes, 0), rows(kind, classes, 1)
    evaluation = evaluate(validation, test, target, CONFIG)
    other = compare(evaluation, Challenge("boosting", validation, test, {}), target, CONFIG)
    return Record(
        run=RunSection(domain="healthcare", task="records", finished="2026-01-02T03:04:05+00:00"),
        data=DataSection(
            source="<b>own</b> table",
            simulated=simulated,
            rows={"train": 600, "validation": 200, "test": 200},
            findings=[FindingSection(level="warning", check="x", where="column a", message="A & B agree.")],
        ),
        model=ModelSection(backbone="tabular", parameters=1234),
        training=TrainingSection(
            history=[{"step": s, "loss": 1 / (1 + s), "validation_auroc": 0.5 + s / 100} for s in range(10)]
        ),
        challenger=ChallengerSection(**plain(other.json())),
        **plain(evaluation.json()),
    )


class Tags(HTMLParser):
    """Collect text and tags, and see that they nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(path: Path) -> Tags:
    """Parse a page."""
    tags = Tags()
    tags.feed(path.read_text())
    assert tags.open == []
    return tags


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
def test_page_stands_alone_and_answers(tmp_path: Path, kind: str) -> None:
    page = read(write_page(record(kind), tmp_path, {"training": {"epochs": 3}}))
    for question in ("How good?", "How private?", "How fair?", "How much energy?", "Why?"):
        assert question in page.text
    assert page.text.count("Not measured in this run") == 3
    assert "Simulated data" in page.text
    assert "training.epochs" in page.text
    loaded = [
        v for _, a in page.seen for k, v in a.items() if k in ("src", "href", "xlink:href", "action") and v
    ]
    assert all(v.startswith("#") for v in loaded)
    assert not re.search(r"url\((?!#)|@import", (tmp_path / "report.html").read_text())
    drawn = [a for tag, a in page.seen if tag == "svg"]
    assert len(drawn) == len(list((tmp_path / "plots").glob("*.svg"))) >= 3
    assert all(a.get("role") == "img" and len(a.get("aria-label") or "") > 30 for a in drawn)
    ids = [a["id"] for _, a in page.seen if a.get("id")]
    assert len(ids) == len(set(ids))
    html = (tmp_path / "report.html").read_text()
    assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', html)) <= set(ids)
    for file in (tmp_path / "plots").glob("*.svg"):
        ElementTree.parse(file)


def test_what_a_kind_has_is_drawn(tmp_path: Path) -> None:
    for kind, expected in (
        ("binary", {"roc", "pr", "reliability", "decision", "confusion", "learning", "groups"}),
        ("multiclass", {"classes", "reliability", "confusion", "learning", "groups"}),
        ("multilabel", {"classes", "reliability", "learning", "groups"}),
        ("regression", {"residuals", "learning", "groups"}),
    ):
        folder = tmp_path / kind
        folder.mkdir()
        write_page(record(kind), folder)
        assert {p.stem for p in (folder / "plots").iterdir()} == expected


def test_every_figure_on_the_page_is_the_records(tmp_path: Path) -> None:
    made = record()
    page = read(write_page(made, tmp_path))
    for metric, figure in made.metrics.items():
        assert named(metric) in page.text
        assert number(figure.value) in page.text


def test_names_of_users_are_escaped_and_never_read_as_formulas(tmp_path: Path) -> None:
    made = record("multiclass", classes=("<script>alert(1)</script>", "$50K & $60K", "c"))
    path = write_page(made, tmp_path)
    assert "<script" not in path.read_text()
    page = read(path)
    assert "<script>alert(1)</script>" in page.text
    assert "<b>own</b> table" in page.text
    assert "A & B agree." in page.text


def test_real_data_carries_no_notice(tmp_path: Path) -> None:
    assert "Simulated data" not in read(write_page(record(simulated=False), tmp_path)).text


def test_small_groups_are_named_as_suppressed_without_figures(tmp_path: Path) -> None:
    made = record()
    assert made.groups["sex"]["suppressed"] == ["few"]
    assert "fewer than 40 rows: few" in read(write_page(made, tmp_path)).text


def test_a_minimal_record_makes_a_page(tmp_path: Path) -> None:
    bare = Record(
        run=RunSection(domain="d", task="t", status="stopped"),
        data=DataSection(source="s", simulated=False),
        model=ModelSection(backbone="b"),
    )
    page = read(write_page(bare, tmp_path))
    assert page.text.count("Not measured in this run") == 5
    assert "This run is stopped" in page.text


def test_a_concern_that_words_its_own_answer_is_shown() -> None:
    made = record()
    made.energy = {"headline": "0.42 Wh", "detail": "of which 80 % measured"}
    made.privacy = {"epsilon": 3.0, "delta": 1e-5, "unit": "patient"}
    told = {a.question: a for a in answers(made)}
    assert told["How much energy?"].headline == "0.42 Wh"
    assert told["How private?"].headline == "ε = 3"
    assert "per patient" in told["How private?"].detail
    assert told["How good?"].headline.startswith("AUROC 0.")
    assert "no clear difference" in told["How good?"].detail


def test_console_shows_figures_challenger_notice_and_folder_last(tmp_path: Path) -> None:
    out = io.StringIO()
    made = record()
    summarise(made, tmp_path / "run", Console(file=out, width=120))
    lines = out.getvalue().rstrip().splitlines()
    assert lines[-1] == str(tmp_path / "run")
    assert lines[0].startswith("Simulated data")
    auroc = next(line for line in lines if line.startswith("AUROC"))
    assert number(made.metrics["auroc"].value) in auroc
    assert "gradient boosting" in out.getvalue()
    assert "no clear difference" in auroc


@pytest.mark.parametrize(
    ("metric", "low", "high", "word"),
    [
        ("auroc", 0.01, 0.03, "better"),
        ("auroc", -0.03, -0.01, "worse"),
        ("brier", 0.01, 0.03, "worse"),
        ("ece", -0.03, -0.01, "better"),
        ("auroc", -0.01, 0.01, "no clear difference"),
        ("calibration_slope", 0.1, 0.2, ""),
        ("auroc", None, None, ""),
    ],
)
def test_verdicts_know_which_way_is_better(
    metric: str, low: float | None, high: float | None, word: str
) -> None:
    assert verdict(metric, Figure(value=0.0, low=low, high=high)) == word


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"),
        (-0.5, "−0.500"),
        (-0.0001, "0.000"),
        (1234.5, "1,234"),
        (123.45, "123.5"),
        (None, "–"),
    ],
)
def test_numbers_are_written_for_people(value: float | None, text: str) -> None:
    assert number(value) == text


def test_metrics_have_names() -> None:
    assert named("sensitivity_at_90_specificity") == "Sensitivity at 90 % specificity"
    assert named("auroc_mel") == "AUROC, mel"
    assert named("card_precision") == "Card precision"
