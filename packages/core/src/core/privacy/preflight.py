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
BATCHES = (1, 2, 5, 6)
"""Sizes of the batches that norms are checked with: a batch of one, and sizes with and without common divisors."""


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
    clipper: PerExampleClipper,
    losses: Losses,
    examples: int,
    tolerance: float = 1e-3,
    independence_tolerance: float = 1e-6,
) -> PreflightSection:
    """Check the engine on a probe batch, raising `ValueError` naming the layer and the cause at the first failure.

    `losses(index)` computes the losses (len(index),) of those rows of the probe batch (row numbers may repeat) by
    calling the clipper's model; `examples` is the probe's size, at least 3. Exactness is checked with dropout off, for
    batches of `BATCHES`, and once in the model's own mode; independence in its own mode. Sums, buffers and random
    state are left as they were. Returns what was measured.
    """
    if examples < 3:
        raise ValueError(f"the probe batch has {examples} examples; at least 3 are needed to see them mix")
    model, device = clipper.model, clipper.flat.device
    require_no_batch_statistics(model)
    index = torch.arange(examples, device=device)
    devices = [device] if device.type == "cuda" else []
    kept = clipper.flat.clone()
    sizes = sorted({size for size in BATCHES if size <= examples} | {examples})
    with torch.random.fork_rng(devices), torch.enable_grad():
        with _require_same_buffers(model):
            losses(index)
        independence = max(
            _independence(clipper, losses, index[:size], independence_tolerance)
            for size in sorted({2, examples})
        )
        with _require_same_buffers(model):
            in_training = _check_own_mode(clipper, losses, index, tolerance)
        with eval_mode(model):
            single = [_gradients(clipper.parameters, losses(index[i : i + 1])[0]) for i in range(examples)]
            norm_error = max(
                _check_norms(clipper, losses, index[:size], single[:size], tolerance)
                for size in reversed(sizes)
            )
            sum_error = _check_sum(clipper, losses, index, single, tolerance)
    clipper.flat.copy_(kept)
    names = [name for name in clipper.parameters if all(bool((g[name] == 0).all()) for g in single)]
    if len(names) == len(clipper.parameters):
        raise ValueError("the loss reaches no trainable parameter")
    return PreflightSection(
        examples=examples,
        parameters=len(clipper.parameters),
        norm_error=max(norm_error, in_training or 0.0),
        sum_error=sum_error,
        independence_error=independence,
        tolerance=tolerance,
        independence_tolerance=independence_tolerance,
        batch_sizes=sizes,
        train_mode_checked=in_training is not None,
        without_gradient=names,
    )


@contextmanager
def _require_same_buffers(model: nn.Module) -> Iterator[None]:
    """Raise `ValueError` naming a buffer that a pass in training mode changed; buffers are put back.

    A buffer that follows the examples is published with the weights, without noise, and carries one batch to the next.
    """
    before = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    changed: list[str] = []
    try:
        yield
    finally:
        after = dict(model.named_buffers())
        changed += [name for name, buffer in after.items() if not _same(before.get(name), buffer)]
        changed += [name for name in before if name not in after]
        with torch.no_grad():
            for name in changed:
                if name in before and name in after and after[name].shape == before[name].shape:
                    after[name].copy_(before[name])
    if changed:
        owner = changed[0].rpartition(".")[0]
        kind = type(model.get_submodule(owner)).__name__
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise ValueError(
            f"{changed[0]}{more}: training changes this buffer of {owner or 'the model'} ({kind}), which would keep "
            "what it saw of the examples without noise; replace the layer, or freeze it in evaluation mode"
        )


def _same(before: Tensor | None, after: Tensor) -> bool:
    if before is None or before.shape != after.shape or before.dtype != after.dtype:
        return False
    equal = before == after
    return bool((equal | ((before != before) & (after != after))).all())


@contextmanager
def _refuse_by_name(model: nn.Module) -> Iterator[None]:
    """Raise `ValueError` naming the innermost layer where a traced pass fails that works without the trace."""
    inside: list[str] = []
    handles = []

    def leave(*_: object) -> None:
        inside.pop()

    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda *_, name=name: inside.append(name)))
        handles.append(module.register_forward_hook(leave))
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (
        RuntimeError,
        TypeError,
        AttributeError,
        IndexError,
        NotImplementedError,
        AssertionError,
    ) as error:
        where = inside[-1] if inside else ""
        kind = type(model.get_submodule(where)).__name__
        cause = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{where or 'model'} ({kind}): its examples can't be told apart layer by layer, so it can't be trained "
            f"with differential privacy ({cause}); freeze this layer or choose another backbone"
        ) from error
    finally:
        for handle in handles:
            handle.remove()


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


def _gradients(
    parameters: Mapping[str, nn.Parameter], loss: Tensor, *, retain: bool = False
) -> dict[str, Tensor]:
    """Return autograd's gradients; zeros where the loss doesn't reach."""
    if not loss.requires_grad:
        raise ValueError("the losses don't depend on any trainable parameter")
    found = torch.autograd.grad(loss, list(parameters.values()), retain_graph=retain, allow_unused=True)
    return {
        name: torch.zeros_like(p) if g is None else g
        for (name, p), g in zip(parameters.items(), found, strict=True)
    }


def _check_own_mode(
    clipper: PerExampleClipper, losses: Losses, index: Tensor, tolerance: float
) -> float | None:
    """Return the worst error of the norms in the model's own mode, every pass with the same dropout.

    None where the engine draws another dropout than the model itself (it computes some layers its own way): then
    there is nothing to compare with.
    """
    torch.manual_seed(0)
    plain_B = losses(index)
    single = [_gradients(clipper.parameters, loss, retain=True) for loss in plain_B]
    torch.manual_seed(0)
    probe, rule = _probe_of(clipper)
    with _refuse_by_name(clipper.model), probe.trace(len(index)):
        traced_B = losses(index)
        if not torch.allclose(traced_B, plain_B, 1e-4, 1e-6):
            return None
        probe.clipped_gradients(traced_B)
    return _worst_norm(probe, rule, single, tolerance)


def _probe_of(clipper: PerExampleClipper) -> tuple[PerExampleClipper, _Unclipped]:
    rule = _Unclipped()
    probe = PerExampleClipper(clipper.model, rule=rule)
    probe.batch_sizes = clipper.batch_sizes  # what is learned about sizes here serves the training
    return probe, rule


def _check_norms(
    clipper: PerExampleClipper,
    losses: Losses,
    index: Tensor,
    single: Sequence[dict[str, Tensor]],
    tolerance: float,
) -> float:
    """Return the worst error of the norms per layer and example against autograd's."""
    probe, rule = _probe_of(clipper)
    with _refuse_by_name(clipper.model), probe.trace(len(index)):
        probe.clipped_gradients(losses(index))
    return _worst_norm(probe, rule, single, tolerance)


def _worst_norm(
    probe: PerExampleClipper, rule: _Unclipped, single: Sequence[dict[str, Tensor]], tolerance: float
) -> float:
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
            kind = type(probe.model.get_submodule(layer)).__name__
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
    with _refuse_by_name(clipper.model), clipper.trace(len(index)):
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
            f"{where}{kind}: it mixes the examples of a batch: the gradient of one example moved by {error:.2g} of "
            "its size when the others changed; replace or freeze it"
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
