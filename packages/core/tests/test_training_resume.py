"""A killed run that is started again ends with the same bytes as one that ran straight through."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from fakes.training import CASES, STEPS, Net, run
from safetensors.torch import load_file

from core import atomic_io
from core.training.shutdown import TrainingInterrupted
from core.training.types import Callback


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def straight(tmp_path: Path, case: str, **changes) -> bytes:
    folder = tmp_path / "straight"
    folder.mkdir(exist_ok=True)
    run(folder, case, **changes)
    return weights(folder)


def test_killed_process_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    kills = ["3", "8", "11", "0"]  # the first before any checkpoint
    command = [sys.executable, "-m", "fakes.training", str(folder), "adamw_ema_stop", *kills]
    subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=Path(__file__).parent, check=True)
    expected = straight(tmp_path, "adamw_ema_stop")
    assert weights(folder) == expected
    fresh = {n: t.clone() for n, t in Net().state_dict().items()}
    assert any(not torch.equal(fresh[n], t) for n, t in load_file(folder / "model.safetensors").items())


class Crash(Exception):  # noqa: N818 - it stands for no error
    """Stands in for a kill: the process's memory is dropped, only files remain."""


class Crasher(Callback):
    def __init__(self, after: int) -> None:
        self.after = after

    def on_step(self, event) -> None:
        if event.step == self.after:
            raise Crash


@pytest.mark.parametrize("case", list(CASES))
def test_resume_from_any_step_gives_the_same_bytes(tmp_path: Path, case: str) -> None:
    expected = straight(tmp_path, case)
    for after in (1, 5, 6, 11, 20, STEPS):
        folder = tmp_path / f"crash{after}"
        folder.mkdir()
        try:
            run(folder, case, callbacks=[Crasher(after)])
        except Crash:
            torch.rand(after)  # a resumed process finds other random streams
            run(folder, case)
        else:
            assert case == "adamw_ema_stop", "only early stopping may end before the crash"
        assert weights(folder) == expected, f"differs when crashed after step {after}"


def test_finished_training_is_resumed_without_another_step(tmp_path: Path) -> None:
    first, _ = run(tmp_path, "adamw_ema_stop")
    assert first.steps < STEPS
    assert first.stop_reason == "patience"
    assert first.best.without_improvement == 3
    expected = weights(tmp_path)
    again, _ = run(tmp_path, "adamw_ema_stop", callbacks=[Crasher(1), Crasher(first.steps + 1)])
    assert weights(tmp_path) == expected
    assert again.steps == first.steps
    assert again.best == first.best
    assert again.history == first.history


def test_checkpoint_times_do_not_change_the_weights(tmp_path: Path) -> None:
    expected = straight(tmp_path, "adamw")
    folder = tmp_path / "other"
    folder.mkdir()
    run(folder, "adamw", checkpoint_every_steps=1, keep_checkpoints=1)
    assert weights(folder) == expected
    assert len(list((folder / "checkpoints").glob("step-*.json"))) == 1


def test_changed_setting_is_refused_by_name(tmp_path: Path) -> None:
    run(tmp_path, "adamw")
    with pytest.raises(ValueError, match=r"training\.batch_size=20, but it is now 24"):
        run(tmp_path, "adamw", batch_size=24)
    run(tmp_path, "adamw", keep_checkpoints=3)  # how a run is kept may change


def test_damaged_checkpoint_is_skipped_with_a_warning(tmp_path: Path) -> None:
    expected = straight(tmp_path, "sgd")
    folder = tmp_path / "damaged"
    folder.mkdir()
    with pytest.raises(Crash):
        run(folder, "sgd", callbacks=[Crasher(13)])
    newest = folder / "checkpoints" / "step-000000010.safetensors"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    trained, _ = run(folder, "sgd")
    assert "step-000000010.safetensors is torn or was altered" in trained.warnings[0]
    assert weights(folder) == expected


def test_altered_or_torn_manifest_is_refused_when_it_is_the_last(tmp_path: Path) -> None:
    run(tmp_path, "sgd", keep_checkpoints=1)
    manifest = next((tmp_path / "checkpoints").glob("step-*.json"))
    sealed = json.loads(manifest.read_text())
    sealed["body"]["values"]["step"]["step"] = 3
    manifest.write_text(json.dumps(sealed))
    with pytest.raises(ValueError, match="was altered"):
        run(tmp_path, "sgd")
    manifest.write_text(manifest.read_text()[:100])
    with pytest.raises(ValueError, match=r"no checkpoint in .* is intact: .* is torn"):
        run(tmp_path, "sgd")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_keeps_a_checkpoint_and_says_where_it_stopped(tmp_path: Path, number: int) -> None:
    expected = straight(tmp_path, "adamw")

    class Asker(Crasher):
        def on_step(self, event) -> None:
            if event.step == self.after:
                os.kill(os.getpid(), number)
                time.sleep(0.01)

    folder = tmp_path / "asked"
    folder.mkdir()
    former = signal.getsignal(number)
    with pytest.raises(TrainingInterrupted, match=r"after step 7 of 24.*same command") as stopped:
        run(folder, "adamw", callbacks=[Asker(7)], checkpoint_every_steps=0)
    assert stopped.value.step == 7
    assert signal.getsignal(number) == former
    run(folder, "adamw", checkpoint_every_steps=0)
    assert weights(folder) == expected


def test_full_disk_leaves_the_former_checkpoint_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = straight(tmp_path, "adamw")
    folder = tmp_path / "full"
    folder.mkdir()
    real = os.fsync
    calls = 0

    def full(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 5:  # two files of two syncs each are the first checkpoint
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(atomic_io.os, "fsync", full)
    with pytest.raises(ValueError, match=r"no space left .* step 10 .*the checkpoint of step 5 is intact"):
        run(folder, "adamw")
    monkeypatch.undo()
    assert not list((folder / "checkpoints").glob(".step-*"))
    run(folder, "adamw")
    assert weights(folder) == expected


def test_another_model_is_refused(tmp_path: Path) -> None:
    run(tmp_path, "adamw", fingerprint={"same": 1})
    with pytest.raises(ValueError, match=r"optimizer state|saved weights|weight average"):
        run(tmp_path, "muon", fingerprint={"same": 1})
