"""Group DRO: the groups with the highest loss count most (Sagawa, Koh, Hashimoto and Liang, ICLR 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from core.fairness.ema_statistics import EmaMeans

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Batch
    from core.fairness.ema_statistics import AllProcesses
    from core.fairness.subgroups import SubgroupIndex


class GroupDRO:
    """Algorithm 1 of the paper with rows drawn as they come: a row of cell c weighs q_c / P(c).

    After each step q_c grows by exp(rate * mean loss of c), the mean being over the last steps, and is scaled to sum
    to the share of the rows it stands for. Cells with few training rows keep weight 1: their loss is mostly chance.
    """

    def __init__(self, strata: SubgroupIndex, counts_C: Tensor, rate: float, minimum: int) -> None:
        """Take the cells' training rows (C,), the step size, and the rows below which a cell stays out."""
        self.strata, self.rate = strata, rate
        self.large_C = counts_C >= minimum
        self.shares_C = (counts_C / counts_C.sum()).float()
        self.losses = EmaMeans(strata.count)
        self.log_q_C = torch.zeros(strata.count)

    @property
    def row_weights(self) -> Tensor:
        """The weight of a row of each cell, (C,)."""
        q_C = torch.softmax(self.log_q_C.masked_fill(~self.large_C, -torch.inf), 0)
        q_C = q_C * self.shares_C[self.large_C].sum()
        return torch.where(self.large_C, q_C / self.shares_C.clamp(min=1e-12), 1.0)

    def __call__(self, losses: Tensor, batch: Batch, outputs: Tensor) -> Tensor:
        """Return the losses (B,) times the weights that the steps before have made, and note the losses."""
        self._to(losses.device)
        cells = self.strata.cells(batch.groups, batch.targets)
        self.losses.add(cells, losses[:, None])
        return losses * self.row_weights[cells]

    def after_step(self, parallel: AllProcesses) -> None:
        """Raise the weights of the cells with high losses."""
        self.losses.after_step(parallel)
        judged_C = self.losses.seen & self.large_C
        mean_C = self.losses.means[:, 0]
        middle = (mean_C * judged_C).sum() / judged_C.sum().clamp(min=1)
        # Less the middle, which changes no weight, so that a cell not yet seen loses nothing by it.
        self.log_q_C = self.log_q_C + self.rate * (mean_C - middle) * judged_C

    def _to(self, device: torch.device) -> None:
        self.losses.to(device)
        if self.log_q_C.device != device:
            self.log_q_C, self.large_C = self.log_q_C.to(device), self.large_C.to(device)
            self.shares_C = self.shares_C.to(device)

    def state_dict(self) -> dict[str, Any]:
        """Give what a resumed run needs."""
        return {"log_q": self.log_q_C, **self.losses.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it up again."""
        self.log_q_C = state["log_q"]
        self.losses.load_state_dict(state)
