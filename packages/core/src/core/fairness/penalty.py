"""A penalty on the disparities between groups, added to the training loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from core.config import config_error
from core.fairness.config import PenaltyConfig
from core.fairness.ema_statistics import EmaMeans
from core.fairness.mitigation import NoMitigation, mitigation_section
from core.fairness.subgroups import SubgroupIndex

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.encoded_split import EncodedSplit
    from core.data.groups import Groups
    from core.data.types import Batch
    from core.fairness.ema_statistics import AllProcesses
    from core.fairness.section import MitigationSection
    from core.targets.types import Target

BY_CLASS = ("equalized_odds", "equal_opportunity")
"""Constraints that compare groups within each class."""


class PenaltyMitigation(NoMitigation):
    """``fairness=penalty``."""

    config: PenaltyConfig

    def objective(self, rows: EncodedSplit, groups: Groups, target: Target) -> DisparityPenalty:
        """Return the objective; ValueError for a constraint that the target's rows can't have."""
        config, constraint = self.config, self.config.constraint
        if not target.has_row_class and constraint not in ("auto", "equal_loss"):
            raise config_error(
                "fairness.constraint", constraint,
                f"rows of a {target.kind} target have no single class; use equal_loss",
            )  # fmt: skip
        if constraint == "auto":
            constraint = "equalized_odds" if target.has_row_class else "equal_loss"
        index = SubgroupIndex.of(config.attribute, groups, target, constraint in BY_CLASS)
        counts = index.counts(rows)
        return DisparityPenalty(index, counts, target, constraint, config.weight, config.min_group_rows)

    def section(self, groups: Groups) -> MitigationSection:
        """Return what was done, for the record."""
        return mitigation_section(self.config, self.config.attribute, groups, "constraint", "weight")


class DisparityPenalty:
    """weight * sum over classes and groups of |mean of the group - mean of all groups|^2.

    What is averaged: probabilities (``demographic_parity``: of all rows; ``equalized_odds``: of the rows of each
    class; ``equal_opportunity``: of the true class alone, for a binary target among positives), or losses
    (``equal_loss``). The disparity comes from moving averages and its slope from the batch, as in stochastic
    compositional gradient descent (Wang, Fang and Liu 2017): so a batch may come in micro-batches, and the chance in a
    small batch's own disparity adds nothing to the penalty.
    """

    def __init__(
        self,
        index: SubgroupIndex,
        counts_C: Tensor,
        target: Target,
        constraint: str,
        weight: float,
        min_group_rows: int,
    ) -> None:
        """``counts_C`` (C,): training rows of each subgroup; those with under ``min_group_rows`` are left alone."""
        self.index, self.target, self.constraint, self.weight = index, target, constraint, weight
        self.shares_C = (counts_C / counts_C.sum()).float()
        judged = target.judged_classes(target.classes)
        self.only = target.classes.index(judged[0]) if len(judged) == 1 else None
        """The class whose probability says everything, of binary targets."""
        judged_GY = (counts_C >= min_group_rows).reshape(len(index.names), index.classes)
        if constraint == "equal_opportunity":
            judged_GY = judged_GY & torch.tensor([name in judged for name in target.classes])
        self.judged_C = judged_GY.flatten()
        every_class = constraint in ("equalized_odds", "demographic_parity") and self.only is None
        self.means = EmaMeans(index.count, len(target.classes) if every_class else 1)

    def __call__(self, losses: Tensor, batch: Batch, outputs: Tensor) -> Tensor:
        """Return the losses (B,) with the penalty's slope added, and keep what is averaged."""
        self._to(losses.device)
        subgroups_B = self.index.subgroups(batch.groups, batch.targets)
        statistics_BK = self._statistics(losses, batch, outputs)
        self.means.add(subgroups_B, statistics_BK)
        slopes_CK = 2 * self.weight * self._disparities() / self.shares_C.clamp(min=1e-12)[:, None]
        slopes_BK = slopes_CK[subgroups_B]
        if self.constraint == "equal_loss":
            # A group that is served better is left alone at most, never trained to be served worse.
            return losses * (1 + slopes_BK[:, 0]).clamp(min=0.0)
        return losses + (slopes_BK * statistics_BK).sum(1)

    def after_step(self, parallel: AllProcesses) -> None:
        """Update the means by the step's rows."""
        self.means.after_step(parallel)

    def _statistics(self, losses: Tensor, batch: Batch, outputs: Tensor) -> Tensor:
        if self.constraint == "equal_loss":
            return losses[:, None]
        scores_BK = self.target.scores(outputs.float())
        if self.only is not None:
            return scores_BK[:, self.only : self.only + 1]
        if self.constraint == "equal_opportunity":
            return scores_BK.gather(1, batch.targets[:, None])
        return scores_BK

    def _disparities(self) -> Tensor:
        """Compute each subgroup's mean less the mean over groups of the same class, (C, K); 0 where not judged."""
        judged_GY = (self.judged_C & self.means.seen).reshape(len(self.index.names), -1, 1).float()
        means_GYK = self.means.means.reshape(*judged_GY.shape[:2], -1)
        middle_1YK = (means_GYK * judged_GY).sum(0, keepdim=True) / judged_GY.sum(0, keepdim=True).clamp(
            min=1
        )
        return ((means_GYK - middle_1YK) * judged_GY).flatten(0, 1)

    def _to(self, device: torch.device) -> None:
        self.means.to(device)
        if self.shares_C.device != device:
            self.shares_C, self.judged_C = self.shares_C.to(device), self.judged_C.to(device)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return self.means.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a saved state."""
        self.means.load_state_dict(state)
