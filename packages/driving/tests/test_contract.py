"""Driving passes the contract of every domain."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.testing import check_oversight, check_run, check_simulation
from driving import DOMAIN

SMALL = {
    "signs": ("task.robustness_rows=10", "task.ood_rows=10"),
    "segmentation": ("task.robustness_rows=2",),
}


@pytest.mark.parametrize("task", list(SMALL))
def test_simulation(task: str) -> None:
    check_simulation(DOMAIN, task)


@pytest.mark.parametrize("task", list(SMALL))
def test_oversight(task: str) -> None:
    check_oversight(DOMAIN, task)


@pytest.mark.parametrize("task", list(SMALL))
def test_run(task: str, tmp_path: Path) -> None:
    run = check_run(DOMAIN, task, tmp_path / "run", *SMALL[task])
    assert {
        "robustness",
        "ood_detection",
        "risk_coverage",
        "slices",
        "latency",
        "operational_design_domain",
    } <= set(run.record.studies)
    assert "light" in run.record.groups
    page = (run.path / "report.html").read_text()
    assert "Triggering conditions" in page
