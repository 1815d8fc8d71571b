"""Context managers around a network: evaluation mode, frozen weights, initial weights drawn from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from core.config import derive_seed


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode, and each module back into the mode it was in (some may be frozen in eval).

    >>> from torch import nn
    >>> model = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    >>> with eval_mode(model):
    ...     [module.training for module in model]
    [False, False]
    >>> [module.training for module in model]
    [True, False]
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def freeze_temporarily(network: nn.Module) -> Iterator[None]:
    """Freeze a network for a while; what trained before trains again afterwards."""
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    network.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)


@contextmanager
def seeded_init(seed: int, use: str) -> Iterator[None]:
    """Draw all weights created inside from (seed, use) alone and leave the process's random state as it was.

    Weights are drawn on the CPU, one element after the other, so they do not depend on device or threads.

    >>> with seeded_init(0, "head"):
    ...     first = torch.randn(3)
    >>> with seeded_init(0, "head"):
    ...     bool(torch.equal(first, torch.randn(3)))
    True
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, use))
        yield
