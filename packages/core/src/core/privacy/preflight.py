"""Before the first step: proof on a probe batch that clipping is exact and that examples do not mix."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.backbones.contexts import eval_mode
from core.privacy.clipping import PerExampleClipper, require_no_batch_statistics
from core.privacy.section import PreflightSection

Losses = Callable[[Tensor], Tensor]


@dataclass
class _Unclipped:
    """Lets every gradient through and keeps the norms per layer."""

    norms_GU: Tensor | None = None
    clip_norm: float = float("inf")
    per_layer: bool = True

    def factors(self, norms_GU: Tensor) -> Tensor:
        self.norms_GU = norms_GU
        return torch.ones_like(norms_GU)


def preflight(
    clipper: PerExampleClipper, losses: Losses, examples: int, tolerance: float = 1e-3
) -> PreflightSection:
    """Check the engine on a probe batch, raising `ValueError` naming the layer and the cause at the first failure.

    `losses(index)` computes the losses (len(index),) of those rows of the probe batch (row numbers may repeat) by
    calling the clipper's model; `examples` is the probe's size, at least 3. Exactness is checked with dropout off,
    independence in the model's own mode. Sums and random state are left as they were. Returns what was measured.
    """
    if examples < 3:
        raise ValueError(f"the probe batch has {examples} examples; at least 3 are needed to see them mix")
    model, device = clipper.model, clipper.flat.device
    require_no_batch_statistics(model)
    index = torch.arange(examples, device=device)
    devices = [device] if device.type == "cuda" else []
    kept = clipper.flat.clone()
    with torch.random.fork_rng(devices), torch.enable_grad():
        independence = _independence(clipper, losses, index, tolerance)
        with eval_mode(model):
            single = [_gradients(clipper.parameters, losses(index[i : i + 1])[0]) for i in range(examples)]
            norm_error = max(
                _check_norms(clipper, losses, index[:size], single[:size], tolerance)
                for size in (examples, examples - 1)
            )
            sum_error = _check_sum(clipper, losses, index, single, tolerance)
    clipper.flat.copy_(kept)
    names = [name for name in clipper.parameters if all(bool((g[name] == 0).all()) for g in single)]
    if len(names) == len(clipper.parameters):
        raise ValueError("the loss reaches no trainable parameter")
    return PreflightSection(
        examples=examples,
        parameters=len(clipper.parameters),
        norm_error=norm_error,
        sum_error=sum_error,
        independence_error=independence,
        tolerance=tolerance,
        without_gradient=names,
    )


def snapshot(parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return copies of the parameters, to be compared after the first step."""
    return {name: p.detach().clone() for name, p in parameters.items()}


