"""Random states that are a pure function of (seed, step), so that a resumed run draws what a straight one would."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

from core.config import derive_seed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.data.types import Batch
    from core.training.types import Batches


def seed_step(seed: int, step: int) -> None:
    """Seed torch's generators for one step (counted from 0): dropout and augmentation draw from them."""
    derived = derive_seed(seed, "step", step)
    # torch.manual_seed does the same for every backend torch knows, at forty times the cost per step.
    torch.default_generator.manual_seed(derived)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(derived)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(derived)


def seeded(batches: Batches, seed: int, start: int) -> Iterator[Batch]:
    """Yield the batches from step ``start`` on, torch's generators seeded for each step before its batch is drawn."""
    stream = batches.from_step(start)
    for step in range(start, batches.steps):
        seed_step(seed, step)
        yield next(stream)


def choose_deterministic_kernels(device: torch.device) -> None:
    """Select CUDA kernels that return the same bits every time; CPU kernels do so by themselves.

    Where an operation has no such kernel torch warns and names it.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)
