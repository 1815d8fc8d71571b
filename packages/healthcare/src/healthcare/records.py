"""Task ``records``: diagnosis and prognosis from rows of a patient table."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import register
from core.domain import Task
from core.oversight.declaration import Oversight

if TYPE_CHECKING:
    from core.data.types import Dataset


@register("task", "records", defaults={"backbone": "tabular"})
class Records(Task):
    """Diagnosis from a patient's records: vitals, laboratory values, codes, a short note."""

    name: ClassVar[str] = "records"
    purpose: ClassVar[str] = "To point clinicians to patients at raised risk; a clinician decides."
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To point clinicians to patients at raised risk, beside what they know from the bedside.",
        affected=("patients", "patients who wait because others are seen first"),
        forbidden_uses=(
            "to decide a treatment, an admission or a discharge without a clinician",
            "to refuse care or insurance, or to set its price",
            "for patients unlike those of the data, such as children where adults were recorded",
        ),
        human_decides=(
            "A clinician decides every case; the prediction is one more finding.",
            "An uncertain prediction is marked as such; the case is judged as if there were no prediction.",
        ),
        responsible="the treating clinician",
    )

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Return simulated ward assessments."""
        from healthcare.simulate.records import simulate

        return simulate(rows, seed, self.simulated_bias)
