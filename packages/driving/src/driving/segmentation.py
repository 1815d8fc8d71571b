"""Task ``segmentation``: semantic segmentation of street scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import config_error, field, register
from core.data.config import SimulatedData
from core.domain import Task
from core.oversight.declaration import Oversight

if TYPE_CHECKING:
    from core.data.types import Dataset
    from core.targets.types import Metric


@register("data", "simulated_scenes", builds="core.data.sources:simulate")
class SimulatedScenes(SimulatedData):
    """Street scenes of the task's simulation, fewer by default: each has a class for every pixel."""

    rows: int = field(1000, "rows to simulate")


@register(
    "task",
    "segmentation",
    defaults={"backbone": "resnet_gn", "data": "simulated_scenes"},
    values={
        "optimizer": {"lr": 0.003},
        "training": {"epochs": 4, "batch_size": 8, "validation_batch_size": 32},
    },
)
class Segmentation(Task):
    """Class of each pixel of a street scene."""

    name: ClassVar[str] = "segmentation"
    studies_by: ClassVar[str] = "driving.studies:segmentation_studies"
    purpose: ClassVar[str] = (
        "To segment the surroundings of the car for driver assistance; the driver stays responsible."
    )
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To segment the surroundings of the car for driver assistance.",
        affected=("the driver", "people outside the car, above all vulnerable road users"),
        forbidden_uses=(
            "as the only reason to drive on where a person could be in the way",
            "to recognize or track people",
            "outside the declared operational design domain (odd_declarations/segmentation.json)",
        ),
        human_decides=(
            "The driver watches the road and overrides the system at any time.",
            "For an image with an uncertain prediction, the system reports that it can't see.",
        ),
        responsible="the driver",
        acts=True,
    )
    robustness_rows: int = field(16, "test images that are corrupted in 15 ways at 5 severities")
    ood_rows: int = field(24, "out-of-distribution images of each set, and as many test images")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, naming the key."""
        super().__post_init__()
        for key in ("robustness_rows", "ood_rows"):
            if getattr(self, key) < 2:
                raise config_error(f"task.{key}", getattr(self, key), "at least 2")

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Return simulated street scenes."""
        from driving.simulate.segmentation import simulate

        return simulate(rows, seed, self.simulated_bias)

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Return pixel recall and IoU of vulnerable road users."""
        from driving.metrics import segmentation_metrics

        return segmentation_metrics(kind)
