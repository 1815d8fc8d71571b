"""Task ``scene``: what the sensors of a home say of the people in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import field, register
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
    """Presence, comfort or consumption from sensor readings."""

    name: ClassVar[str] = "scene"
    purpose: ClassVar[str] = (
        "To set light and heating by who is there and how they feel; anyone in the room overrules it."
    )
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To set light and heating by who is there and how they feel.",
        affected=("everyone in the home", "guests, who did not agree to be sensed"),
        forbidden_uses=(
            "to watch people or to prove who was where",
            "to lock, unlock or arm anything",
            "to care for people who can't help themselves",
        ),
        human_decides=(
            "Anyone in the room overrules it with a switch or a word.",
            "Where the model is unsure, nothing is changed.",
        ),
        responsible="the person who lives there",
        acts=True,
    )
    bias: float = field(1.0, "strength of the bias planted in simulated data; 0 plants none")

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Draw the readings of simulated homes."""
        from smarthome.simulate.scene import simulate

        return simulate(rows, seed, self.bias)

    def studies(self, kind: str) -> dict[str, Study]:
        """Name the field's own studies."""
        from smarthome.studies.scene import STUDIES

        return dict(STUDIES.get(kind, {}))
