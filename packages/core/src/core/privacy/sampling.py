"""Poisson sampling over units: each is in a batch by its own coin, and contributes one row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.config import derive_seed
from core.privacy.plan import PrivacyPlan

if TYPE_CHECKING:
    from core.data.augmentation import Augmentation
    from core.data.parts import Part
    from core.data.types import Batch


class PoissonBatches:
    """Batches as the accountant assumes them: every unit with probability ``plan.rate``, independently.

    Batches vary in size and may be empty. A unit of several rows contributes one of them, drawn anew each time,
    so that a step holds at most one bounded contribution of it. The batch of a step is a pure function of
    (secret, step).
    """

    steps: int

    def __init__(
        self, part: Part, plan: PrivacyPlan, secret: int, augmentation: Augmentation | None = None
    ) -> None:
        self.part = part
        self.plan = plan
        self.steps = plan.steps
        self._secret = secret
        self._augmentation = augmentation
        codes = part.unit_codes if part.unit_codes is not None else torch.arange(len(part))
        self._order = torch.argsort(codes, stable=True)
        self._count = torch.bincount(codes)
        self._first = self._count.cumsum(0) - self._count
        assert len(self._count) == plan.units, "the plan was made for other units"

    def rows(self, step: int) -> Tensor:
        """Give the rows of a step's batch, (B,) int64; B may be 0."""
        generator = torch.Generator().manual_seed(derive_seed(self._secret, "sample", step))
        drawn = torch.rand(len(self._count), dtype=torch.float64, generator=generator) < self.plan.rate
        units = drawn.nonzero().squeeze(1)
        which = torch.rand(len(units), dtype=torch.float64, generator=generator) * self._count[units]
        return self._order[self._first[units] + which.long()]

    def from_step(self, start: int) -> Iterator[Batch]:
        """Yield the batches of steps start, start + 1, ... up to ``steps``, start counted from 0."""
        for step in range(start, self.steps):
            generator = torch.Generator().manual_seed(derive_seed(self._secret, "augmentation", step))
            yield self.part.batch(self.rows(step), self._augmentation, generator)
