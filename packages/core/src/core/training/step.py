"""The optimizer step, and the gradient of the mean loss that it takes without differential privacy."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch

from core.data.types import Batch
from core.training.ema import Ema
from core.training.optimizers import load_optimizer_state, optimizer_state
from core.training.parallel import ALONE
from core.training.precision import autocast
from core.training.types import StatefulObjective, StepEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from core.targets.types import Target
    from core.training.parallel import ProcessGroup
    from core.training.schedules import Schedule
    from core.training.types import Objective


class MeanLoss:
    """The plain objective: every example counts the same."""

    def __call__(self, losses: Tensor, batch: Batch, outputs: Tensor) -> Tensor:
        """Return the losses (B,) as they are."""
        return losses


class ExampleLosses:
    """The forward pass: from a batch to each example's weighted loss, micro-batch by micro-batch."""

    def __init__(
        self,
        model: nn.Module,
        target: Target,
        *,
        objective: Objective | None = None,
        precision: str = "fp32",
        micro_batch_size: int = 0,
        channels_last: bool = False,
        compile: bool = False,  # noqa: A002 - the key's name
    ) -> None:
        """Wrap a model in train mode on its device.

        ``precision`` is fp32, bf16 or fp16 (chosen: see ``core.training.precision``). ``micro_batch_size`` cuts a
        batch into micro-batches whose gradients are accumulated; 0 takes it whole.
        """
        self.model = model
        self.target = target
        self.objective = objective if objective is not None else MeanLoss()
        self.precision = precision
        self.micro_batch_size = micro_batch_size
        self.channels_last = channels_last
        self.weights = [p for p in model.parameters() if p.requires_grad]
        self.device = self.weights[0].device
        if channels_last:
            model.to(memory_format=torch.channels_last)
        self._forward = cast(
            "Callable[[dict[str, Tensor]], Tensor]", torch.compile(model) if compile else model
        )
        self._autocast = autocast(precision, self.device)

    def microbatches(self, batch: Batch) -> Iterator[Batch]:
        """Yield the micro-batches of a batch, on the model's device."""
        return microbatches(to_device(batch, self.device, self.channels_last), self.micro_batch_size)

    def __call__(self, batch: Batch, objective: Objective | None = None) -> Tensor:
        """Return the weighted losses (B,) of a micro-batch, by another objective than the training's if given."""
        with self._autocast:
            outputs = self._forward(batch.inputs)
        losses = self.target.losses(outputs.float(), batch.targets)
        return (objective or self.objective)(losses, batch, outputs.float())


@dataclass(frozen=True)
class BatchSummary:
    """What a step may report of its batch; None where it is private."""

    examples: int | None = None
    loss: float | None = None


class Gradient(Protocol):
    """What an optimizer step follows: the mean gradient of a batch, or its differentially private estimate."""

    losses: ExampleLosses

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """The loss scaling of fp16; None in other formats."""

    def compute(self, batch: Batch, step: int) -> BatchSummary:
        """Write the gradient of step ``step`` (from 0) to the weights' ``grad``."""

    def after_update(self, step: int) -> None:
        """Update what depends on the step, once the optimizer has taken it."""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors and JSON values for a bit-identical resume."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a saved state."""


class MeanGradient:
    """The gradient of the mean of the batch's weighted losses."""

    def __init__(self, losses: ExampleLosses, parallel: ProcessGroup = ALONE) -> None:
        """Accumulate over the micro-batches of ``losses`` and over the processes."""
        self.losses = losses
        self.parallel = parallel
        fp16 = losses.precision == "fp16"
        self.scaler = torch.amp.GradScaler(losses.device.type) if fp16 else None

    def compute(self, batch: Batch, step: int) -> BatchSummary:
        """Write the gradient, raising ValueError where the loss is no longer a finite number."""
        examples = self.parallel.reduce_sum(len(batch))
        loss = self.accumulate(batch, examples)
        if not math.isfinite(loss):
            raise ValueError(
                f"the training loss became {loss} at step {step + 1}: lower optimizer.lr, lengthen "
                "schedule.warmup, set training.max_grad_norm=1 or training.precision=fp32"
            )
        return BatchSummary(examples, loss)

    def accumulate(self, batch: Batch, examples: int) -> float:
        """Add the gradient of the batch's summed losses over ``examples`` to the weights; return that loss."""
        total: Tensor | None = None
        for micro_batch in self.losses.microbatches(batch):
            loss = self.losses(micro_batch).sum() / examples
            (loss if self.scaler is None else self.scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]
            total = loss.detach() if total is None else total + loss.detach()
        assert total is not None, "a batch without differential privacy is never empty"
        if self.parallel.world > 1:
            self.parallel.all_reduce_([total, *(p.grad for p in self.losses.weights if p.grad is not None)])
        return total.item()

    def after_update(self, step: int) -> None:
        """Update the objective's state from the rows of the step."""
        if isinstance(self.losses.objective, StatefulObjective):
            self.losses.objective.after_step(self.parallel)

    def state_dict(self) -> dict[str, Any]:
        """Return the objective's state, where it has one."""
        objective = self.losses.objective
        return objective.state_dict() if isinstance(objective, StatefulObjective) else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the objective's state."""
        if isinstance(self.losses.objective, StatefulObjective):
            self.losses.objective.load_state_dict(state)


