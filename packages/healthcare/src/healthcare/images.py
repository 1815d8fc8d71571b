"""Task ``images``: diagnosis from a picture, such as a skin lesion."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import field, register
from core.domain import Task
from core.oversight.declaration import Oversight

if TYPE_CHECKING:
    from core.data.types import Dataset


@register(
    "task",
    "images",
    defaults={"backbone": "cnn"},
    values={"training": {"epochs": 5}},
)
class Images(Task):
    """Diagnosis from a picture, such as a skin lesion."""

    name: ClassVar[str] = "images"
    purpose: ClassVar[str] = "To order pictures for a specialist's review; the specialist decides."
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To order pictures for a specialist's review, the most suspicious first.",
        affected=("patients", "patients whose picture is looked at later"),
        forbidden_uses=(
            "to tell a patient a diagnosis, or that nothing is wrong, without a specialist",
            "to take a picture out of the review",
            "for kinds of skin, devices or lesions that the data do not show",
        ),
        human_decides=(
            "A specialist looks at every picture and decides.",
            "What the model is unsure of is reviewed without its answer being shown first.",
        ),
        responsible="the reviewing specialist",
    )
    bias: float = field(1.0, "strength of the bias planted in simulated data; 0 plants none")

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Draw simulated skin lesions."""
        from healthcare.simulate.images import simulate

        return simulate(rows, seed, self.bias)
