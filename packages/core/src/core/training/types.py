"""The protocols of the loop's collaborators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from core.data.types import Batch
    from core.training.ema import Ema
    from core.training.parallel import Parallel


@dataclass(frozen=True)
class StepEvent:
    """What happened in one optimizer step."""

    step: int
    """1 for the first."""
    examples: int | None
    """None where even the batch size is private."""
    loss: float | None
    """Mean training loss of the batch; None where it is private."""
    rate: float | None
    """Learning rate that was used; None in work that has none."""


class Update(Protocol):
    """How a batch changes the model."""

    ema: Ema | None
    """The running average of the weights, where one is kept."""

    def __call__(self, batch: Batch) -> StepEvent:
        """Take one optimizer step on the batch (cut into micro-batches inside, if it must)."""

    def state_dict(self) -> dict[str, Any]:
        """Give all that a bit-identical resume needs: tensors (flat names) and JSON values; never pickled."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state, refusing with ValueError one that belongs to other settings."""

    def spent(self) -> dict[str, float]:
        """Name what the steps so far used up (epsilon under DP; empty otherwise)."""


class Batches(Protocol):
    """A deterministic stream of training batches: a pure function of (seed, step)."""

    steps: int
    """Steps of the whole run."""

    def from_step(self, start: int) -> Iterator[Batch]:
        """Yield the batches of steps start, start + 1, ... up to ``steps``, start counted from 0."""


class Probe(Protocol):
    """Watches a run, never changes it."""

    def on_step(self, event: StepEvent) -> None:
        """See a step."""

    def on_end(self) -> None:
        """See the end of training."""

    def findings(self) -> dict[str, Any]:
        """Give what goes into the record, as JSON."""


@runtime_checkable
class Stateful(Protocol):
    """Something a checkpoint carries."""

    def state_dict(self) -> dict[str, Any]:
        """Give tensors and JSON values under flat names."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""


@runtime_checkable
class MayBeMissing(Stateful, Protocol):
    """A part that a checkpoint of an older version may lack: the run goes on, and says what is lost."""

    def missing(self) -> str:
        """Say in a sentence what a checkpoint without this part costs."""


class Stop(Protocol):
    """A reason to end training before its last step: time, energy, patience."""

    def exhausted(self) -> str | None:
        """Say in a sentence why training must end now, or None to go on."""


class Objective(Protocol):
    """Weighs each example's loss by what is known before the step, so that a batch may come in pieces."""

    def __call__(self, losses: Tensor, batch: Batch, outputs: Tensor) -> Tensor:
        """Turn per-example losses (B,) of float32 outputs into weighted ones (B,), whose mean is minimised."""


@runtime_checkable
class LearningObjective(Stateful, Protocol):
    """An objective whose weights follow what the steps before have shown: it couples examples, so never under DP."""

    def after_step(self, parallel: Parallel) -> None:
        """Take in what the step's rows showed, in all processes alike."""


class Rows(Protocol):
    """Encoded rows (``PreparedRows`` is one): N rows of input tensors, taken by number."""

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> dict[str, Tensor]:
        """Give the inputs of some rows, index (B,) int64."""


class HeldOut(Protocol):
    """An encoded part that is not trained on (``core.data.encoded_split.EncodedSplit`` is one). N rows."""

    @property
    def prepared(self) -> Rows:
        """The inputs."""

    targets: Tensor
    """(N, ...) encoded truth"""
    groups: dict[str, NDArray[np.str_]]
    """Sensitive attribute -> (N,) group names"""
    units: NDArray[np.str_] | None
    rows: NDArray[np.int64]
    """(N,) row number in the source's frame"""
