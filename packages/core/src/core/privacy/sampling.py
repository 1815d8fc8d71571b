"""Poisson sampling of units: each is in a batch by an independent Bernoulli draw, and contributes one row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.data.types import Batch
from core.privacy.plan import PrivacyPlan
from core.privacy.rng_key import keyed_generator

if TYPE_CHECKING:
    from core.data.augmentation import Augmentation
    from core.data.encoded_split import EncodedSplit


def count_units(split: EncodedSplit) -> int:
    """Return the number of protected units of a split: patients, cards, ... or rows where the data name no unit."""
    return len(split) if split.unit_codes is None else int(split.unit_codes.max()) + 1


class PoissonBatches:
    """Batches as the accountant assumes them: every unit with probability ``plan.sampling_rate``, independently.

    Batches vary in size and may be empty. A unit of several rows contributes one of them, drawn anew each time,
    so that a step holds at most one bounded contribution of it. The batch of a step is a pure function of
    (key, step).
    """

    steps: int

    def __init__(
        self,
        split: EncodedSplit,
        plan: PrivacyPlan,
        key: int,
        augmentation: Augmentation | None = None,
        *,
        canaries: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """``canaries`` further units are sampled like all others; of ``world`` processes each takes its share."""
        self.split = split
        self.plan = plan
        self.steps = plan.steps
        self._key = key
        self._augmentation = augmentation
        self._rank, self._world = rank, world
        codes = split.unit_codes if split.unit_codes is not None else torch.arange(len(split))
        self._order = torch.argsort(codes, stable=True)
        self._count = torch.bincount(codes)
        self._first = self._count.cumsum(0) - self._count
        self._population = len(self._count) + canaries
        assert len(self._count) == plan.units, "the plan was made for other units"

    def units(self, step: int) -> Tensor:
        """Return the units in a step's batch, (B,) int64 ascending; canaries come after the split's own."""
        draws = torch.rand(
            self._population, dtype=torch.float64, generator=keyed_generator(self._key, "sample", step)
        )
        return (draws < self.plan.sampling_rate).nonzero().squeeze(1)

    def rows(self, step: int) -> Tensor:
        """Return the rows of a step's batch, (B,) int64, one for each of its units; B may be 0."""
        units = self.units(step)
        units = units[units < len(self._count)]
        generator = keyed_generator(self._key, "row", step)
        which = torch.rand(len(units), dtype=torch.float64, generator=generator) * self._count[units]
        return self._order[self._first[units] + which.long()]

    def canaries(self, step: int) -> Tensor:
        """Return the canaries in a step's batch, counted from 0."""
        units = self.units(step)
        return units[units >= len(self._count)] - len(self._count)

    def known_canaries(self, step: int) -> Tensor | None:
        """Return the canaries of a step that an outsider knows to be in it; None: the draws are secret."""
        return None

    def from_step(self, start: int) -> Iterator[Batch]:
        """Yield this process's share of the batches of steps start, start + 1, ..., start counted from 0."""
        for step in range(start, self.steps):
            rows = self.rows(step)[self._rank :: self._world]
            if not len(rows):
                # Encoders and augmentations need not know how to make a batch of nothing.
                yield Batch({}, self.split.targets[rows], rows)
                continue
            generator = keyed_generator(self._key, "augmentation", step, self._rank)
            yield self.split.batch(rows, self._augmentation, generator)
