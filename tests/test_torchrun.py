"""Two processes of torchrun train as one does, write one run, and say once what goes wrong.

Run as a script it is one of the processes: ``test_torchrun.py WHO`` fails in the process of that rank.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from core.cli.application import Application
from healthcare import evaluate, predict, train

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
SMALL = (
    "task=records",
    "data.rows=240",
    "evaluation.resamples=20",
    "evaluation.resamples_slow=20",
    "baseline=none",
    "backbone.dropout=0",
    "backbone.token_dropout=0",
    "backbone.num_layers=1",
    "threads=1",
)
PLAIN = (
    *SMALL,
    "optimizer=sgd",  # Adam makes a whole step of a gradient that is nothing but rounding
    "optimizer.lr=0.1",
    "training.batch_size=30",
    "training.epochs=3",
    "training.progress=none",
)
PRIVATE = (
    *SMALL,
    "privacy=dp",
    "privacy.batch_size=20",
    "privacy.accountant=rdp",
    "privacy.noise_seed=5",
    "training.steps=80",
    "training.checkpoint_every_steps=2",
)


def start(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen([*TORCHRUN, *arguments], env=environment, stdout=pipe, stderr=pipe, text=True)


def command(*arguments: str) -> tuple[int, str, str]:
    process = start(*arguments)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "record.json").read_text())
    return found


def assert_same_weights(folder: Path, other: Path) -> None:
    ours, theirs = (load_file(f / "model.safetensors") for f in (folder, other))
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-3, atol=1e-5, msg=name)


def test_two_processes_train_as_one_and_write_once(tmp_path: Path) -> None:
    two, one = tmp_path / "two", tmp_path / "one"
    status, out, err = command("-m", "healthcare.train", f"hydra.run.dir={two}", *PLAIN)
    assert status == 0, err
    assert out.count("How good?") == 1
    train(*PLAIN, folder=one)
    assert_same_weights(two, one)
    ours, theirs = record(two), record(one)
    assert ours["training"]["steps"] == theirs["training"]["steps"]
    for point, other in zip(ours["training"]["history"], theirs["training"]["history"], strict=True):
        assert point.keys() == other.keys()
        for found, expected in ((point, other), (point["validation"] or {}, other["validation"] or {})):
            numbers = {name: value for name, value in expected.items() if isinstance(value, int | float)}
            assert {name: found[name] for name in numbers} == pytest.approx(numbers, rel=1e-3, abs=1e-5)
    assert ours["run"]["command"].startswith("torchrun --nproc-per-node 2 -m healthcare.train hydra.run.dir=")
    assert {p.name for p in two.iterdir()} == {p.name for p in one.iterdir()}


def test_private_training_stopped_and_resumed_ends_as_one_process_does(tmp_path: Path) -> None:
    two, one = tmp_path / "two", tmp_path / "one"
    asked = ("-m", "healthcare.train", f"hydra.run.dir={two}", *PRIVATE)
    process = start(*asked)
    while process.poll() is None and not list(two.glob("checkpoints/step-*.json")):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    assert process.returncode != 0
    assert err.count("error: ") == 1, err
    assert "error: stopped after step" in err
    assert not (two / "record.json").exists()
    reached = max(json.loads(p.read_text())["body"]["step"] for p in two.glob("checkpoints/step-*.json"))
    assert f"stopped after step {reached} of 80" in err

    status, _, err = command(*asked)
    assert status == 0, err
    assert f"step {reached}/80" not in err
    train(*PRIVATE, "training.progress=none", folder=one)
    assert_same_weights(two, one)
    ours, theirs = (record(f)["privacy"] for f in (two, one))
    assert ours["epsilon"] == theirs["epsilon"]
    assert ours["noise_multiplier"] == theirs["noise_multiplier"]


@pytest.mark.parametrize("who", [0, 1])
def test_what_one_process_meets_ends_all_and_is_said_once(who: int) -> None:
    status, out, err = command(__file__, str(who))
    assert status != 0
    assert out == "0 1 sentence of 1\n"
    assert err.count("error: ") == 1, err
    assert f"error: the disk of {who} is full" in err


def test_the_folder_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"hydra\.run\.dir"):
        train(*SMALL)


@pytest.mark.parametrize("verb", [evaluate, predict])
def test_what_one_process_does_is_refused_to_several(
    verb: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=f"{verb.verb} runs in one process, torchrun started 2"):
        verb("run=nowhere", *(["input=x.csv"] if verb.verb == "predict" else ["data.path=x.csv"]))


def fails(who: int) -> None:
    from core.training.parallel import join_process_group

    with join_process_group() as parallel:
        pass  # one program may hold several runs
    with join_process_group() as parallel:
        given = parallel.broadcast_from_main(lambda: parallel.rank)
        sentence = parallel.first_not_none("sentence of 1" if parallel.rank == 1 else None)
        print(given, parallel.reduce_sum(parallel.rank), sentence, flush=True)
        if parallel.rank == who:
            raise ValueError(f"the disk of {who} is full")
        parallel.barrier()


if __name__ == "__main__":
    from core.cli.errors import run_cli

    sys.exit(run_cli(lambda: fails(int(sys.argv[1]))))
