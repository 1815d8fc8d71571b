"""Sources of data sets: the task's simulation, a user's own table, folder of images, folder of masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from core.data.config import SimulatedData
    from core.data.types import Dataset


class SimulatedTask(Protocol):
    """A use case that can simulate data with a known ground truth."""

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Return labeled rows, the same ones for the same seed."""


def simulate(config: SimulatedData, task: SimulatedTask, seed: int) -> Dataset:
    """Return the task's simulation."""
    return task.simulate(config.rows, seed)
