"""Reweighing: each training row weighs by its group, or by its group and class together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from core.config import config_error
from core.fairness.config import ReweightConfig
from core.fairness.mitigation import NoMitigation, mitigation_section
from core.fairness.subgroups import SubgroupIndex

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.encoded_split import EncodedSplit
    from core.data.groups import Groups
    from core.data.types import Batch
    from core.fairness.section import MitigationSection
    from core.targets.types import Target


class ReweighingMitigation(NoMitigation):
    """``fairness=reweight``."""

    config: ReweightConfig

    def objective(self, rows: EncodedSplit, groups: Groups, target: Target) -> Reweighing:
        """Return the weights of the rows' subgroups: those given, else those that make group and class independent."""
        config = self.config
        if config.reweigh_by == "group_class" and not target.has_row_class:
            raise config_error(
                "fairness.reweigh_by",
                config.reweigh_by,
                f"rows of a {target.kind} target have no single class; use group",
            )
        by_class = target.has_row_class and config.reweigh_by != "group" and not config.weights
        index = SubgroupIndex.of(config.attribute, groups, target, by_class)
        return given_weights(index, config.weights) if config.weights else counted_weights(index, rows)

    def section(self, groups: Groups) -> MitigationSection:
        """Return what was done, for the record."""
        return mitigation_section(self.config, self.config.attribute, groups, "reweigh_by", "weights")


class Reweighing:
    """A weight per subgroup, known beforehand: no example's loss depends on another's."""

    def __init__(self, index: SubgroupIndex, weights: Tensor) -> None:
        """``weights`` (G * Y,), each 0 or above."""
        assert weights.shape == (index.count,)
        self.index, self.weights = index, weights.float()

    def __call__(self, losses: Tensor, batch: Batch, outputs: Tensor) -> Tensor:
        """Return the losses (B,) times the weights of the rows' subgroups."""
        if self.weights.device != losses.device:
            self.weights = self.weights.to(losses.device)
        return losses * self.weights[self.index.subgroups(batch.groups, batch.targets)]


def given_weights(index: SubgroupIndex, weights: Mapping[str, float]) -> Reweighing:
    """Return the user's weights of groups, 1 for others: nothing is counted. ValueError names an unknown group."""
    unknown = [name for name in weights if name not in index.names]
    if unknown:
        raise config_error(
            "fairness.weights", dict(weights), f"no group {unknown[0]!r}; there are {', '.join(index.names)}"
        )
    table = torch.tensor([float(weights.get(name, 1.0)) for name in index.names])
    return Reweighing(index, table.repeat_interleave(index.classes))


def counted_weights(index: SubgroupIndex, rows: EncodedSplit) -> Reweighing:
    """Return weights of mean 1 that make group and class independent, or the groups' sums of weights equal.

    With classes: P(group) P(class) / P(group, class) (Kamiran and Calders 2012, reweighing). Without: the same sum of
    weights for each group.
    """
    counts_GY = index.counts(rows).reshape(len(index.names), index.classes)
    n = counts_GY.sum()
    if index.classes > 1:
        expected_GY = counts_GY.sum(1, keepdim=True) * counts_GY.sum(0, keepdim=True) / n
    else:
        expected_GY = torch.full_like(counts_GY, float(n) / float((counts_GY > 0).sum()))
    weights_GY = torch.where(counts_GY > 0, expected_GY / counts_GY.clamp(min=1.0), 1.0)
    return Reweighing(index, weights_GY.flatten())
