"""The protocols of the training loop's collaborators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from core.data.types import Batch
    from core.training.parallel import ProcessGroup


@dataclass(frozen=True)
class StepEvent:
    """What happened in one optimizer step."""

    step: int
    """1 for the first."""
    examples: int | None
    """Batch size; None where even that is private."""
    loss: float | None
    """Mean training loss of the batch; None where it is private."""
    lr: float | None
    """Learning rate that was used; None in work that has none."""


@runtime_checkable
class Stateful(Protocol):
    """Something that a checkpoint holds the state of."""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and JSON values under flat names; never pickled."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a saved state, raising ValueError for one that belongs to other settings."""


@runtime_checkable
class OptionalState(Stateful, Protocol):
    """A state that a checkpoint of an older version may lack: the run resumes, with a warning of what is lost."""

    def missing(self) -> str:
        """Return, as a sentence, what a checkpoint without this state costs."""


class Step(Stateful, Protocol):
    """How a batch changes the model."""

    def __call__(self, batch: Batch) -> StepEvent:
        """Take one optimizer step on the batch (accumulating over micro-batches inside)."""


class Batches(Protocol):
    """A deterministic stream of training batches: a pure function of (seed, step)."""

    steps: int
    """Steps of the whole run."""

    def from_step(self, start: int) -> Iterator[Batch]:
        """Yield the batches of steps start, start + 1, ... up to ``steps``, start counted from 0."""


class Callback(Protocol):
    """Watches a training and never changes it. Subclasses override what they need; all three do nothing by default."""

    def on_step(self, event: StepEvent) -> None:
        """Receive what a step did."""
        return

    def on_end(self) -> None:
        """Receive the end of training."""
        return

    def findings(self) -> dict[str, Any]:
        """Return results by name, for the steps that follow training."""
        return {}


class StoppingCriterion(Protocol):
    """A reason to end training before its last step: time, energy, patience."""

    def should_stop(self) -> str | None:
        """Return the code of the reason to stop now (a ``core.training.section.StopReason``); None to continue."""


class Objective(Protocol):
    """Weighs each example's loss by what is known before the step, so that a batch may come in micro-batches."""

    def __call__(self, losses: Tensor, batch: Batch, outputs: Tensor) -> Tensor:
        """Return weighted losses (B,), whose mean is minimized, from the losses (B,) of float32 outputs."""


@runtime_checkable
class StatefulObjective(Stateful, Protocol):
    """An objective whose weights follow earlier steps: it couples examples, so never under differential privacy."""

    def after_step(self, parallel: ProcessGroup) -> None:
        """Update the state from the step's rows, in all processes alike."""
