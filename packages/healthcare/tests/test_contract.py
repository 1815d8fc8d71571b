"""Healthcare passes the contract of every domain."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.testing import check_oversight, check_run, check_simulation
from healthcare import DOMAIN

TASKS = ["records", "notes", "images", "ecg"]


@pytest.mark.parametrize("task", TASKS)
def test_simulation(task: str) -> None:
    check_simulation(DOMAIN, task)


@pytest.mark.parametrize("task", TASKS)
def test_oversight(task: str) -> None:
    check_oversight(DOMAIN, task)


@pytest.mark.parametrize("task", TASKS)
def test_run(task: str, tmp_path: Path) -> None:
    run = check_run(DOMAIN, task, tmp_path / "run")
    assert run.record.data.rows["test"] > 0
