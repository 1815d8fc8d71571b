"""The gate end to end on one small task: a repeated run passes, a planted regression fails and is named."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import core.run.steps.prepare as preparation
from core.regression import __main__ as command
from core.regression import config
from core.regression.config import GateConfig, TaskSpec, common_margins
from core.regression.gate import GateResult, renew, run_gate
from core.regression.store import read_baseline
from core.serving.load import LoadedRun
from core.targets.binary import BinaryTarget
from finance import DOMAIN

SMALL = ("data.rows=1200", "training.epochs=4", "training.batch_size=128")
PRIVATE = (
    "privacy=dp",
    "privacy.epsilon=3",
    "privacy.batch_size=60",
    "privacy.noise_seed=7",
    "training.steps=12",
)


def spec(name: str, *overrides: str, bar: float = 0.6) -> TaskSpec:
    bars = {"metrics.auroc.value": bar}
    return TaskSpec(name, ("task=credit", *SMALL, *overrides), (0,), "", common_margins(), bars)


def gate_of(folder: Path, *specs: TaskSpec) -> GateConfig:
    return GateConfig(DOMAIN, folder, specs, tuple(each.name for each in specs))


def quiet(line: str) -> None:
    """Print nothing."""


def again(gate: GateConfig) -> GateResult:
    return run_gate([gate], help_too=False, workers=1, say=quiet)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> GateConfig:
    """Give a gate of two tasks, a plain and a private one, with its baseline."""
    made = gate_of(tmp_path_factory.mktemp("gate"), spec("credit"), spec("private", *PRIVATE, bar=0.3))
    lines: list[str] = []
    result = renew([made], "first", help_too=False, workers=1, say=lines.append)
    assert not result.failed, [c.reason for c in result.comparisons if c.failed]
    assert "finance credit, seed 0: new" in lines
    return made


def failures(result: GateResult) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for each in result.comparisons:
        if each.failed:
            found.setdefault(each.task, set()).add(each.quantity.removesuffix(", seed 0"))
    return found


def test_a_repeated_run_passes(gate: GateConfig) -> None:
    result = again(gate)
    unsteady = {
        "training step over a bare loop",
        "energy of a step over a bare loop",
        "latency over a bare forward pass",
    }
    assert {c.quantity for c in result.comparisons if c.verdict != "same"} <= unsteady
    names = {(c.task, c.quantity) for c in result.comparisons}
    for quantity in (
        "auroc",
        "calibration_slope",
        "rows decided rightly",
        "rows inside prediction sets",
        "parameters",
    ):
        assert ("credit", quantity) in names
    assert ("private", "epsilon") in names
    assert ("credit", "epsilon") not in names
    assert any(quantity.startswith("gap of accuracy by ") for _, quantity in names)


def one(gate: GateConfig, task: str) -> GateConfig:
    return GateConfig(gate.domain, gate.folder, (gate.spec(task),), gate.defined)


def test_a_leak_between_splits_is_named(gate: GateConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training rows are chosen after the split was checked: what joins them there is seen by nothing but the gate."""
    sound: Callable[..., Any] = preparation.subsample

    def leaking(dataset: Any, rows: Any, fraction: float, seed: int) -> Any:
        test = preparation.split(dataset)["test"]
        return np.union1d(sound(dataset, rows, fraction, seed), test[:20])

    monkeypatch.setattr(preparation, "subsample", leaking)
    found = failures(again(one(gate, "credit")))["credit"]
    assert {"row in two sets", "rows in two sets", "training rows"} <= found


