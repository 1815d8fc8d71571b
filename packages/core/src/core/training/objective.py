"""From each example's loss to the scalar that is minimised; weights by group are in ``core.fairness``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Batch


class MeanLoss:
    """Every example counts the same."""

    def __call__(self, losses: Tensor, batch: Batch, outputs: Tensor) -> Tensor:
        """Return the losses (B,) as they are."""
        return losses
