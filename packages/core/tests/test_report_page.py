"""The page stands alone, answers the five questions, escapes what it shows, and says what is simulated or missing."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fakes.report import record, whole
from page_checks import check_console, check_page, contrast, themes
from rich.console import Console

from core.config.section import Estimate
from core.report.console import print_summary
from core.report.formatting import format_number
from core.report.glossary import display_name, verdict
from core.report.page import write_page
from core.report.record import DataSection, ModelSection, Record, RunSection
from core.report.summary import all_items, summary_items

VOID = {"meta", "link", "br", "img", "hr", "input", "path", "use", "rect", "circle", "line"}


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
    page = read(write_page(record(kind), tmp_path))
    for question in ("How good?", "How private?", "How fair?", "How much energy?", "Why?"):
        assert question in page.text
    assert page.text.count("Not measured in this run") == 5
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
        assert display_name(metric) in page.text
        assert format_number(figure.value) in page.text


def test_names_of_users_are_escaped_and_never_read_as_formulas(tmp_path: Path) -> None:
    made = record("multiclass", classes=("<script>alert(1)</script>", "$50K & $60K", "c"))
    path = write_page(made, tmp_path)
    assert "<script" not in path.read_text()
    page = read(path)
    assert "<script>alert(1)</script>" in page.text
    assert "<b>own</b> table" in page.text
    assert "A & B agree." in page.text


def test_a_page_with_every_concern_is_true_and_readable(tmp_path: Path) -> None:
    made = whole()
    html = write_page(made, tmp_path).read_text()
    assert check_page(html, made) > 80
    page = read(tmp_path / "report.html")
    for headline in (
        "ε = 2.99",
        "1 difference found",
        "16.4 mWh",
        "1.91 ms per prediction",
        "1,234 parameters",
        "12 steps",
        "Not declared in this run",
    ):
        assert headline in page.text
    assert str(made.seal) in page.text


def test_a_figure_that_is_not_the_records_is_noticed(tmp_path: Path) -> None:
    made = whole()
    html = write_page(made, tmp_path).read_text()
    shown = format_number(made.metrics["auroc"].value)
    altered = html.replace(f">{shown}</data>", ">0.123</data>")
    assert altered != html
    with pytest.raises(AssertionError, match=r"/metrics/auroc/value: '0\.123'"):
        check_page(altered, made)
    with pytest.raises(AssertionError, match="names no field"):
        check_page(html.replace(' data-field="/metrics/auroc/value"', ""), made)
    item = summary_items(made)[3]
    assert f">{item.headline}<" in html
    with pytest.raises(AssertionError, match="energy"):
        check_page(html.replace(f">{item.headline}<", ">1 mWh<"), made)


def test_text_has_contrast_by_day_by_night_and_on_paper(tmp_path: Path) -> None:
    colours = themes(write_page(record(), tmp_path).read_text())
    assert set(colours) == {"light", "dark", "print"}
    for theme, c in colours.items():
        for text in ("ink", "muted", "model", "good", "bad"):
            for ground in ("paper", "card"):
                assert contrast(c[text], c[ground]) >= 4.5, (theme, text, ground)
        assert contrast(c["warn-ink"], c["warn"]) >= 4.5, theme
        assert min(contrast(c[line], c["card"]) for line in ("baseline", "third")) >= 3, theme
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#fff") == pytest.approx(4.54, abs=0.01)


def test_real_data_carries_no_notice(tmp_path: Path) -> None:
    assert "Simulated data" not in read(write_page(record(simulated=False), tmp_path)).text


def test_small_groups_are_named_as_suppressed_without_figures(tmp_path: Path) -> None:
    made = record()
    assert made.groups["sex"].suppressed == ["few"]
    assert "fewer than 40 rows: few" in read(write_page(made, tmp_path)).text


def test_a_minimal_record_makes_a_page(tmp_path: Path) -> None:
    bare = Record(
        run=RunSection(domain="d", task="t", status="stopped"),
        data=DataSection(source="s", simulated=False),
        model=ModelSection(backbone="b"),
    )
    page = read(write_page(bare, tmp_path))
    assert page.text.count("Not measured in this run") == 7
    assert "This run is stopped" in page.text


def test_the_summary_words_what_the_sections_hold() -> None:
    made = whole()
    found = {item.question: item for item in all_items(made)}
    assert found["How much energy?"].headline == "16.4 mWh"
    assert found["How private?"].headline == "ε = 2.99 of the weights, given the preprocessing"
    assert "patient" in found["How private?"].detail
    assert found["How good?"].headline.startswith("AUROC 0.")
    assert "no clear difference" in found["How good?"].detail
    assert found["Which network?"].headline == "1,234 parameters"
    assert "adapter full; 1,200 of the parameters were trained" in found["Which network?"].detail
    assert found["How trained?"].headline == "12 steps"
    assert found["How trained?"].detail.startswith(
        "Optimizer adamw. Precision fp32; took 0.25 s; ended because"
    )
    assert list(found)[:5] == ["How good?", "How private?", "How fair?", "How much energy?", "Why?"]


def test_groups_without_an_audit_are_described() -> None:
    made = record()
    item = next(item for item in all_items(made) if item.question == "How fair?")
    assert item.section == "groups"
    assert item.headline.startswith("AUROC differs by 0.")
    assert "not tested" in item.detail


def test_console_shows_figures_baseline_notice_and_folder_last(tmp_path: Path) -> None:
    out = io.StringIO()
    made = record()
    print_summary(made, tmp_path / "run", Console(file=out, width=120))
    lines = out.getvalue().rstrip().splitlines()
    assert lines[-1] == str(tmp_path / "run")
    assert lines[0].startswith("Simulated data")
    auroc = next(line for line in lines if line.startswith("AUROC"))
    assert format_number(made.metrics["auroc"].value) in auroc
    assert "baseline: gradient boosting" in out.getvalue()
    assert "no clear difference" in auroc


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression"])
def test_console_fits_80_columns_with_one_line_a_question(kind: str, tmp_path: Path) -> None:
    out = io.StringIO()
    made = record(kind)
    print_summary(made, tmp_path, Console(file=out, width=80))
    check_console(out.getvalue(), made, tmp_path)


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
    assert verdict(metric, Estimate(value=0.0, low=low, high=high)) == word


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
    assert format_number(value) == text


def test_metrics_have_names() -> None:
    assert display_name("sensitivity_at_90_specificity") == "Sensitivity at 90 % specificity"
    assert display_name("auroc_mel") == "AUROC, mel"
    assert display_name("card_precision") == "Card precision"
