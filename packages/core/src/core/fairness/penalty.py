"""A penalty on the gaps between groups, added to the training loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from core.fairness.ema_statistics import EmaMeans

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Batch
    from core.fairness.ema_statistics import AllProcesses
    from core.fairness.subgroups import SubgroupIndex
    from core.targets.types import Target

SCORED = ("equalized_odds", "equal_opportunity", "demographic_parity")


class GapPenalty:
    """strength * sum over classes and groups of |mean of the group - mean of all groups|^2.

    What is averaged: probabilities (``demographic_parity``: of all rows; ``equalized_odds``: of the rows of each
    class; ``equal_opportunity``: of the true class alone, for a binary target among positives), or losses
    (``equal_loss``). The gap comes from the last steps' means and its slope from the batch, as in stochastic
    compositional gradient descent (Wang, Fang and Liu 2017): so a batch may come in pieces, and the chance in a small
    batch's own gap adds nothing to the penalty.
    """

    def __init__(
        self, strata: SubgroupIndex, counts_C: Tensor, target: Target, notion: str, strength: float, minimum: int
    ) -> None:
        """Take the cells' training rows (C,); cells with fewer than ``minimum`` are left alone."""
        self.strata, self.target, self.notion, self.strength = strata, target, notion, strength
        self.shares_C = (counts_C / counts_C.sum()).float()
        judged_GY = (counts_C >= minimum).reshape(len(strata.names), strata.classes)
        if notion == "equal_opportunity" and target.kind == "binary":
            judged_GY = judged_GY & torch.tensor([False, True])
        self.judged_C = judged_GY.flatten()
        whole = notion in ("equalized_odds", "demographic_parity") and target.kind != "binary"
        self.means = EmaMeans(strata.count, len(target.classes) if whole else 1)

    def __call__(self, losses: Tensor, batch: Batch, outputs: Tensor) -> Tensor:
        """Return the losses (B,) with the penalty's slope added, and note what is averaged."""
        self._to(losses.device)
        cells_B = self.strata.cells(batch.groups, batch.targets)
        figures_BK = self._figures(losses, batch, outputs)
        self.means.add(cells_B, figures_BK)
        slopes_CK = 2 * self.strength * self._gaps() / self.shares_C.clamp(min=1e-12)[:, None]
        slopes_BK = slopes_CK[cells_B]
        if self.notion == "equal_loss":
            # A group that is served better is left alone at most, never trained to be served worse.
            return losses * (1 + slopes_BK[:, 0]).clamp(min=0.0)
        return losses + (slopes_BK * figures_BK).sum(1)

    def after_step(self, parallel: AllProcesses) -> None:
        """Let the step's rows into the means."""
        self.means.after_step(parallel)

    def _figures(self, losses: Tensor, batch: Batch, outputs: Tensor) -> Tensor:
        if self.notion == "equal_loss":
            return losses[:, None]
        scores_BK = self.target.scores(outputs.float())
        if self.target.kind == "binary":
            return scores_BK[:, 1:]
        if self.notion == "equal_opportunity":
            return scores_BK.gather(1, batch.targets[:, None])
        return scores_BK

    def _gaps(self) -> Tensor:
        """Give each cell's mean less the mean of all groups' means of the same class, (C, K); 0 where not judged."""
        judged_GY = (self.judged_C & self.means.seen).reshape(len(self.strata.names), -1, 1).float()
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
        """Give what a resumed run needs."""
        return self.means.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it up again."""
        self.means.load_state_dict(state)
