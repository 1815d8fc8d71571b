"""Training batches as a pure function of (seed, step)."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.config import config_error, derive_seed

if TYPE_CHECKING:
    from core.data.augmentation import Augmentation
    from core.data.encoded_split import EncodedSplit
    from core.data.types import Batch


class ShuffledBatches:
    """Every row once an epoch in a new random order; or rows sampled by the rarity of their class or group.

    The batch of a step depends on the seed and the step alone, so a resumed run sees what a straight one would have.
    """

    steps: int

    def __init__(
        self,
        split: EncodedSplit,
        batch_size: int,
        *,
        seed: int,
        epochs: int | None = None,
        steps: int | None = None,
        sampling: str = "uniform",
        sampling_power: float = 1.0,
        augmentation: Augmentation | None = None,
        drop_last: bool = True,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Set the batches of so many epochs or steps.

        ``sampling``: ``uniform``, or ``class_balanced``, ``group_balanced`` or ``group_class_balanced``: rows are
        drawn in proportion to 1 / count^``sampling_power`` of their class, group or both. ``drop_last`` leaves the odd
        rows of an epoch out (others each time), so that all batches have one size; a split smaller than a batch is one
        batch. Of ``world`` processes each takes its share of every batch.
        """
        assert (epochs is None) != (steps is None), "give epochs or steps"
        self.split = split
        self.batch_size = min(batch_size, len(split))
        whole, odd = divmod(len(split), self.batch_size)
        self.steps_per_epoch = whole + (1 if odd and not drop_last else 0)
        smallest = odd if odd and not drop_last else self.batch_size
        if smallest < world:
            raise ValueError(
                f"{world} processes can't share a batch of {smallest} rows: raise training.batch_size, set "
                "training.drop_last=true (the last batch of an epoch is the smallest), or start fewer processes"
            )
        self.steps = steps if steps is not None else (epochs or 0) * self.steps_per_epoch
        self._seed = seed
        self._augmentation = augmentation
        self._rank, self._world = rank, world
        self._weights = None
        if sampling != "uniform":
            self._weights = torch.from_numpy(_weights(split, sampling, sampling_power))

    def of(self, split: EncodedSplit, steps: int) -> ShuffledBatches:
        """Return batches of the same rows, which an augmentation does not change, for so many steps."""
        assert len(split) == len(self.split)
        other = copy.copy(self)
        other.split, other.steps, other._augmentation = split, steps, None
        return other

    def from_step(self, start: int) -> Iterator[Batch]:
        """Yield this process's share of the batches of steps start, start + 1, ..., start counted from 0."""
        epoch, order = -1, torch.empty(0, dtype=torch.int64)
        for step in range(start, self.steps):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                order = self._order(epoch)
            first = step % self.steps_per_epoch * self.batch_size
            rows = order[first : first + self.batch_size][self._rank :: self._world]
            generator = torch.Generator().manual_seed(
                derive_seed(self._seed, "augmentation", step, self._rank)
            )
            yield self.split.batch(rows, self._augmentation, generator)

    def _order(self, epoch: int) -> Tensor:
        """Return the rows of an epoch, (N,) int64."""
        generator = torch.Generator().manual_seed(derive_seed(self._seed, "order", epoch))
        if self._weights is None:
            return torch.randperm(len(self.split), generator=generator)
        # by inverse distribution: torch.multinomial refuses more than 2**24 rows
        ends = self._weights.cumsum(0)
        drawn = torch.rand(len(self.split), dtype=torch.float64, generator=generator) * ends[-1]
        return torch.searchsorted(ends, drawn, right=True).clamp_(max=len(self.split) - 1)


def _weights(split: EncodedSplit, sampling: str, power: float) -> NDArray[np.float64]:
    """Weigh rows by 1 / count^power of their stratum, (N,)."""
    columns = []
    if sampling in ("group_balanced", "group_class_balanced"):
        if not split.group_codes:
            raise config_error(
                "training.sampling", sampling, "the data names no sensitive columns (data.sensitive)"
            )
        columns += [codes.numpy() for codes in split.group_codes.values()]
    if sampling in ("class_balanced", "group_class_balanced"):
        targets = split.targets
        if targets.ndim > 2:
            raise config_error(
                "training.sampling", sampling, "a mask has many classes; use target.class_weights"
            )
        if targets.is_floating_point() and targets.ndim == 1 and len(np.unique(targets.numpy())) > 2:
            raise config_error(
                "training.sampling", sampling, "the target is a quantity, which has no classes"
            )
        columns.append(_rarest_label(targets.numpy()) if targets.ndim == 2 else targets.numpy())
    stratum = np.zeros(len(split), np.int64)
    for column in columns:
        stratum = np.unique(stratum * (int(column.max()) + 1) + column, return_inverse=True)[1]
    counts = np.bincount(stratum).astype(np.float64)
    return np.asarray(counts[stratum] ** -power)


def _rarest_label(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return each row's rarest label, (N,); rows without a label have one more label in common."""
    extended = np.column_stack([labels > 0, ~(labels > 0).any(1)])
    counts = np.where(extended, extended.sum(0), np.inf)
    return np.asarray(counts.argmin(1), dtype=np.int64)
