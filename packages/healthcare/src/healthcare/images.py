"""Task ``images``: diagnosis from a picture, such as a skin lesion."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import setting, task

if TYPE_CHECKING:
    from core.data.types import Dataset
    from core.evaluation.study import Study
    from core.targets.types import Metric


@task("images")
class Images:
    """Diagnosis from a picture, such as a skin lesion."""

    name: ClassVar[str] = "images"
    purpose: ClassVar[str] = "To order pictures for a specialist's review; the specialist decides."
    bias: float = setting(1.0, "strength of the bias planted in simulated data; 0 plants none")

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Draw simulated skin lesions."""
        from healthcare.simulate.images import simulate

        return simulate(rows, seed, self.bias)

    def metrics(self, kind: str) -> dict[str, Metric]:
        """Add nothing: the clinical figures are core's own."""
        return {}

    def studies(self, kind: str) -> dict[str, Study]:
        """Carry out none yet."""
        return {}
