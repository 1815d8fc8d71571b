"""What a recipe passes to the run: network, losses, batches, optimizer, and its evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from core.backbones.pretrained import CardTokenizer
    from core.data.types import Batch, Json
    from core.training.schedules import Schedule

Sources = dict[str, dict[str, "float | int | str"]]
"""Source -> what was read of it: sizes of its sets, classes, sampling weight."""


@dataclass(frozen=True)
class Context:
    """What the run knows before the data are read."""

    seed: int
    device: torch.device
    precision: str
    """fp32 or bf16"""
    folder: Path
    """Where the run is kept."""


class RandomBatches(Protocol):
    """Batches that can be drawn one by one: a pure function of (seed, step)."""

    steps: int

    def from_step(self, start: int) -> Iterator[Batch]:
        """Yield the batches from a step on."""

    def at(self, step: int) -> Batch:
        """Return one step's batch."""


class Losses(Protocol):
    """From outputs and targets to losses (B,)."""

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return each example's loss."""


@dataclass
class Export:
    """The weights that a recipe writes, and what their card needs."""

    name: str
    """The file's stem, and the backbone that loads it."""
    module: nn.Module
    fp16: bool
    predict: Callable[[], Tensor]
    """Outputs on held-out inputs, to measure what half precision changes."""
    finalize: Callable[[], None] | None = None
    """Called once after training: brings ``module`` to the form that is written."""
    tokenizer: CardTokenizer | None = None
    tokenizer_file: bytes | None = None
    resumed_from: dict[str, Json] | None = None
    """The main entries of the card of the weights that training started from."""


@dataclass
class Job:
    """A recipe, its data read."""

    model: nn.Module
    losses: Losses
    batches: Callable[[int], RandomBatches]
    """Steps of the whole run -> its batches."""
    optimizers: Callable[[nn.Module], list[Optimizer]]
    schedule: Callable[[int], Schedule]
    evaluate: Callable[[], dict[str, float]]
    """Metrics on what is held out, of the model as it is then."""
    monitor: str
    """The metric that the validator monitors; it selects nothing."""
    validate_every: int
    """Steps; 0: only at the end."""
    unit: Literal["images", "tokens"]
    """What throughput counts."""
    units_per_step: int
    steps: int
    """Without recipe.target_minutes."""
    ema: float
    max_grad_norm: float
    sources: Sources
    files: dict[str, str] = field(default_factory=dict)
    """File name -> SHA-256 of what was read."""
    export: Export | None = None
    """None: nothing is written."""
