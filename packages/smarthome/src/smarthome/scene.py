"""Task ``scene``: what the sensors of a home say of the people in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import setting, task

if TYPE_CHECKING:
    from core.data.types import Dataset
    from core.evaluation.study import Study
    from core.targets.types import Metric


@task("scene")
class Scene:
    """Presence, comfort or consumption from sensor readings."""

    name: ClassVar[str] = "scene"
    purpose: ClassVar[str] = (
        "To set light and heating by who is there and how they feel; anyone in the room overrules it."
    )
    bias: float = setting(1.0, "strength of the bias planted in simulated data; 0 plants none")

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Draw the readings of simulated homes."""
        from smarthome.simulate.scene import simulate

        return simulate(rows, seed, self.bias)

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Add nothing: the figures of presence, preference and consumption are core's own."""
        return {}

    def studies(self, kind: str) -> dict[str, Study]:
        """Name the field's own studies."""
        from smarthome.studies.scene import STUDIES

        return dict(STUDIES.get(kind, {}))
