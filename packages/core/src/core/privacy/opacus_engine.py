"""The reference engine: opacus's per-example gradients, instantiated layer by layer, behind the same interface."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from opacus import GradSampleModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.privacy.clipping import ClipResult, ClipRule, PerExampleClipper, require_no_batch_statistics


class OpacusClipper(PerExampleClipper):
    """Clips the gradients that opacus's hooks leave on the weights: slower, larger, and not right for every layer.

    ``trace``, ``clipped_gradients``, ``sums`` and ``flat`` are those of ``PerExampleClipper``.
    """

    def __init__(self, model: nn.Module, *, rule: ClipRule, scale: float = 1.0) -> None:
        """Hook the model, raising ValueError for layers that opacus has no grad sampler for."""
        super().__init__(model, rule=rule, scale=scale)
        try:
            self._hooked = GradSampleModule(model, loss_reduction="sum")
            # They are added for each traced pass: elsewhere (preflight, validation) they would only be in the way.
            self._hooked.remove_hooks()
        except NotImplementedError as error:
            raise ValueError(
                f"privacy.engine='opacus' can't train this network ({error}); use bookkeeping"
            ) from error

    @contextmanager
    def trace(self, rows: int) -> Iterator[None]:
        """Add opacus's hooks for one forward and backward pass, raising ValueError for what mixes examples."""
        require_no_batch_statistics(self.model)
        self._hooked.zero_grad(set_to_none=True)
        self._hooked.add_hooks(loss_reduction="sum")
        # opacus sees only layers in training mode; preflight runs in evaluation mode to have dropout off.
        resting = [module for module in self.model.modules() if not module.training and _has_own(module)]
        for module in resting:
            module.training = True
        try:
            yield
        finally:
            for module in resting:
                module.training = False
            self._hooked.remove_hooks()

    def clipped_gradients(self, losses_B: Tensor, units_B: Tensor | None = None) -> ClipResult:
        """Backpropagate the losses (B,), one row a unit, and add each row's clipped gradient to ``sums``."""
        assert units_B is None, "the reference engine takes one row a unit"
        with warnings.catch_warnings():
            # opacus's hook of the first layer, whose inputs need no gradient, fires as it should.
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            losses_B.sum().backward()  # type: ignore[no-untyped-call]
        samples = {}
        for name, weight in self.parameters.items():
            found = getattr(weight, "grad_sample", None)
            if isinstance(found, list):  # a weight used several times
                found = torch.stack(found).sum(0)
            if found is None or len(found) != len(losses_B):
                rows = "none" if found is None else str(len(found))
                raise ValueError(
                    f"privacy.engine='opacus': {name} got {rows} of {len(losses_B)} per-example gradients; "
                    "use bookkeeping"
                )
            samples[name] = found.to(self.flat.dtype)
        norms_U = torch.stack([s.flatten(1).norm(dim=1) for s in samples.values()]).norm(dim=0)
        factors_GU = self.rule.factors(norms_U[None])
        for name, sample in samples.items():
            self.sums[name].add_(torch.einsum("b,b...->...", factors_GU[0] * self.scale, sample))
        self._hooked.zero_grad(set_to_none=True)
        return ClipResult(norms_U, factors_GU, (norms_U <= self.rule.clip_norm).sum())


def _has_own(module: nn.Module) -> bool:
    """Return whether a layer has trainable weights of its own and computes the same in both modes."""
    trains = any(p.requires_grad for p in module.parameters(recurse=False))
    return trains and not isinstance(module, _BatchNorm)
