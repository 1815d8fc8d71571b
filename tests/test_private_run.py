"""A private run from the command to the record: what it guarantees, what it keeps, what it reports to nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.config import build
from core.privacy.section import DPSection
from core.report.run import Run
from core.report.sentences import privacy as sentences
from core.serving.load import load
from healthcare import train

SMALL = (
    "task=records",
    "data.rows=800",
    "training.progress=none",
    "evaluation.resamples=50",
    "evaluation.resamples_slow=20",
    "baseline=none",
    "threads=1",
)
PRIVATE = (
    "privacy=dp",
    "privacy.epsilon=3",
    "privacy.batch_size=40",
    "training.steps=12",
    "training.ema=0.9",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    found: Run = train(
        *SMALL, *PRIVATE, "privacy.audit_canaries=500", folder=tmp_path_factory.mktemp("private") / "run"
    )
    return found


def section_of(run: Run) -> DPSection:
    section = run.record.privacy
    assert isinstance(section, DPSection)
    return section


def test_the_record_says_what_is_guaranteed_and_was_proved(run: Run) -> None:
    section = section_of(run)
    assert 0.9 * 3 < section.epsilon <= 3
    assert section.unit == "patient"
    assert section.units == run.record.data.units["train"]  # type: ignore[index]
    assert section.delta == pytest.approx(1 / (10 * section.units))
    assert section.steps == 12
    assert section.noise_multiplier > 0
    assert section.accountant == "prv"
    assert section.scope == "weights"
    assert section.preflight.sum_error < 1e-4
    assert section.preflight.independence_error < 1e-4
    assert section.audit is not None
    assert 0 <= section.audit.lower_bound <= section.audit.claim == section.epsilon
    assert "numeric_scales" in section.non_private_statistics
    assert f"epsilon = {section.epsilon:.2f}" in sentences.summary(section)[0]
    conditions = sentences.conditions(section)
    for name in ("Scope", "Neighboring relation", "Sampling", "Random generator", "Fitted without noise"):
        assert conditions[name]
    assert "scales and quantiles of the numeric inputs" in conditions["Fitted without noise"]


def test_nothing_of_the_training_set_leaves_without_noise(run: Run, tmp_path: Path) -> None:
    record = json.loads((run.path / "record.json").read_text())
    training = record["training"]
    assert all(point["loss"] is None for point in training["history"])
    timings = {name for name, value in training["step_timings"].items() if value is not None}
    assert timings == {"steps", "seconds"}, "a step's time tells its batch's size"
    kept = [json.loads(p.read_text())["body"] for p in (run.path / "checkpoints").glob("step-*.json")]
    assert kept
    for body in kept:
        assert body["values"]["curve"]["points"] == []
        assert set(body["values"]) == {"step", "curve", "time_limit", "validator", "TrainingEnergy0"}
        assert set(body["values"]["step"]) <= {"step", "frozen", "gradient.clip_norm"}
    # The console: as a script whose lines are kept, every one of them.
    asked = [*SMALL, *PRIVATE, "training.progress=lines", f"hydra.run.dir={tmp_path / 'said'}"]
    command = [sys.executable, "-m", "healthcare.train", *asked]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    lines = [line for line in said.stderr.splitlines() if line.startswith("step ")]
    assert len(lines) > 5
    assert not any("loss" in line or "examples" in line for line in lines)


def test_the_key_is_gone(run: Run) -> None:
    assert not (run.path / "checkpoints" / "rng_key").exists()
    assert not list(run.path.rglob("*key*"))


def test_the_saved_run_predicts_as_it_was_evaluated(run: Run) -> None:
    config: Any = train.configure(*SMALL, *PRIVATE)
    frame = build(config.data, config.task, config.seed).frame
    kept = run.predictions("test")
    np.testing.assert_allclose(load(run.path).scores(frame.iloc[kept.index]), kept.scores, rtol=0, atol=1e-5)


def test_two_runs_differ_but_a_noise_seed_repeats(tmp_path: Path) -> None:
    def weights(name: str, *more: str) -> bytes:
        made: Run = train(*SMALL, *PRIVATE, *more, folder=tmp_path / name)
        return (made.path / "model.safetensors").read_bytes()

    assert weights("a") != weights("b"), "each run has a key of its own"
    seeded = [weights(name, "privacy.noise_seed=4") for name in ("c", "d")]
    assert seeded[0] == seeded[1]
    section = section_of(Run(tmp_path / "c"))
    assert section.noise_source == "configured_seed"
    assert "must not be released" in sentences.conditions(section)["Random generator"]


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ("training.sampling=class_balanced", "training.sampling"),
        ("target.class_weights=balanced", "target.class_weights"),
        ("privacy.epsilon=0", "privacy.epsilon"),
        ("privacy.delta=0.01", "privacy.delta"),
        ("adapter.linear_probe_epochs=2", "adapter.linear_probe_epochs"),
        ("privacy.audit_canaries=100000000", "privacy.audit_canaries"),
    ],
)
def test_what_cannot_be_guaranteed_is_refused_and_leaves_nothing(
    tmp_path: Path, wrong: str, key: str
) -> None:
    folder = tmp_path / "run"
    with pytest.raises(ValueError, match=key.replace(".", r"\.")):
        train(*SMALL, *PRIVATE, wrong, folder=folder)
    assert not folder.exists()


def test_another_guarantee_in_the_same_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import core.run.pipeline

    def killed(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(core.run.pipeline, "evaluate_run", killed)
    with pytest.raises(MemoryError):
        train(*SMALL, *PRIVATE, folder=tmp_path / "run")
    assert (tmp_path / "run" / "checkpoints" / "rng_key").exists(), "the run may still be resumed"
    with pytest.raises(ValueError, match=r"privacy\.epsilon: 3\.0, now 4\.0"):
        train(*SMALL, *PRIVATE, "privacy.epsilon=4", folder=tmp_path / "run")
    monkeypatch.undo()
    resumed: Run = train(*SMALL, *PRIVATE, folder=tmp_path / "run")
    assert section_of(resumed).steps == 12
    assert not (tmp_path / "run" / "checkpoints" / "rng_key").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["privacy.clipping=per_layer", "training.micro_batch_size=16"],
        ["privacy.clipping=automatic", "training.precision=bf16"],
        ["privacy.clipping=adaptive", "privacy.accountant=rdp"],
        ["privacy.batch_size=0.4"],
    ],
)
def test_every_way_of_private_training_ends(tmp_path: Path, options: list[str]) -> None:
    made: Run = train(*SMALL, *PRIVATE, *options, folder=tmp_path / "run")
    assert section_of(made).epsilon <= 3


def test_images_with_batch_norm_need_a_choice(tmp_path: Path) -> None:
    images = [o for o in SMALL if not o.startswith(("task", "data"))]
    images += [
        "task=images",
        "data.rows=150",
        "backbone=timm",
        "backbone.name=resnet10t",
        "training.steps=2",
    ]
    dp = ["privacy=dp", "privacy.batch_size=8"]
    with pytest.raises(ValueError, match=r"privacy\.batch_norm"):
        train(*images, *dp, folder=tmp_path / "refused")
    made: Run = train(*images, *dp, "privacy.batch_norm=group", folder=tmp_path / "group")
    section = section_of(made)
    assert section.batch_norm.policy == "group"
    assert section.batch_norm.layers
    assert "group normalization" in sentences.conditions(section)["Changed in the network"]
    load(made.path)


def test_the_reference_engine_gives_the_same_run(tmp_path: Path) -> None:
    images = [o for o in SMALL if not o.startswith(("task", "data"))]
    images += ["task=images", "data.rows=150", "training.steps=3", "privacy=dp", "privacy.batch_size=8"]
    found = []
    for engine in ("bookkeeping", "opacus"):
        made: Run = train(
            *images, "privacy.noise_seed=1", f"privacy.engine={engine}", folder=tmp_path / engine
        )
        found.append(made.predictions("test").scores)
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match=r"privacy\.engine='opacus' can't train this network"):
        train(*SMALL, *PRIVATE, "privacy.engine=opacus", folder=tmp_path / "records")


def test_a_run_without_dp_can_be_attacked(tmp_path: Path) -> None:
    made: Run = train(
        *SMALL, "training.epochs=2", "privacy.attack=lira", "privacy.shadow_models=2", folder=tmp_path / "run"
    )
    section = made.record.privacy
    assert section is not None
    assert section.epsilon is None
    found, rows = section.attack, made.record.data.rows
    assert found is not None
    assert (found.attack, found.shadow_models) == ("lira", 2)
    assert found.members + found.non_members == rows["train"] + rows["test"]
    assert found.auc.low <= found.auc.value <= found.auc.high  # type: ignore[operator]
    assert 0 <= found.tpr_at_fpr["0.01"].value <= 1  # type: ignore[operator]
    assert "lira" in sentences.detail(section)
