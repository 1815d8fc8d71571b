"""Task ``notes``: specialties of a clinical note."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import setting, task

if TYPE_CHECKING:
    from core.data.types import Dataset
    from core.evaluation.study import Study
    from core.targets.types import Metric


@task("notes")
class Notes:
    """Specialties of a clinical note."""

    name: ClassVar[str] = "notes"
    purpose: ClassVar[str] = "To file notes where they belong; a clerk confirms."
    bias: float = setting(1.0, "strength of the bias planted in simulated data; 0 plants none")

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Draw simulated clinical notes."""
        from healthcare.simulate.notes import simulate

        return simulate(rows, seed, self.bias)

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Add nothing: the clinical figures are core's own."""
        return {}

    def studies(self, kind: str) -> dict[str, Study]:
        """Carry out none yet."""
        return {}
