"""Task ``scene``: what each pixel of a street scene shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import config_error, field, register
from core.data.config import SimulatedData
from core.domain import Task
from core.oversight.declaration import Oversight

if TYPE_CHECKING:
    from core.data.types import Dataset
    from core.evaluation.study import Study
    from core.targets.types import Metric


@register("data", "simulated_scenes")
class SimulatedScenes(SimulatedData):
    """Made by the task's simulation, in a number that suits masks: each has a class for every pixel."""

    rows: int = field(1000, "rows to make")


@register(
    "task",
    "segmentation",
    defaults={"backbone": "resnet_gn", "data": "simulated_scenes"},
    values={
        "optimizer": {"lr": 0.003},
        "training": {"epochs": 4, "batch_size": 8, "validation_batch_size": 32},
    },
)
class Scene(Task):
    """What each pixel of a street scene shows."""

    name: ClassVar[str] = "segmentation"
    purpose: ClassVar[str] = (
        "To tell a driver's aid what is where around the car; the driver stays responsible."
    )
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To tell a driver's aid what is where around the car.",
        affected=("the driver", "people outside the car, above all on foot or bicycle"),
        forbidden_uses=(
            "as the only reason to go on where a person could be in the way",
            "to recognise or follow people",
            "outside the declared domain (odd/scene.json)",
        ),
        human_decides=(
            "The driver watches the road and overrules the aid at any time.",
            "In a picture that the model is unsure of, the aid says that it can't see.",
        ),
        responsible="the driver",
        acts=True,
    )
    bias: float = field(1.0, "strength of the bias planted in simulated data; 0 plants none")
    robustness_rows: int = field(16, "test rows that are spoilt in 15 ways at 5 severities")
    outlier_rows: int = field(24, "foreign pictures of each kind, and as many test rows")

    def check(self) -> None:
        """Refuse values that can't be, naming the key, before any data is read."""
        for key in ("robustness_rows", "outlier_rows"):
            if getattr(self, key) < 2:
                raise config_error(f"task.{key}", getattr(self, key), "at least 2")

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Draw simulated streets."""
        from driving.simulate.segmentation import simulate

        return simulate(rows, seed, self.bias)

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Pixels of people on foot or bicycle: how many are found, and how well they are outlined."""
        from driving.metrics import scene_metrics

        return scene_metrics(kind)

    def studies(self, kind: str) -> dict[str, Study]:
        """Spoilt pictures, foreign pictures, risk against coverage, slices, latency, the declared domain."""
        from driving.studies import scene_studies

        return scene_studies(kind, self)
