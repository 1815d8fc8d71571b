"""Task ``records``: diagnosis and prognosis from rows of a patient table."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import setting, task

if TYPE_CHECKING:
    from core.data.types import Dataset
    from core.evaluation.study import Study
    from core.targets.types import Metric


@task("records")
class Records:
    """Diagnosis from a patient's records: vitals, laboratory values, codes, a short note."""

    name: ClassVar[str] = "records"
    purpose: ClassVar[str] = "To point clinicians to patients at raised risk; a clinician decides."
    bias: float = setting(1.0, "strength of the bias planted in simulated data; 0 plants none")

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Draw simulated ward assessments."""
        from healthcare.simulate.records import simulate

        return simulate(rows, seed, self.bias)

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Add nothing: the clinical figures are core's own."""
        return {}

    def studies(self, kind: str) -> dict[str, Study]:
        """Carry out none yet."""
        return {}