def require_moved(parameters: Mapping[str, nn.Parameter], before: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` naming the trainable parameters the first step left untouched."""
    still = [name for name, p in parameters.items() if torch.equal(p.detach(), before[name])]
    listed = ", ".join(still[:5]) + (" and more" if len(still) > 5 else "")
    if still:
        raise ValueError(
            f"the first step did not move {listed}: is every trainable parameter in the optimizer, "
            "and the learning rate above zero?"
        )


def _gradients(parameters: Mapping[str, nn.Parameter], loss: Tensor) -> dict[str, Tensor]:
    """Return autograd's gradients; zeros where the loss doesn't reach."""
    if not loss.requires_grad:
        raise ValueError("the losses don't depend on any trainable parameter")
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return {
        name: torch.zeros_like(p) if g is None else g
        for (name, p), g in zip(parameters.items(), found, strict=True)
    }


def _check_norms(
    clipper: PerExampleClipper,
    losses: Losses,
    index: Tensor,
    single: Sequence[dict[str, Tensor]],
    tolerance: float,
) -> float:
    """Return the worst error of the norms per layer and example against autograd's."""
    rule = _Unclipped()
    probe = PerExampleClipper(clipper.model, rule=rule)
    probe.batch_sizes = clipper.batch_sizes  # what is learned about sizes here serves the training
    with probe.trace(len(index)):
        probe.clipped_gradients(losses(index))
    assert rule.norms_GU is not None
    groups = {name: name.rpartition(".")[0] for name in probe.parameters}
    worst = 0.0
    for g, layer in enumerate(probe.layer_names):
        names = [name for name, group in groups.items() if group == layer]
        expected_B = torch.stack([_norm([grads[name] for name in names]) for grads in single])
        scale = torch.stack([_norm(list(grads.values())) for grads in single])
        error_B = (rule.norms_GU[g] - expected_B).abs() / torch.maximum(expected_B, 1e-3 * scale).clamp_min(
            1e-12
        )
        error = float(error_B.max())
        if not error <= tolerance:
            kind = type(clipper.model.get_submodule(layer)).__name__
            raise ValueError(
                f"{layer or 'model'} ({kind}): its per-example gradient norms are off by {error:.1e} "
                f"(tolerance {tolerance:.0e}), so clipping would not bound an "
                "example's influence; freeze this layer or choose another backbone"
            )
        worst = max(worst, error)
    return worst


def _check_sum(
    clipper: PerExampleClipper,
    losses: Losses,
    index: Tensor,
    single: Sequence[dict[str, Tensor]],
    tolerance: float,
) -> float:
    """Return the error of the clipped sum against the weighted sum of autograd's gradients, by the engine's factors."""
    clipper.zero()
    with clipper.trace(len(index)):
        result = clipper.clipped_gradients(losses(index))
    groups = dict(zip(clipper.parameters, clipper.groups, strict=True))
    expected = {
        name: sum(factor * grads[name].to(total.dtype) for factor, grads in zip(factors, single, strict=True))
        for (name, total), factors in (
            (item, result.factors_GU[groups[item[0]]]) for item in clipper.sums.items()
        )
    }
    scale = _norm([torch.as_tensor(value) for value in expected.values()]).clamp_min(1e-12)
    worst = ("", 0.0)
    for name, total in clipper.sums.items():
        error = float((total - expected[name]).norm() / scale)
        if not error <= worst[1]:
            worst = (name, error)
    if not worst[1] <= tolerance:
        raise ValueError(f"{worst[0]}: the clipped sum is off by {worst[1]:.1e} (tolerance {tolerance:.0e})")
    return worst[1]


def _independence(clipper: PerExampleClipper, losses: Losses, index: Tensor, tolerance: float) -> float:
    """Return how far the first example's gradient moves when the others become copies of the second or the last."""
    outputs: list[dict[str, Tensor]] = []
    gradients: list[dict[str, Tensor]] = []
    for other in (1, len(index) - 1):
        rows = torch.full_like(index, other)
        rows[0] = 0
        torch.manual_seed(0)
        with _first_rows(clipper.model, len(index)) as seen:
            gradients.append(_gradients(clipper.parameters, losses(rows)[0]))
        outputs.append(seen)
    difference = _norm([a - b for a, b in zip(gradients[0].values(), gradients[1].values(), strict=True)])
    error = float(difference / _norm(list(gradients[0].values())).clamp_min(1e-12))
    if not error <= tolerance:
        changed = [
            name for name, row in outputs[0].items() if not torch.allclose(row, outputs[1][name], 1e-3, 1e-5)
        ]
        where = changed[0] if changed else "the loss"
        kind = f" ({type(clipper.model.get_submodule(where)).__name__})" if changed else ""
        raise ValueError(
            f"{where}{kind}: it mixes the examples of a batch: the gradient of one example moved by {error:.1%} "
            "when the others changed; replace or freeze it"
        )
    return error


@contextmanager
def _first_rows(model: nn.Module, examples: int) -> Iterator[dict[str, Tensor]]:
    """Yield the first example's rows of each layer's output, filled in the order they finish."""
    seen: dict[str, Tensor] = {}

    def remember(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, args: object, output: object) -> None:
            if (
                isinstance(output, Tensor)
                and output.dim()
                and output.shape[0] % examples == 0
                and name not in seen
            ):
                seen[name] = output.detach()[: output.shape[0] // examples].clone()

        return hook

    handles = [module.register_forward_hook(remember(name)) for name, module in model.named_modules()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    total: Tensor = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(t) for t in tensors]))
    return total
