"""From each example's loss to the scalar that is minimised: a weighted mean, the weights known beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Batch


class MeanLoss:
    """Every example counts the same."""

    def __call__(self, losses: Tensor, batch: Batch) -> Tensor:
        """Return the losses (B,) as they are."""
        return losses


class WeightedLoss:
    """Each row of the training part has a weight of its own, by class, group or both; the mean weight is 1."""

    def __init__(self, weights: Tensor) -> None:
        """Take the weights (N,) of the training part's rows, above or equal 0, and scale them to mean 1."""
        if weights.ndim != 1 or not bool(torch.isfinite(weights).all()) or bool((weights < 0).any()):
            raise ValueError("example weights must be one finite number, 0 or above, for each training row")
        if float(weights.sum()) == 0:
            raise ValueError("all example weights are 0: nothing would be learnt")
        self.weights = weights.double().div(weights.double().mean()).float()

    def __call__(self, losses: Tensor, batch: Batch) -> Tensor:
        """Return the losses (B,) times the weights of the batch's rows."""
        if self.weights.device != losses.device:
            self.weights = self.weights.to(losses.device)
        return losses * self.weights[batch.index]
