"""What all recipes draw alike: the units that are held out, and batches that are a pure function of (seed, step)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.config import derive_seed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from core.data.types import Batch


def held_out(units: NDArray[Any], fraction: float, seed: int) -> NDArray[np.bool_]:
    """Return which rows are held out for validation, (N,) bool: whole units, at least one.

    >>> mask = held_out(np.array(["a", "a", "b", "b"]), 0.5, seed=0)
    >>> bool(mask[0] == mask[1] != mask[2] == mask[3])
    True
    """
    codes, names = pd.factorize(units)
    order = np.random.default_rng(derive_seed(seed, "held out")).permutation(len(names))
    return np.isin(codes, order[: max(1, round(fraction * len(names)))])


class IndexedBatches:
    """Batches that can be drawn one by one."""

    steps: int

    def at(self, step: int) -> Batch:
        """Return one step's batch."""
        raise NotImplementedError

    def from_step(self, start: int) -> Iterator[Batch]:
        """Yield the batches from a step on."""
        for step in range(start, self.steps):
            yield self.at(step)