class TrainStep:
    """One optimizer step along a gradient: learning rate, gradient clipping, optimizers, weight average."""

    def __init__(
        self,
        gradient: Gradient,
        optimizers: Sequence[Optimizer],
        schedule: Schedule,
        *,
        max_grad_norm: float = 0.0,
        ema: float | None = None,
    ) -> None:
        """``optimizers`` are over the trainable weights; ``ema`` is the decay of their average, None for none."""
        self.gradient = gradient
        self.model = gradient.losses.model
        self.optimizers = list(optimizers)
        self.schedule = schedule
        self.max_grad_norm = max_grad_norm
        self.step = 0
        self.ema = Ema(self.model, ema) if ema is not None else None
        self._peak_lrs = [(group, float(group["lr"])) for o in self.optimizers for group in o.param_groups]
        self._frozen: str | None = None

    def __call__(self, batch: Batch) -> StepEvent:
        """Take one step."""
        factor = self.schedule(self.step)
        for group, peak in self._peak_lrs:
            group["lr"] = peak * factor
        summary = self.gradient.compute(batch, self.step)
        self._apply(self.gradient.scaler)
        self.gradient.after_update(self.step)
        self.step += 1
        return StepEvent(self.step, summary.examples, summary.loss, self._peak_lrs[0][0]["lr"])

    def _apply(self, scaler: torch.amp.GradScaler | None) -> None:
        if scaler is not None:
            for optimizer in self.optimizers:
                scaler.unscale_(optimizer)
        if self.max_grad_norm > 0:
            torch.nn.utils.clip_grad_norm_(self.gradient.losses.weights, self.max_grad_norm)
        for optimizer in self.optimizers:
            if scaler is None:
                optimizer.step()
            else:
                scaler.step(optimizer)
            optimizer.zero_grad()
        if scaler is not None:
            scaler.update()
        if self.ema is not None:
            self.ema.update()

    def state_dict(self) -> dict[str, Any]:
        """Return the step, weights, buffers, optimizers, average and scaler; frozen weights as a hash only."""
        state: dict[str, Any] = {"step": self.step, "frozen": self._hash_of_frozen()}
        state |= {f"model.{name}": tensor for name, tensor in trainable_state(self.model).items()}
        state |= {f"optimizer.{k}": t for k, t in optimizer_state(self.optimizers, self.model).items()}
        state |= {f"gradient.{name}": value for name, value in self.gradient.state_dict().items()}
        if self.ema is not None:
            state |= {f"ema.{name}": tensor for name, tensor in self.ema.state().items()}
        if self.gradient.scaler is not None:
            state["scaler"] = self.gradient.scaler.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a saved state, raising ValueError for one of another model or other frozen weights."""
        if state["frozen"] != self._hash_of_frozen():
            raise ValueError(
                "the frozen weights differ from those the checkpoint was trained with: give the same "
                "pretrained weights, or start in another folder"
            )
        load_trainable_state(self.model, strip_prefix("model", state))
        load_optimizer_state(self.optimizers, self.model, strip_prefix("optimizer", state))
        self.step = state["step"]
        self.gradient.load_state_dict(strip_prefix("gradient", state))
        if self.ema is not None:
            self.ema.load(strip_prefix("ema", state), self.step)
        if self.gradient.scaler is not None:
            self.gradient.scaler.load_state_dict(state["scaler"])

    def _hash_of_frozen(self) -> str:
        if self._frozen is None:
            digest = hashlib.blake2b(digest_size=16)
            for name, weight in sorted(self.model.named_parameters()):
                if not weight.requires_grad:
                    digest.update(name.encode())
                    digest.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
            self._frozen = digest.hexdigest()
        return self._frozen


def to_device(batch: Batch, device: torch.device, channels_last: bool) -> Batch:
    """Return a batch on the device, its images in channels-last memory format where asked."""
    if batch.targets.device != device:
        batch = batch.to(device)
    if channels_last and "image" in batch.inputs:
        image = batch.inputs["image"].contiguous(memory_format=torch.channels_last)
        batch = Batch({**batch.inputs, "image": image}, batch.targets, batch.index, batch.groups, batch.units)
    return batch


def microbatches(batch: Batch, size: int) -> Iterator[Batch]:
    """Yield consecutive batches of at most ``size`` rows of a batch; 0 yields it whole."""
    if size == 0 or len(batch) <= size:
        yield batch
        return
    for start in range(0, len(batch), size):
        rows = slice(start, start + size)
        yield Batch(
            {name: tensor[rows] for name, tensor in batch.inputs.items()},
            batch.targets[rows],
            batch.index[rows],
            {name: codes[rows] for name, codes in batch.groups.items()},
            None if batch.units is None else batch.units[rows],
        )


def trainable_state(model: nn.Module) -> dict[str, Tensor]:
    """Return all that training changes in a model by name: trainable weights and buffers, the live tensors."""
    weights: dict[str, Tensor] = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
    return weights | dict(model.named_buffers())


@torch.no_grad()
def load_trainable_state(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Copy tensors into a model's trainable weights and buffers, raising ValueError where names or shapes differ."""
    live = trainable_state(model)
    if live.keys() != tensors.keys():
        other = ", ".join(sorted(live.keys() ^ tensors.keys())[:3])
        raise ValueError(f"the saved weights are of another model (they differ in {other})")
    for name, tensor in live.items():
        if tensor.shape != tensors[name].shape:
            raise ValueError(
                f"the saved weight {name} has shape {tuple(tensors[name].shape)}, the model's {tuple(tensor.shape)}"
            )
        tensor.copy_(tensors[name])


def strip_prefix(prefix: str, state: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of a flat state whose name starts with ``prefix.``, without the prefix."""
    cut = len(prefix) + 1
    return {name[cut:]: value for name, value in state.items() if name.startswith(f"{prefix}.")}
