"""Means over cells of training rows, remembered from step to step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

KEPT = 0.9
"""Share of what was seen that each further step keeps: about the last ten batches count."""


class AllProcesses(Protocol):
    """The processes that train together."""

    def all_reduce_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""


class EmaMeans:
    """A fading mean of K figures in each of C cells; a batch may come in pieces and from several processes."""

    def __init__(self, cells: int, figures: int = 1) -> None:
        """Start without having seen a row."""
        self.sums_CK = torch.zeros(cells, figures)
        self.counts_C = torch.zeros(cells)
        self._sums, self._counts = torch.zeros_like(self.sums_CK), torch.zeros_like(self.counts_C)

    @property
    def seen(self) -> Tensor:
        """Which cells had a row so far, (C,) bool."""
        return self.counts_C > 0

    @property
    def means(self) -> Tensor:
        """The means, (C, K); 0 where no row was seen."""
        return self.sums_CK / self.counts_C.clamp(min=1e-12)[:, None] * self.seen[:, None]

    def to(self, device: torch.device) -> None:
        """Keep everything on a device."""
        if self.sums_CK.device != device:
            self.sums_CK, self.counts_C = self.sums_CK.to(device), self.counts_C.to(device)
            self._sums, self._counts = self._sums.to(device), self._counts.to(device)

    def add(self, cells_B: Tensor, figures_BK: Tensor) -> None:
        """Note the figures of some rows of this step."""
        # A product, not scattered additions, whose order a graphics card does not keep.
        member_BC = torch.nn.functional.one_hot(cells_B, len(self.counts_C)).float()
        self._sums += member_BC.T @ figures_BK.detach().float()
        self._counts += member_BC.sum(0)

    def after_step(self, parallel: AllProcesses) -> None:
        """Let the step's rows of all processes into the means."""
        parallel.all_reduce_([self._sums, self._counts])
        self.sums_CK = KEPT * self.sums_CK + self._sums
        self.counts_C = KEPT * self.counts_C + self._counts
        self._sums.zero_()
        self._counts.zero_()

    def state_dict(self) -> dict[str, Any]:
        """Give the means between two steps."""
        return {"sums": self.sums_CK, "counts": self.counts_C}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them up again."""
        self.sums_CK, self.counts_C = state["sums"], state["counts"]
        self._sums, self._counts = torch.zeros_like(self.sums_CK), torch.zeros_like(self.counts_C)
