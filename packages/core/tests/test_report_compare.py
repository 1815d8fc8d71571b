"""Runs side by side: who is on the frontier, what the table and the page say, and what can't be compared."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from fakes.report import energy, fairness, privacy, record, whole
from page_checks import check_alone, check_readable, read

from core.report.compare import compare
from core.report.record import Record, write_record


def run(path: Path, auroc: float, epsilon: float | None, joules: float, difference: float) -> str:
    """Write the record of one run with the numbers that matter."""
    made = whole()
    made.metrics = {**made.metrics}
    made.metrics["auroc"] = made.metrics["auroc"].model_copy(
        update={"value": auroc, "low": auroc - 0.02, "high": auroc + 0.02}
    )
    made.privacy = privacy(epsilon)
    made.energy = energy(joules)
    made.fairness = fairness(difference)
    return written(made, path)


def written(made: Record, path: Path) -> str:
    path.mkdir()
    write_record(made, path)
    return str(path)


def test_frontier_holds_runs_that_no_other_beats_in_all(tmp_path: Path) -> None:
    runs = [
        run(tmp_path / "open", 0.84, None, 50.0, -0.2),
        run(tmp_path / "private", 0.80, 3.0, 60.0, -0.1),
        run(tmp_path / "beaten", 0.79, 3.0, 70.0, 0.15),
        run(tmp_path / "tight", 0.70, 1.0, 60.0, 0.3),
    ]
    points = compare(runs, tmp_path / "out")
    assert [p.frontier for p in points] == [True, True, False, True]
    with (tmp_path / "out/comparison.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["frontier"] for line in lines] == ["True", "True", "False", "True"]
    assert float(lines[1]["epsilon"]) == 3.0
    assert lines[0]["epsilon"] == ""
    assert float(lines[3]["disparity"]) == pytest.approx(0.3)
    html = (tmp_path / "out/comparison.html").read_text()
    elements = list(read(html).all())
    check_alone(html, elements)
    check_readable(elements)
    assert sum(e.tag == "svg" for e in elements) == 3
    assert "0.840" in html
    assert "Simulated data" in html
    assert "Not the same rows" not in html


def test_equal_runs_are_both_on_the_frontier(tmp_path: Path) -> None:
    runs = [run(tmp_path / name, 0.8, 3.0, 60.0, 0.1) for name in ("a", "b")]
    assert [p.frontier for p in compare(runs, tmp_path / "out")] == [True, True]


def test_where_low_is_good_low_wins(tmp_path: Path) -> None:
    runs = []
    for name, rmse in (("good", 0.3), ("bad", 0.5)):
        made = record("regression")
        made.metrics = {"rmse": made.metrics["rmse"].model_copy(update={"value": rmse})}
        runs.append(written(made, tmp_path / name))
    assert [p.frontier for p in compare(runs, tmp_path / "out")] == [True, False]


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    one = run(tmp_path / "one", 0.8, 3.0, 60.0, 0.1)
    with pytest.raises(ValueError, match="two or more folders"):
        compare([one, one], tmp_path / "out")
    other = written(record("regression"), tmp_path / "other")
    with pytest.raises(ValueError, match="of different tasks can't be compared"):
        compare([one, other], tmp_path / "out")
    with pytest.raises(ValueError, match=r"is .* the folder of a finished run"):
        compare([one, str(tmp_path)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_on_other_rows_are_marked(tmp_path: Path) -> None:
    one = run(tmp_path / "one", 0.8, 3.0, 60.0, 0.1)
    made = whole()
    made.data.rows = {"train": 600, "validation": 200, "test": 100}
    other = written(made, tmp_path / "other")
    compare([one, other], tmp_path / "out")
    assert "Not the same rows" in (tmp_path / "out/comparison.html").read_text()
