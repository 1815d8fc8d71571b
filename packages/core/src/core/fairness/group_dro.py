"""Group DRO: the groups with the highest loss weigh most (Sagawa, Koh, Hashimoto and Liang, ICLR 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from core.config import config_error
from core.fairness.config import GroupDROConfig
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


class GroupDROMitigation(NoMitigation):
    """``fairness=dro``."""

    config: GroupDROConfig

    def objective(self, rows: EncodedSplit, groups: Groups, target: Target) -> GroupDRO:
        """Return the objective; ValueError where fewer than two groups have the training rows it needs."""
        config = self.config
        by_class = config.by_class and target.has_row_class
        index = SubgroupIndex.of(config.attribute, groups, target, by_class)
        counts_C = index.counts(rows)
        if int((counts_C >= config.min_group_rows).sum()) < 2:
            raise config_error(
                "fairness.min_group_rows",
                config.min_group_rows,
                "fewer than two groups have so many training rows",
            )
        return GroupDRO(index, counts_C, config.step_size, config.min_group_rows)

    def section(self, groups: Groups) -> MitigationSection:
        """Return what was done, for the record."""
        return mitigation_section(self.config, self.config.attribute, groups, "step_size", "by_class")


class GroupDRO:
    """Algorithm 1 of the paper with rows drawn as they come: a row of subgroup c weighs q_c / P(c).

    After each step q_c grows by exp(step_size * mean loss of c), an exponentiated-gradient ascent whose means are
    moving averages, and is scaled to sum to the share of the rows it stands for. Subgroups with few training rows keep
    weight 1: their loss is mostly chance.
    """

    def __init__(self, index: SubgroupIndex, counts_C: Tensor, step_size: float, min_group_rows: int) -> None:
        """``counts_C`` (C,): training rows of each subgroup; those with fewer than ``min_group_rows`` stay out."""
        self.index, self.step_size = index, step_size
        self.large_C = counts_C >= min_group_rows
        self.shares_C = (counts_C / counts_C.sum()).float()
        self.losses = EmaMeans(index.count)
        self.log_q_C = torch.zeros(index.count)

    @property
    def row_weights(self) -> Tensor:
        """The weight of a row of each subgroup, (C,)."""
        q_C = torch.softmax(self.log_q_C.masked_fill(~self.large_C, -torch.inf), 0)
        q_C = q_C * self.shares_C[self.large_C].sum()
        return torch.where(self.large_C, q_C / self.shares_C.clamp(min=1e-12), 1.0)

    def __call__(self, losses: Tensor, batch: Batch, outputs: Tensor) -> Tensor:
        """Return the losses (B,) times the weights that earlier steps led to, and keep the losses' means."""
        self._to(losses.device)
        subgroups = self.index.subgroups(batch.groups, batch.targets)
        self.losses.add(subgroups, losses[:, None])
        return losses * self.row_weights[subgroups]

    def after_step(self, parallel: AllProcesses) -> None:
        """Raise the weights of the subgroups with high losses."""
        self.losses.after_step(parallel)
        weighed_C = self.losses.seen & self.large_C
        mean_C = self.losses.means[:, 0]
        middle = (mean_C * weighed_C).sum() / weighed_C.sum().clamp(min=1)
        # Less the middle, which changes no weight, so that a subgroup not yet seen loses nothing by it.
        self.log_q_C = self.log_q_C + self.step_size * (mean_C - middle) * weighed_C

    def _to(self, device: torch.device) -> None:
        self.losses.to(device)
        if self.log_q_C.device != device:
            self.log_q_C, self.large_C = self.log_q_C.to(device), self.large_C.to(device)
            self.shares_C = self.shares_C.to(device)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {"log_q": self.log_q_C, **self.losses.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a saved state."""
        self.log_q_C = state["log_q"]
        self.losses.load_state_dict(state)
