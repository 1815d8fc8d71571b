"""What a run says of its energy, and a budget that ends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.report.sentences.energy import headline
from healthcare import train

SMALL = ("data.rows=400", "evaluation.resamples=50", "baseline=none", "training.progress=none", "threads=1")


def test_a_run_says_what_it_used_by_phase_and_by_component(tmp_path: Path) -> None:
    run = train(*SMALL, "training.epochs=2", "energy.region=FR", "energy.pue=1.2", folder=tmp_path)
    energy = run.record.energy
    assert energy is not None
    phases = energy.phases
    steps = {"prepare", "design", "train", "predict", "evaluate", "assess"}
    assert {*steps, "fairness", "explain", "conformal", "deferral"} == set(phases)
    assert sum(phase.joules for phase in phases.values()) == pytest.approx(energy.joules)
    assert sum(source.joules for source in energy.sources) == pytest.approx(energy.joules)
    assert energy.low < energy.joules < energy.high
    assert energy.carbon.grams == pytest.approx(energy.joules / 3.6e6 * 56 * 1.2)
    held = run.record.data.rows["validation"] + run.record.data.rows["test"]
    assert energy.per_prediction.joules == pytest.approx(phases["predict"].joules / held)
    page = (tmp_path / "report.html").read_text()
    assert headline(energy) in page
    assert "France" in page


def test_a_budget_ends_training_with_weights_that_serve(tmp_path: Path) -> None:
    run = train(*SMALL, "training.epochs=500", "energy.budget_wh=0.005", folder=tmp_path)
    assert run.record.training.stopped_early
    assert run.record.training.stop_reason == "energy_budget"
    assert "the energy budget (energy.budget_wh) was used up" in (tmp_path / "report.html").read_text()
    assert run.record.energy is not None
    assert run.record.energy.phases["train"].joules >= 0.005 * 3600
    assert run.record.metrics["auroc"].value is not None


def test_without_a_meter_there_is_time_only(tmp_path: Path) -> None:
    run = train(*SMALL, "training.epochs=1", "energy=none", folder=tmp_path)
    assert run.record.energy is None
    assert run.record.training.phases["train"].seconds > 0
