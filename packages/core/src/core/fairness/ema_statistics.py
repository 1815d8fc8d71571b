"""Exponential moving averages of statistics of subgroups, from step to step of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

DECAY = 0.9
"""Share of what was seen that each further step keeps: an effective window of about ten batches."""


class AllProcesses(Protocol):
    """The processes that train together."""

    def all_reduce_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""


class EmaMeans:
    """Moving means of K statistics in each of C subgroups; a batch may come in micro-batches and several processes."""

    def __init__(self, subgroups: int, statistics: int = 1) -> None:
        """Start without having seen a row."""
        self.sums_CK = torch.zeros(subgroups, statistics)
        self.counts_C = torch.zeros(subgroups)
        self._sums, self._counts = torch.zeros_like(self.sums_CK), torch.zeros_like(self.counts_C)

    @property
    def seen(self) -> Tensor:
        """Which subgroups had a row so far, (C,) bool."""
        return self.counts_C > 0

    @property
    def means(self) -> Tensor:
        """The means, (C, K); 0 where no row was seen."""
        return self.sums_CK / self.counts_C.clamp(min=1e-12)[:, None] * self.seen[:, None]

    def to(self, device: torch.device) -> None:
        """Move everything to a device."""
        if self.sums_CK.device != device:
            self.sums_CK, self.counts_C = self.sums_CK.to(device), self.counts_C.to(device)
            self._sums, self._counts = self._sums.to(device), self._counts.to(device)

    def add(self, subgroups_B: Tensor, statistics_BK: Tensor) -> None:
        """Add the statistics of some rows of this step."""
        # A product, not scattered additions, whose order a graphics card does not keep.
        member_BC = torch.nn.functional.one_hot(subgroups_B, len(self.counts_C)).float()
        self._sums += member_BC.T @ statistics_BK.detach().float()
        self._counts += member_BC.sum(0)

    def after_step(self, parallel: AllProcesses) -> None:
        """Update the means by the step's rows of all processes."""
        parallel.all_reduce_([self._sums, self._counts])
        self.sums_CK = DECAY * self.sums_CK + self._sums
        self.counts_C = DECAY * self.counts_C + self._counts
        self._sums.zero_()
        self._counts.zero_()

    def state_dict(self) -> dict[str, Any]:
        """Return the means between two steps."""
        return {"sums": self.sums_CK, "counts": self.counts_C}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load saved means."""
        self.sums_CK, self.counts_C = state["sums"], state["counts"]
        self._sums, self._counts = torch.zeros_like(self.sums_CK), torch.zeros_like(self.counts_C)
