"""Drawing weights from a seed, whatever the process drew before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from core.config import derive_seed


@contextmanager
def seeded_init(seed: int, use: str) -> Iterator[None]:
    """Draw all weights made inside from (seed, use) alone and leave the process's random state as it was.

    Weights are drawn on the processor, one element after the other, so they do not depend on device or threads.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, use))
        yield
