"""Task ``signs``: which traffic sign a picture shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import config_error, field, register
from core.domain import Task
from core.oversight.declaration import Oversight

if TYPE_CHECKING:
    from core.data.types import Dataset
    from core.evaluation.study import Study
    from core.targets.types import Metric


@register(
    "task",
    "signs",
    defaults={"backbone": "resnet_gn", "optimizer": "sgd"},
    values={"optimizer": {"lr": 0.1}, "training": {"epochs": 3, "batch_size": 16}},
)
class Signs(Task):
    """Which traffic sign a picture shows."""

    name: ClassVar[str] = "signs"
    purpose: ClassVar[str] = "To read signs for a driver's display; the driver stays responsible."
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To show the driver the sign that was passed.",
        affected=("the driver", "people outside the car"),
        forbidden_uses=(
            "to brake, steer or accelerate",
            "to fine or to watch a driver",
            "outside the declared domain (odd/signs.json), such as in other countries",
        ),
        human_decides=(
            "The driver obeys the sign on the road, whatever is shown.",
            "What the model is unsure of is not shown.",
        ),
        responsible="the driver",
        acts=True,
    )
    bias: float = field(1.0, "strength of the bias planted in simulated data; 0 plants none")
    robustness_rows: int = field(40, "test rows that are spoilt in 15 ways at 5 severities")
    outliers: str | None = field(None, "Parquet of foreign pictures in strips of 32 x 32 (CIFAR-10), or none")
    outlier_rows: int = field(120, "foreign pictures of each set, and as many test rows")

    def check(self) -> None:
        """Refuse values that can't be, naming the key, before any data is read."""
        for key in ("robustness_rows", "outlier_rows"):
            if getattr(self, key) < 10:
                raise config_error(f"task.{key}", getattr(self, key), "at least 10")
        if self.outliers is not None:
            from core.data.readers.files import resolve_path

            resolve_path(self.outliers, "task.outliers")

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Draw simulated signs."""
        from driving.simulate.signs import simulate

        return simulate(rows, seed, self.bias)

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Recall of the signs that protect people on foot or bicycle, of stop and yield, and of the worst class."""
        from driving.metrics import sign_metrics

        return sign_metrics(kind)

    def studies(self, kind: str) -> dict[str, Study]:
        """Spoilt pictures, foreign pictures, risk against coverage, slices, latency, the declared domain."""
        from driving.studies import sign_studies

        return sign_studies(kind, self)
