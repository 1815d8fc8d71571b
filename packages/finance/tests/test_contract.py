"""Finance passes the contract of every domain."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.testing import check_oversight, check_run, check_simulation
from finance import DOMAIN

TASKS = ["fraud", "credit"]


@pytest.mark.parametrize("task", TASKS)
def test_simulation(task: str) -> None:
    check_simulation(DOMAIN, task)


@pytest.mark.parametrize("task", TASKS)
def test_oversight(task: str) -> None:
    check_oversight(DOMAIN, task)


@pytest.mark.parametrize("task", TASKS)
def test_run(task: str, tmp_path: Path) -> None:
    run = check_run(DOMAIN, task, tmp_path / "run", "threads=1")
    assert run.record.data.rows["test"] > 0
    studies = set(run.record.studies)
    assert {"costs", "drift", "latency", "predictive_equality", "reason_codes"} <= studies
    assert ("alerts" in studies) == (task == "fraud")
