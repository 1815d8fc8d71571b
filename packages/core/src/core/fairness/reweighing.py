"""Reweighting: each training row counts by its group, or by its group and class together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from core.config import config_error

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Batch
    from core.fairness.subgroups import Grouped, SubgroupIndex


class Reweighing:
    """A weight for each cell, known beforehand: no example's loss depends on another's."""

    def __init__(self, strata: SubgroupIndex, weights: Tensor) -> None:
        """Take the weights (G * Y,), each 0 or above."""
        assert weights.shape == (strata.count,)
        self.strata, self.weights = strata, weights.float()

    def __call__(self, losses: Tensor, batch: Batch, outputs: Tensor) -> Tensor:
        """Return the losses (B,) times the weights of the rows' cells."""
        if self.weights.device != losses.device:
            self.weights = self.weights.to(losses.device)
        return losses * self.weights[self.strata.cells(batch.groups, batch.targets)]


def given(strata: SubgroupIndex, weights: Mapping[str, float]) -> Reweighing:
    """Weigh groups as the user says, others by 1: nothing is counted. ValueError names a group that is not there."""
    unknown = [name for name in weights if name not in strata.names]
    if unknown:
        raise config_error(
            "fairness.weights", dict(weights), f"no group {unknown[0]!r}; there are {', '.join(strata.names)}"
        )
    table = torch.tensor([float(weights.get(name, 1.0)) for name in strata.names])
    return Reweighing(strata, table.repeat_interleave(strata.classes))


def counted(strata: SubgroupIndex, rows: Grouped) -> Reweighing:
    """Weigh each cell so that groups and classes are independent, or all groups count the same; the mean is 1.

    With classes: P(group) P(class) / P(group, class) (Kamiran and Calders 2012, reweighing). Without: the same sum of
    weights for each group.
    """
    counts_GY = strata.counts(rows).reshape(len(strata.names), strata.classes)
    n = counts_GY.sum()
    if strata.classes > 1:
        expected_GY = counts_GY.sum(1, keepdim=True) * counts_GY.sum(0, keepdim=True) / n
    else:
        expected_GY = torch.full_like(counts_GY, float(n) / float((counts_GY > 0).sum()))
    weights_GY = torch.where(counts_GY > 0, expected_GY / counts_GY.clamp(min=1.0), 1.0)
    return Reweighing(strata, weights_GY.flatten())
