"""Task ``scene``: occupancy, thermal preference or consumption from the sensors of a home."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import register
from core.domain import Task
from core.oversight.declaration import Oversight

if TYPE_CHECKING:
    from core.data.types import Dataset
    from core.evaluation.study import Study


@register(
    "task",
    "scene",
    defaults={"backbone": "sequence"},
    values={"encoder": {"max_events": 13}, "training": {"epochs": 8}},
)
class Scene(Task):
    """Occupancy, thermal preference or energy consumption from sensor readings."""

    name: ClassVar[str] = "scene"
    purpose: ClassVar[str] = (
        "To control light and heating by occupancy and thermal preference; anyone in the room overrides it."
    )
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To control light and heating by occupancy and thermal preference.",
        affected=("everyone in the home", "guests, who did not consent to sensors"),
        forbidden_uses=(
            "to watch people or to prove who was where",
            "to lock, unlock or arm anything",
            "to care for people who can't help themselves",
        ),
        human_decides=(
            "Anyone in the room overrides it with a switch or a word.",
            "Where the prediction is uncertain, nothing is changed.",
        ),
        responsible="the person who lives there",
        acts=True,
    )

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Return sensor readings of simulated homes."""
        from smarthome.simulate.scene import simulate

        return simulate(rows, seed, self.simulated_bias)

    def studies(self, kind: str) -> dict[str, Study]:
        """Return the studies of occupancy, thermal preference or consumption."""
        from smarthome.studies.scene import STUDIES

        return dict(STUDIES.get(kind, {}))
