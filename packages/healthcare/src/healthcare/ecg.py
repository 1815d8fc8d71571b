"""Task ``ecg``: class of a heartbeat in an electrocardiogram."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import register
from core.domain import Task
from core.oversight.declaration import Oversight

if TYPE_CHECKING:
    from core.data.types import Dataset


@register("task", "ecg", defaults={"backbone": "cnn1d"})
class Ecg(Task):
    """Class of a heartbeat in an electrocardiogram."""

    name: ClassVar[str] = "ecg"
    purpose: ClassVar[str] = "To flag abnormal beats in long recordings; a cardiologist decides."
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To flag abnormal beats in long recordings, for a cardiologist's reading.",
        affected=("patients whose heart was recorded",),
        forbidden_uses=(
            "to raise or silence an alarm at the bedside",
            "to call a recording normal without a cardiologist",
            "to steer a pacemaker or a defibrillator",
        ),
        human_decides=(
            "A cardiologist reads the recording and decides.",
            "Beats with an uncertain prediction are shown among the abnormal ones.",
        ),
        responsible="the reading cardiologist",
    )

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Return simulated heartbeats."""
        from healthcare.simulate.ecg import simulate

        return simulate(rows, seed, self.simulated_bias)
