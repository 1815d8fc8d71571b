"""Education passes the contract of every domain."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.testing import check_oversight, check_run, check_simulation
from education import DOMAIN

TASKS = ["answers", "essays", "performance"]


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
    gates = {gate.name for gate in run.record.studies["agreement"].gates}
    assert {"quadratic weighted kappa", "|SMD|"} <= gates
    if task != "performance":
        assert {"length_bias", "gaming_detection", "human_review", "word_attribution"} <= set(
            run.record.studies
        )
        assert "degradation" in gates, "two raters are simulated"
        assert run.record.oversight is not None
        review = run.record.studies["human_review"].metrics["threshold"].value
        assert run.record.oversight.rule.threshold == pytest.approx(review), "one rule, said twice"
