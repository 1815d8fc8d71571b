"""What a recipe hands to the run: network, losses, batches, optimizer, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from core.data.types import Batch
    from core.training.config import Schedule


class Stream(Protocol):
    """Batches that can be drawn one by one: a pure function of (seed, step)."""

    steps: int

    def from_step(self, start: int) -> Iterator[Batch]:
        """Yield the batches from a step on."""

    def at(self, step: int) -> Batch:
        """Give one step's batch."""


class Losses(Protocol):
    """From outputs and targets to losses (B,)."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give each example's loss."""


@dataclass
class Job:
    """A recipe, its data read."""

    model: nn.Module
    losses: Losses
    stream: Callable[[int], Stream]
    """Steps of the whole run -> its batches."""
    optimizers: Callable[[nn.Module], list[Optimizer]]
    schedule: Callable[[int], Schedule]
    judge: Callable[[], dict[str, float]]
    """Figures of what is held out, of the model as it is then."""
    judge_every: int
    """Steps; 0: only at the end."""
    unit: str
    """What throughput counts: pictures, tokens."""
    units_per_step: float
    steps: int
    """Where no time is given."""
    ema: float
    max_grad_norm: float
    data: dict[str, Any]
    """Parts and counts, terms, for record and card."""
    keep: nn.Module | None = None
    """What is written as weights; None: nothing is."""
    settle: Callable[[], None] | None = None
    """Called once after training: brings ``keep`` to the form that is written."""
    name: str = ""
    """Under which name it is shipped."""
    fp16: bool = True
    compare: Callable[[], Tensor] | None = None
    """Outputs on held-out inputs, to see what half precision changes."""
    card: dict[str, Any] = field(default_factory=dict)
    """What the card needs besides."""
    extra: dict[str, bytes] = field(default_factory=dict)
    """Further files to write and ship: file name -> content."""
