"""Task ``signs``: classification of traffic signs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import config_error, field, register
from core.domain import Task
from core.oversight.declaration import Oversight

if TYPE_CHECKING:
    from core.data.types import Dataset
    from core.targets.types import Metric


@register(
    "task",
    "signs",
    defaults={"backbone": "resnet_gn", "optimizer": "sgd"},
    values={"optimizer": {"lr": 0.1}, "training": {"epochs": 3, "batch_size": 16}},
)
class Signs(Task):
    """Class of the traffic sign in an image."""

    name: ClassVar[str] = "signs"
    studies_by: ClassVar[str] = "driving.studies:sign_studies"
    purpose: ClassVar[str] = "To read signs for a driver's display; the driver stays responsible."
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To show the driver the last sign.",
        affected=("the driver", "people outside the car"),
        forbidden_uses=(
            "to brake, steer or accelerate",
            "to fine or to watch a driver",
            "outside the declared operational design domain (odd_declarations/signs.json), such as in other countries",
        ),
        human_decides=(
            "The driver obeys the sign on the road, whatever is shown.",
            "A sign with an uncertain prediction is not shown.",
        ),
        responsible="the driver",
        acts=True,
    )
    robustness_rows: int = field(40, "test images that are corrupted in 15 ways at 5 severities")
    ood_path: str | None = field(
        None, "Parquet of out-of-distribution images in strips of 32 x 32 (CIFAR-10)"
    )
    ood_rows: int = field(120, "out-of-distribution images of each set, and as many test images")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, naming the key."""
        super().__post_init__()
        for key in ("robustness_rows", "ood_rows"):
            if getattr(self, key) < 10:
                raise config_error(f"task.{key}", getattr(self, key), "at least 10")

    def check_files(self) -> None:
        """Raise ValueError where the file of out-of-distribution images is missing."""
        if self.ood_path is not None:
            from core.data.readers.files import resolve_path

            resolve_path(self.ood_path, "task.ood_path")

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Return simulated signs."""
        from driving.simulate.signs import simulate

        return simulate(rows, seed, self.simulated_bias)

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Return recall of signs for vulnerable road users, of the right of way, and of the worst class."""
        from driving.metrics import sign_metrics

        return sign_metrics(kind)
