"""Per-example clipping in one backward pass, for any module.

Autograd computes only the activations' gradients. From each layer's inputs and output-gradients come the examples'
squared norms, and the clipped sum is one matrix product per layer with rows scaled by the clip factors
("book-keeping", Bu et al. 2022, arXiv:2210.00038, extended to anything a parameter may be used for).
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from core.privacy.rules import convolution, generic, layers, linear
from core.privacy.rules.accumulate import GradAccumulator
from core.privacy.rules.per_example_grads import Units
from core.privacy.rules.trace import BatchDimTracker, BatchSizes, Trace, mark_batched
from core.privacy.rules.traced_parameter import TracedParameter, leaves

RULES = (linear, convolution, layers, generic)  # importing them registers them


class ClipRule(Protocol):
    """How norms become factors; `clip_norm` bounds the L2 norm of what any unit adds to the sum."""

    @property
    def clip_norm(self) -> float: ...
    @property
    def per_layer(self) -> bool: ...
    def factors(self, norms_GU: Tensor) -> Tensor:
        """Return factors (G, U) from the norms per clipping group and unit."""


@dataclass(frozen=True)
class FlatClip:
    """min(1, C / norm) over all parameters together (Abadi et al. 2016, arXiv:1607.00133)."""

    clip_norm: float
    per_layer: bool = False

    def factors(self, norms_GU: Tensor) -> Tensor:
        return (self.clip_norm / norms_GU.clamp_min(1e-30)).clamp_max_(1.0)


@dataclass(frozen=True)
class PerLayerClip:
    """Each of G layers to C / sqrt(G), so that the whole stays within C (McMahan et al. 2018, arXiv:1710.06963)."""

    clip_norm: float
    per_layer: bool = True

    def factors(self, norms_GU: Tensor) -> Tensor:
        share = self.clip_norm / math.sqrt(norms_GU.shape[0])
        return (share / norms_GU.clamp_min(1e-30)).clamp_max_(1.0)


@dataclass(frozen=True)
class AutomaticClip:
    """C / (norm + stability): every gradient normalized (Bu et al. 2023, arXiv:2206.07136)."""

    clip_norm: float
    stability: float = 0.01
    per_layer: bool = False

    def factors(self, norms_GU: Tensor) -> Tensor:
        return self.clip_norm / (norms_GU + self.stability)


@dataclass
class AdaptiveClip:
    """Flat clipping whose norm follows a quantile of the norms (Andrew et al. 2021, arXiv:1905.03871, eq. 5).

    `update` takes the *noisy* fraction of units within the norm: `ClipResult.within` is a private count, its noise is
    the caller's, and so is its share of the budget.
    """

    clip_norm: float
    quantile: float = 0.5
    learning_rate: float = 0.2
    per_layer: bool = False

    def factors(self, norms_GU: Tensor) -> Tensor:
        return (self.clip_norm / norms_GU.clamp_min(1e-30)).clamp_max_(1.0)

    def update(self, noisy_fraction_within: float) -> None:
        """Update the clip norm by one geometric step."""
        self.clip_norm *= math.exp(-self.learning_rate * (noisy_fraction_within - self.quantile))


@dataclass(frozen=True)
class ClipResult:
    """What one backward pass found; all of it is private (it must not leave the process without noise).

    `norms_U` are the units' gradient norms before clipping, `factors_GU` the factors per clipping group, `within` the
    number of units whose norm is at most the clip norm.
    """

    norms_U: Tensor
    factors_GU: Tensor
    within: Tensor


@dataclass(frozen=True)
class _Slot:
    """One place in the model that holds a trainable parameter."""

    module: nn.Module
    name: str
    parameter: nn.Parameter
    index: int


class PerExampleClipper:
    """Adds the sum of clipped per-example (or per-unit) gradients of a model to `sums`.

    >>> import torch
    >>> from torch import nn
    >>> model = nn.Linear(2, 1, bias=False)
    >>> clipper = PerExampleClipper(model, rule=FlatClip(1.0))
    >>> inputs = torch.tensor([[3.0, 4.0], [0.3, 0.4]])  # the gradients of the outputs' sum: norms 5 and 0.5
    >>> with clipper.trace(2):
    ...     result = clipper.clipped_gradients(model(inputs).sum(1))
    >>> result.norms_U
    tensor([5.0000, 0.5000])
    >>> clipper.sums["weight"]  # [0.6, 0.8] + [0.3, 0.4]
    tensor([[0.9000, 1.2000]])

    `sums` maps parameter names to views of `flat`, one float32 buffer (float64 for a float64 model). They accumulate
    over micro-batches until `zero`. Gradients of the parameters themselves (`.grad`) are neither read nor written.
    What is added is `scale` times the clipped gradient: with 1 / batch the sums are means without a pass of their own.
    """

    def __init__(self, model: nn.Module, *, rule: ClipRule, scale: float = 1.0) -> None:
        if rule.clip_norm <= 0:
            raise ValueError(f"the clip norm must be positive, not {rule.clip_norm}")
        self.model, self.rule, self.scale = model, rule, scale
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not self.parameters:
            raise ValueError("the model has no trainable parameter: nothing to clip")
        self._slots = _slots(model, self.parameters)
        precise = any(p.dtype == torch.float64 for p in self.parameters.values())
        device = next(iter(self.parameters.values())).device
        sizes = [p.numel() for p in self.parameters.values()]
        self.flat = torch.zeros(sum(sizes), dtype=torch.float64 if precise else torch.float32, device=device)
        parts = zip(self.parameters.items(), torch.split(self.flat, sizes), strict=True)
        self.sums: Mapping[str, Tensor] = {name: part.view(p.shape) for (name, p), part in parts}
        self.layer_names, self.groups = _groups(self.parameters, rule.per_layer)
        self.batch_sizes = BatchSizes()
        self._sources: list[Tensor] = []
        self._trace: Trace | None = None

    def zero(self) -> None:
        """Set the sums to zero, before a new logical batch."""
        self.flat.zero_()

    @contextmanager
    def trace(self, rows: int) -> Iterator[None]:
        """Trace the forward pass of `rows` examples; raises `ValueError` naming what can't be done exactly."""
        if self._trace is not None:
            raise ValueError("this clipper is already tracing a forward pass")
        require_no_batch_statistics(self.model)
        if not self._sources or any(
            source.data_ptr() != p.data_ptr() or source.dtype != p.dtype
            for source, p in zip(self._sources, self.parameters.values(), strict=True)
        ):
            self._sources = [p.detach().requires_grad_() for p in self.parameters.values()]
        trace = Trace(self.batch_sizes, self.flat.device, rows, self.flat.dtype)
        items = zip(self.parameters.items(), self._sources, strict=True)
        self._leaves = [trace.track(s, name, frozenset((i,))) for i, ((name, _), s) in enumerate(items)]
        for slot in self._slots:
            if slot.module._parameters.get(slot.name) is not slot.parameter:
                raise ValueError(
                    f"{slot.name}: the model's parameters were replaced after the clipper was made"
                )
        hook = self.model.register_forward_pre_hook(_mark_batched_inputs, with_kwargs=True)
        self._trace = trace
        grads = [p.grad for p in self.parameters.values()]
        try:
            for slot in self._slots:
                slot.module._parameters[slot.name] = self._leaves[slot.index]  # type: ignore[assignment]
                slot.parameter.grad = None
            with BatchDimTracker():
                yield
        finally:
            for slot in self._slots:
                slot.module._parameters[slot.name] = slot.parameter
            for p, grad in zip(self.parameters.values(), grads, strict=True):
                p.grad = grad
            hook.remove()
            self._trace = None

    def clipped_gradients(self, losses_B: Tensor, units_B: Tensor | None = None) -> ClipResult:
        """Backpropagate the losses (B,) once and add each unit's clipped gradient to `sums`.

        `units_B` names the privacy unit of each row (any integers); all rows of a unit must be in the same pass. An
        empty batch adds nothing. Raises `ValueError` for a gradient that is not finite.
        """
        if losses_B.dim() != 1:
            raise ValueError(f"the losses must be one per example, shape (B,), not {tuple(losses_B.shape)}")
        if not len(losses_B):
            empty = self.flat.new_zeros(0)
            return ClipResult(
                empty, self.flat.new_zeros(len(self.layer_names), 0), torch.zeros((), dtype=torch.long)
            )
        trace = self._trace
        if trace is None or trace.rows != len(losses_B):
            raise ValueError(
                f"{len(losses_B)} losses: compute them inside `with clipper.trace({len(losses_B)})`"
            )
        if isinstance(losses_B, TracedParameter):
            raise ValueError(
                "the losses don't depend on the examples: call the model itself, not its parts, on the inputs"
            )
        if not losses_B.requires_grad:
            raise ValueError("the losses don't depend on any trainable parameter")
        units = Units(len(losses_B))
        if units_B is not None:
            known, index_B = torch.unique(units_B, return_inverse=True)
            if len(known) < len(units_B):
                units = Units(len(known), index_B)
        accumulator = GradAccumulator(trace, self._leaves, list(self.sums.values()), self.groups, units)
        trace.on_complete = accumulator.complete
        # The marks are needed in the forward pass only: tracking a thousand more operations would only take time.
        try:
            with torch._C.DisableTorchFunction(), torch.autocast(self.flat.device.type, enabled=False):
                torch.autograd.backward(losses_B, torch.ones_like(losses_B))
                self._require_all_traced()
                with torch.no_grad():
                    accumulator.finish()
                    return self._clip(accumulator)
        finally:
            accumulator.release()

    def _clip(self, accumulator: GradAccumulator) -> ClipResult:
        squares_GU = accumulator.squares_GU
        norms_U = squares_GU.sum(0).sqrt_()
        if not bool(norms_U.isfinite().all()):
            raise ValueError(
                "a gradient is not finite: lower the learning rate, or compute in float32 or bfloat16"
            )
        factors_GU = self.rule.factors(squares_GU.sqrt())
        accumulator.add_sums(factors_GU if self.scale == 1 else factors_GU * self.scale)
        return ClipResult(norms_U, factors_GU, (norms_U <= self.rule.clip_norm).sum())

    def _require_all_traced(self) -> None:
        for name, p in self.parameters.items():
            if p.grad is not None:
                raise ValueError(
                    f"{name}: it was used outside the traced forward pass (a cached copy, a recomputed "
                    "checkpoint), where its per-example gradients can't be seen"
                )