def test_degraded_scores_are_named(gate: GateConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    sound: Callable[..., Any] = BinaryTarget.recalibrate.__func__  # type: ignore[attr-defined]

    def overconfident(cls: type, scores: Any, recalibration: Any) -> Any:
        odds = 4.0 * np.log(
            sound(cls, scores, recalibration)[:, 1:] / sound(cls, scores, recalibration)[:, :1]
        )
        positive = 1 / (1 + np.exp(-odds))
        return np.column_stack([1 - positive, positive])

    monkeypatch.setattr(BinaryTarget, "recalibrate", classmethod(overconfident))
    found = failures(again(one(gate, "credit")))["credit"]
    assert "calibration_slope" in found
    assert "auroc" not in found, "the order of the rows is as it was"


def test_an_encoder_refitted_at_prediction_is_named(
    gate: GateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = LoadedRun.scores

    def refitting(self: LoadedRun, frame: Any, *more: Any, **options: Any) -> Any:
        self.encoder.fit(frame)
        return sound(self, frame, *more, **options)

    monkeypatch.setattr(LoadedRun, "scores", refitting)
    found = failures(again(one(gate, "credit")))["credit"]
    assert {"difference of a row predicted alone", "difference of rows in another order"} & found


def test_a_run_that_fails_is_a_regression_and_not_a_crash(gate: GateConfig) -> None:
    broken = TaskSpec("credit", ("task=credit", "data.rows=-1"), (0,), "", common_margins())
    result = again(GateConfig(DOMAIN, gate.folder, (broken,), ("credit", "private")))
    assert failures(result) == {"credit": {"run of seed 0"}}
    assert "data.rows" in result.comparisons[0].reason


def test_a_partial_renewal_keeps_the_rest(gate: GateConfig) -> None:
    before = read_baseline(gate.folder)
    lines: list[str] = []
    renew([one(gate, "private")], "private anew", help_too=False, workers=1, say=lines.append)
    after = read_baseline(gate.folder)
    assert after.reason == "private anew"
    assert after.tasks.keys() == before.tasks.keys()
    assert after.tasks["credit"][0].values == before.tasks["credit"][0].values
    assert not [
        line for line in lines if "credit" in line and "written" not in line and "baseline.json" not in line
    ]


def called(gate: GateConfig, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(config, "chosen_gates", lambda domains, tasks: [gate])
    with pytest.raises(SystemExit) as ended:
        command.main(["--workers", "1", "--task", "credit", *arguments])
    return int(ended.value.code or 0)


def test_the_command(
    gate: GateConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small, junit = one(gate, "credit"), tmp_path / "out/junit.xml"
    files = ("--junit", str(junit), "--markdown", str(tmp_path / "out/summary.md"))
    assert called(small, monkeypatch, *files) == 0
    assert "no regression in" in capsys.readouterr().out
    assert ElementTree.parse(junit).getroot().get("failures") == "0"
    assert (tmp_path / "out/summary.md").read_text().startswith("## Gate: no regression")
    harder = GateConfig(DOMAIN, gate.folder, (spec("credit", bar=0.99),), gate.defined)
    assert called(harder, monkeypatch, *files) == 1
    assert "below the bar of gate.yaml" in capsys.readouterr().out
    assert int(ElementTree.parse(junit).getroot().get("failures") or 0) >= 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--renew"], "--renew: say why with --reason"),
        (["--renew", "--reason", "  "], "--renew: say why with --reason"),
        (["--reason", "x"], "--reason: it is the reason of a --renew"),
        (["--workers", "0"], "--workers=0: a whole number of at least 1"),
        (["--domain", "banking"], "--domain='banking': installed here: driving, education, finance"),
        (["--domain", "finance", "--task", "scene"], "--task='scene': there are fraud, credit"),
        (
            ["--domain", "finance", "--baseline", "/nowhere"],
            "/nowhere/finance/baseline.json: there is no baseline",
        ),
    ],
)
def test_a_mistake_in_the_call(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: ")
    assert message in told.err
    assert "Traceback" not in told.err


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import contextlib, io, json, sys\n"
        "from core.regression.__main__ import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main(['--help'])\n"
        "print(json.dumps([name in sys.modules for name in ('torch', 'numpy', 'hydra')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [False, False, False]
