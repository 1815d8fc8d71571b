"""Task ``scene``: what each pixel of a street scene shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import option, setting, task, wrong
from core.data.config import SimulatedData

if TYPE_CHECKING:
    from core.data.types import Dataset
    from core.evaluation.study import Study
    from core.targets.types import Metric


@option("data", "simulated_scenes")
class SimulatedScenes(SimulatedData):
    """Made by the task's simulation, in a number that suits masks: each has a class for every pixel."""

    rows: int = setting(1000, "rows to make")


@task("scene")
class Scene:
    """What each pixel of a street scene shows."""

    name: ClassVar[str] = "scene"
    purpose: ClassVar[str] = (
        "To tell a driver's aid what is where around the car; the driver stays responsible."
    )
    bias: float = setting(1.0, "strength of the bias planted in simulated data; 0 plants none")
    robustness_rows: int = setting(16, "test rows that are spoilt in 15 ways at 5 severities")

    def check(self) -> None:
        """Refuse values that can't be, naming the key, before any data is read."""
        if self.robustness_rows < 2:
            raise wrong("task.robustness_rows", self.robustness_rows, "at least 2")

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Draw simulated streets."""
        from driving.simulate.scene import simulate

        return simulate(rows, seed, self.bias)

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Pixels of people on foot or bicycle: how many are found, and how well they are outlined."""
        from driving.metrics import scene_metrics

        return scene_metrics(kind)

    def studies(self, kind: str) -> dict[str, Study]:
        """Spoilt pictures, risk against coverage, slices, latency, the declared domain."""
        from driving.studies import scene_studies

        return scene_studies(kind, self)
