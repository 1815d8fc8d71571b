"""An exponential moving average of the weights, validated and kept instead of the last ones."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn


class Ema:
    """Average of a model's trainable weights and floating-point buffers.

    The decay of step t is min(decay, (1 + t) / (10 + t)), so that a short run isn't held back by its start
    (the warm-up of TensorFlow's ExponentialMovingAverage).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Start from the model's current weights."""
        self.decay = decay
        self.steps = 0
        self._live = averaged_tensors(model)
        self._average = {name: tensor.detach().clone() for name, tensor in self._live.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Update the average by the model's weights; call it after each optimizer step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        average, live = list(self._average.values()), list(self._live.values())
        get_ema_multi_avg_fn(decay)(  # type: ignore[no-untyped-call]
            average, live, self.steps
        )

    @contextmanager
    def average_parameters(self) -> Iterator[None]:
        """Swap the average into the model, and the live weights back afterwards."""
        kept = {name: tensor.detach().clone() for name, tensor in self._live.items()}
        _copy(self._average, self._live)
        try:
            yield
        finally:
            _copy(kept, self._live)

    def copy_to_model(self) -> None:
        """Copy the average into the model for good."""
        _copy(self._average, self._live)

    def state(self) -> dict[str, Tensor]:
        """Return the average by weight name."""
        return dict(self._average)

    def load(self, state: dict[str, Tensor], steps: int) -> None:
        """Load a saved average, raising ValueError where the names differ."""
        if state.keys() != self._average.keys():
            raise ValueError("the checkpoint's weight average is of another model")
        _copy(state, self._average)
        self.steps = steps


def averaged_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return a model's trainable weights and floating-point buffers by name, the live tensors."""
    weights = {n: p for n, p in model.named_parameters() if p.requires_grad}
    return weights | {n: b for n, b in model.named_buffers() if b.is_floating_point()}


@torch.no_grad()
def _copy(source: dict[str, Tensor], destination: dict[str, Tensor]) -> None:
    for name, tensor in destination.items():
        tensor.copy_(source[name])
