"""Task ``notes``: specialties of a clinical note."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import register
from core.domain import Task
from core.oversight.declaration import Oversight

if TYPE_CHECKING:
    from core.data.types import Dataset


@register(
    "task",
    "notes",
    defaults={"backbone": "text"},
    values={"encoder": {"text": {"max_length": 128}}, "training": {"epochs": 5}},
)
class Notes(Task):
    """Specialties that a clinical note is filed under."""

    name: ClassVar[str] = "notes"
    purpose: ClassVar[str] = "To file notes where they belong; a clerk confirms."
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To propose the specialties that a clinical note belongs to, for a clerk who files it.",
        affected=("patients whose notes are filed", "clinicians who look for them"),
        forbidden_uses=(
            "to derive a diagnosis or a treatment from a specialty",
            "to bill by it without a coder's check",
            "to hide a note from specialties that were not predicted",
        ),
        human_decides=(
            "A clerk confirms every note's specialties.",
            "An uncertain note is filed by the clerk from its text.",
        ),
        responsible="the head of the records office",
    )

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Return simulated clinical notes."""
        from healthcare.simulate.notes import simulate

        return simulate(rows, seed, self.simulated_bias)