def require_no_batch_statistics(model: nn.Module) -> None:
    """Raise `ValueError` for the first layer that uses or keeps statistics over a batch."""
    for name, module in model.named_modules():
        kind = type(module).__name__
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.training:
            batch = isinstance(module, nn.modules.batchnorm._BatchNorm)
            if batch or module.track_running_stats:
                raise ValueError(
                    f"{name} ({kind}): in training mode it mixes the examples of a batch, even when frozen; set "
                    "privacy.batch_norm to group or frozen"
                )


def _slots(model: nn.Module, parameters: Mapping[str, nn.Parameter]) -> list[_Slot]:
    index = {id(p): i for i, p in enumerate(parameters.values())}
    for path, module in model.named_modules():
        recurrent = isinstance(module, nn.RNNBase) and any(id(p) in index for p in module.parameters())
        if recurrent or isinstance(module, torch.jit.ScriptModule):
            raise ValueError(
                f"{path or 'model'} ({type(module).__name__}): recurrent and compiled layers keep their weights "
                "out of sight and have no exact rule; freeze it, or use an attention or convolution layer"
            )
    return [
        _Slot(module, name, p, index[id(p)])
        for module in model.modules()
        for name, p in module._parameters.items()
        if p is not None and id(p) in index
    ]


def _groups(parameters: Mapping[str, nn.Parameter], per_layer: bool) -> tuple[list[str], list[int]]:
    """Return the clipping groups: one for all, or one per module that owns parameters."""
    if not per_layer:
        return ["all"], [0] * len(parameters)
    owners = [name.rpartition(".")[0] for name in parameters]
    names = list(dict.fromkeys(owners))
    return names, [names.index(owner) for owner in owners]


def _mark_batched_inputs(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    for value in leaves((args, kwargs)):
        if isinstance(value, Tensor):
            mark_batched(value)
