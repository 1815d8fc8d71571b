"""Task ``images``: diagnosis from an image, such as that of a skin lesion."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import register
from core.domain import Task
from core.oversight.declaration import Oversight

if TYPE_CHECKING:
    from core.data.types import Dataset


@register(
    "task",
    "images",
    defaults={"backbone": "resnet_gn"},
    values={"training": {"epochs": 5}},
)
class Images(Task):
    """Diagnosis from an image, such as that of a skin lesion."""

    name: ClassVar[str] = "images"
    purpose: ClassVar[str] = "To rank images for a specialist's review; the specialist decides."
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To rank images for a specialist's review, the most suspicious first.",
        affected=("patients", "patients whose image is reviewed later"),
        forbidden_uses=(
            "to tell a patient a diagnosis, or that nothing is wrong, without a specialist",
            "to take an image out of the review",
            "for skin types, devices or lesions that the data do not contain",
        ),
        human_decides=(
            "A specialist reviews every image and decides.",
            "An uncertain case is reviewed without the prediction being shown first.",
        ),
        responsible="the reviewing specialist",
    )

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Return simulated skin lesions."""
        from healthcare.simulate.images import simulate

        return simulate(rows, seed, self.simulated_bias)
