"""What the tests of smarthome share."""

from __future__ import annotations

import pytest

import smarthome

SMALL = (
    "training.progress=none",
    "evaluation.resamples=50",
    "evaluation.resamples_slow=20",
    "baseline=none",
    "threads=1",
)


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Return runs of both simulated tasks, trained once."""
    folder = tmp_path_factory.mktemp("runs")
    commands = smarthome.train(
        "task=commands",
        "data.rows=2500",
        "training.epochs=6",
        "backbone.hidden_size=48",
        *SMALL,
        folder=folder / "commands",
    )
    scene = smarthome.train(
        "task=scene",
        "data.rows=2000",
        "training.epochs=6",
        *SMALL,
        folder=folder / "scene",
    )
    return commands, scene
