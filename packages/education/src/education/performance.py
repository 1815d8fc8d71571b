"""Task ``performance``: a pupil's final grade from what the school knows early."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import field, register
from core.oversight.declaration import Oversight
from education.config import SUBGROUP_COLUMNS, GradingTask

if TYPE_CHECKING:
    from core.data.types import Dataset


@register(
    "task",
    "performance",
    defaults={"backbone": "tabular", "target": "regression"},
)
class Performance(GradingTask):
    """Final grade of a pupil."""

    name: ClassVar[str] = "performance"
    purpose: ClassVar[str] = "To offer help to pupils early; never to refuse one anything."
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To offer help early to pupils who may need it.",
        affected=("pupils", "pupils who are not offered help because others seem to need it more"),
        forbidden_uses=(
            "to refuse a pupil a course, a school or a stipend",
            "to grade",
            "to judge teachers or schools",
        ),
        human_decides=(
            "A teacher or counsellor decides whom to offer help, and the pupil whether to take it.",
        ),
        responsible="the school's counsellor",
    )
    subgroup_columns: list[str] = field(["subject"], SUBGROUP_COLUMNS)

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Return simulated pupils."""
        from education.simulate.performance import simulate

        return simulate(rows, seed, self.simulated_bias)
