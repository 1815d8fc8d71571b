"""A private run that was killed resumes to the same bytes; one of another guarantee is refused by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fakes.privacy import gradient_of, private, resumable, settings

from core.data.types import Batch


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_killed_run_ends_with_the_bytes_of_a_straight_one(tmp_path: Path) -> None:
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    for folder in (killed, straight):
        (folder / "checkpoints").mkdir(parents=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # The first kill comes before any checkpoint, the second between two.
    command = [sys.executable, "-m", "fakes.privacy", str(killed), "3", "8", "0"]
    subprocess.run(command, env=environment, cwd=Path(__file__).parent, check=True)
    (straight / "checkpoints" / "rng_key").write_bytes((killed / "checkpoints" / "rng_key").read_bytes())
    _, setup = resumable(straight)
    assert (killed / "model.safetensors").read_bytes() == (straight / "model.safetensors").read_bytes()
    checkpoint = "checkpoints/step-000000012"
    scores = [(folder / f"{checkpoint}.safetensors").read_bytes() for folder in (killed, straight)]
    assert scores[0] == scores[1], "the audit's scores and the optimizer are the same too"
    assert gradient_of(setup).whitebox.scores.any()
    other = tmp_path / "other"
    resumable(other)
    assert (other / "model.safetensors").read_bytes() != (straight / "model.safetensors").read_bytes(), (
        "another key gives another run"
    )


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"dp_epsilon": 4.0}, "privacy.epsilon=3.0, but it is now 4.0"),
        ({"dp_l2_clip_norm": 0.5}, "privacy.l2_clip_norm=1.0, but it is now 0.5"),
        ({"dp_batch_size": 12.0}, "privacy.batch_size=24.0, but it is now 12.0"),
        ({"dp_delta": 1e-6}, "privacy.delta"),
        ({"steps": 10}, "privacy.steps=12, but it is now 10"),
    ],
)
def test_another_guarantee_is_refused_by_name(tmp_path: Path, changed: dict[str, float], key: str) -> None:
    resumable(tmp_path)
    with pytest.raises(ValueError, match=key):
        resumable(tmp_path, **changed)


def test_no_checkpoint_holds_the_key(tmp_path: Path) -> None:
    resumable(tmp_path)
    folder = tmp_path / "checkpoints"
    key = (folder / "rng_key").read_text()
    number = int(key, 16)
    hidden = [
        key.encode(),
        str(number).encode(),
        number.to_bytes(16, "big"),
        number.to_bytes(16, "little"),
    ]
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "rng_key"]
    assert len(files) >= 5
    for path in files:
        content = path.read_bytes()
        assert not any(form in content for form in hidden), path


def test_dropout_is_drawn_with_the_key(tmp_path: Path) -> None:
    """With a public seed, leaving one unit out would visibly shift the masks of those after it."""
    seeds = {private(settings(dp_noise_seed=n), tmp_path).seed for n in (1, 1, 2)}
    assert len(seeds) == 2


def test_empty_and_tiny_batches_train(tmp_path: Path) -> None:
    setup = private(settings(dp_batch_size=0.5, steps=30), tmp_path)
    sizes = []
    for batch in setup.batches.from_step(0):
        assert isinstance(batch, Batch)
        sizes.append(len(batch))
        setup.step(batch)
    assert 0 in sizes
    assert all(bool(p.isfinite().all()) for p in setup.step.model.parameters())
