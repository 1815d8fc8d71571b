"""The ordinary update: forward, per-example losses, backward, clip, optimizer, average."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, cast

import torch

from core.data.types import Batch
from core.training.ema import Ema
from core.training.objective import MeanLoss
from core.training.optimizers import load_optimizer_state, optimizer_state
from core.training.parallel import ALONE
from core.training.precision import autocast
from core.training.types import StatefulObjective, StepEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from core.targets.types import Target
    from core.training.config import Schedule
    from core.training.parallel import ProcessGroup
    from core.training.types import Objective


class TrainStep:
    """One optimizer step on the mean of the batch's weighted losses."""

    def __init__(
        self,
        model: nn.Module,
        target: Target,
        optimizers: Sequence[Optimizer],
        schedule: Schedule,
        *,
        objective: Objective | None = None,
        precision: str = "fp32",
        micro_batch: int = 0,
        max_grad_norm: float = 0.0,
        ema: float | None = None,
        channels_last: bool = False,
        compile: bool = False,  # noqa: A002 - the setting's name
        parallel: ProcessGroup = ALONE,
    ) -> None:
        """Take a model in train mode on its device, and optimizers over its trainable weights.

        ``precision`` is fp32, bf16 or fp16 (decided: see ``core.training.precision.choose_precision``). ``micro_batch``
        cuts a batch into pieces whose gradients add up; 0 takes it whole.
        """
        self.model = model
        self.target = target
        self.optimizers = list(optimizers)
        self.schedule = schedule
        self.objective = objective if objective is not None else MeanLoss()
        self.precision = precision
        self.micro_batch = micro_batch
        self.max_grad_norm = max_grad_norm
        self.channels_last = channels_last
        self.parallel = parallel
        self.step = 0
        self.weights = [p for p in model.parameters() if p.requires_grad]
        self.device = self.weights[0].device
        self.ema = Ema(model, ema) if ema is not None else None
        if channels_last:
            model.to(memory_format=torch.channels_last)
        self._forward = cast(
            "Callable[[dict[str, Tensor]], Tensor]", torch.compile(model) if compile else model
        )
        self._autocast = autocast(precision, self.device)
        self._scaler = torch.amp.GradScaler(self.device.type) if precision == "fp16" else None
        self._rates = [(group, float(group["lr"])) for o in self.optimizers for group in o.param_groups]
        self._frozen: str | None = None

    def __call__(self, batch: Batch) -> StepEvent:
        """Take one step, raising ValueError where the loss is no longer a finite number."""
        factor = self.schedule(self.step)
        for group, peak in self._rates:
            group["lr"] = peak * factor
        examples = self.parallel.reduce_sum(len(batch))
        loss = self.accumulate(batch, examples)
        if not math.isfinite(loss):
            raise ValueError(
                f"the training loss became {loss} at step {self.step + 1}: lower optimizer.lr, lengthen "
                "schedule.warmup, set training.max_grad_norm=1 or training.precision=fp32"
            )
        self._apply()
        if isinstance(self.objective, StatefulObjective):
            self.objective.after_step(self.parallel)
        self.step += 1
        return StepEvent(self.step, examples, loss, self._rates[0][0]["lr"])

    def accumulate(self, batch: Batch, examples: int) -> float:
        """Add the gradient of the batch's summed losses over ``examples`` to the weights, and give that loss."""
        total: Tensor | None = None
        for piece in microbatches(to_device(batch, self.device, self.channels_last), self.micro_batch):
            with self._autocast:
                outputs = self._forward(piece.inputs)
            losses: Tensor = self.objective(
                self.target.losses(outputs.float(), piece.targets), piece, outputs.float()
            )
            loss = losses.sum() / examples
            (loss if self._scaler is None else self._scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]
            total = loss.detach() if total is None else total + loss.detach()
        assert total is not None, "a plain batch is never empty"
        if self.parallel.world > 1:
            self.parallel.all_reduce_([total, *(p.grad for p in self.weights if p.grad is not None)])
        return total.item()

    def _apply(self) -> None:
        if self._scaler is not None:
            for optimizer in self.optimizers:
                self._scaler.unscale_(optimizer)
        if self.max_grad_norm > 0:
            torch.nn.utils.clip_grad_norm_(self.weights, self.max_grad_norm)
        for optimizer in self.optimizers:
            if self._scaler is None:
                optimizer.step()
            else:
                self._scaler.step(optimizer)
            optimizer.zero_grad()
        if self._scaler is not None:
            self._scaler.update()
        if self.ema is not None:
            self.ema.update()

    def spent(self) -> dict[str, float]:
        """Name nothing: plain training spends no privacy."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Give the step, weights, buffers, optimizers, average and scaler; frozen weights as a hash only."""
        state: dict[str, Any] = {"step": self.step, "frozen": self._hash_of_frozen()}
        state |= {f"model.{name}": tensor for name, tensor in trainable_state(self.model).items()}
        state |= {f"optimizer.{k}": t for k, t in optimizer_state(self.optimizers, self.model).items()}
        if self.ema is not None:
            state |= {f"ema.{name}": tensor for name, tensor in self.ema.state().items()}
        if self._scaler is not None:
            state["scaler"] = self._scaler.state_dict()
        if isinstance(self.objective, StatefulObjective):
            state |= {f"objective.{name}": value for name, value in self.objective.state_dict().items()}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state, refusing with ValueError one of another model or other frozen weights."""
        if state["frozen"] != self._hash_of_frozen():
            raise ValueError(
                "the frozen weights differ from those the checkpoint was trained with: give the same "
                "pretrained weights, or start in another folder"
            )
        load_trainable_state(self.model, strip_prefix("model", state))
        load_optimizer_state(self.optimizers, self.model, strip_prefix("optimizer", state))
        self.step = state["step"]
        if self.ema is not None:
            self.ema.load(strip_prefix("ema", state), self.step)
        if self._scaler is not None:
            self._scaler.load_state_dict(state["scaler"])
        if isinstance(self.objective, StatefulObjective):
            self.objective.load_state_dict(strip_prefix("objective", state))

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
    """Bring a batch to the device, its image channel by pixel where asked."""
    if batch.targets.device != device:
        batch = batch.to(device)
    if channels_last and "image" in batch.inputs:
        image = batch.inputs["image"].contiguous(memory_format=torch.channels_last)
        batch = Batch({**batch.inputs, "image": image}, batch.targets, batch.index, batch.groups, batch.units)
    return batch


def microbatches(batch: Batch, size: int) -> Iterator[Batch]:
    """Cut a batch into consecutive ones of at most ``size`` rows; 0 gives it whole."""
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
    """Name all that training changes in a model: trainable weights and buffers, the live tensors themselves."""
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
    """Keep the entries of a flat state whose name starts with ``prefix.``, without the prefix."""
    cut = len(prefix) + 1
    return {name[cut:]: value for name, value in state.items() if name.startswith(f"{prefix}.")}
