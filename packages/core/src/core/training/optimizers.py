"""Optimizers over a model's trainable weights (what ``build(config.optimizer, model)`` calls), and their state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from core.config import config_error
from core.training.precision import native_bf16

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from core.training.config import AdamConfig, AdamWConfig, MuonConfig, SgdConfig

Named = list[tuple[str, "nn.Parameter"]]


def sgd(config: SgdConfig, model: nn.Module) -> list[Optimizer]:
    """Return SGD over the trainable weights; matrices and kernels decay, biases and norms don't."""
    groups = _decay_groups(_trainable(model), config.weight_decay)
    return [
        torch.optim.SGD(
            groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, fused=_fused(model)
        )
    ]


def adam(config: AdamConfig, model: nn.Module) -> list[Optimizer]:
    """Return Adam over the trainable weights."""
    return [_adam(torch.optim.Adam, config, _trainable(model), _fused(model))]


def adamw(config: AdamWConfig, model: nn.Module) -> list[Optimizer]:
    """Return AdamW over the trainable weights."""
    return [_adam(torch.optim.AdamW, config, _trainable(model), _fused(model))]


def muon(config: MuonConfig, model: nn.Module) -> list[Optimizer]:
    """Return Muon over 2-D weights and AdamW over the rest; embeddings and the head go to AdamW.

    Muon's update is scaled to AdamW's size ("match_rms_adamw", Liu et al. 2025), so one learning rate serves both.
    torch's own multiplies in bf16; where the processor only imitates that, the same is done in the weights' precision.
    Raises ValueError where this torch has no Muon, or the model no weight that Muon takes.
    """
    kind = getattr(torch.optim, "Muon", None)
    if kind is None:
        raise config_error(
            "optimizer", "muon", f"torch {torch.__version__} has no Muon; choose adamw or a newer torch"
        )
    outside = {
        id(p)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding) or name.split(".")[0] == "head"
        for p in module.parameters(recurse=True)
    }
    named = _trainable(model)
    inside = [(n, p) for n, p in named if p.ndim == 2 and id(p) not in outside]
    if not inside:
        raise config_error(
            "optimizer", "muon", "no trainable 2-D weight outside embeddings and head; choose adamw"
        )
    if not native_bf16(inside[0][1].device):
        from core.training.muon import ExactMuon as kind  # noqa: N813 - subclasses a class that old torch lacks
    chosen = {id(p) for _, p in inside}
    rest = [(n, p) for n, p in named if id(p) not in chosen]
    optimizers: list[Optimizer] = [
        kind(
            [p for _, p in inside],
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.nesterov,
            weight_decay=config.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
    ]
    if rest:
        optimizers.append(_adam(torch.optim.AdamW, config, rest, _fused(model)))
    return optimizers


def optimizer_state(optimizers: Sequence[Optimizer], model: nn.Module) -> dict[str, Tensor]:
    """Return every optimizer's tensors under ``<number>.<weight>.<field>``; learning rates come from the config."""
    names = {id(p): n for n, p in model.named_parameters()}
    state: dict[str, Tensor] = {}
    for number, optimizer in enumerate(optimizers):
        for parameter, fields in optimizer.state.items():
            for field, value in fields.items():
                if value is None:  # SGD without momentum keeps the key
                    continue
                assert isinstance(value, torch.Tensor), f"{type(optimizer).__name__} keeps {field}={value!r}"
                state[f"{number}.{names[id(parameter)]}.{field}"] = value
    return state


def load_optimizer_state(optimizers: Sequence[Optimizer], model: nn.Module, state: dict[str, Tensor]) -> None:
    """Load what ``optimizer_state`` returned, in the memory layout of each weight (fused kernels rely on it).

    Raises ValueError where the state names a weight that this optimizer doesn't train.
    """
    names = dict(model.named_parameters())
    held = [{id(p) for group in o.param_groups for p in group["params"]} for o in optimizers]
    for optimizer in optimizers:
        optimizer.state.clear()
    for key, value in state.items():
        number, rest = key.split(".", 1)
        name, field = rest.rsplit(".", 1)
        parameter = names.get(name)
        if parameter is None or int(number) >= len(optimizers) or id(parameter) not in held[int(number)]:
            raise ValueError(f"the checkpoint holds optimizer state of {name!r}, which is not trained here")
        if value.shape == parameter.shape:
            kept = torch.empty_like(parameter, requires_grad=False, dtype=value.dtype).copy_(value)
        else:
            kept = value.clone()  # Adam's step counter, which lives on the CPU unless fused on a GPU
            if value.ndim == 0 and any(g.get("fused") for g in optimizers[int(number)].param_groups):
                kept = kept.to(parameter.device)
        optimizers[int(number)].state[parameter][field] = kept


def _trainable(model: nn.Module) -> Named:
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    if not named:
        raise ValueError("the model has no trainable weight: choose adapter=full, lora or linear_probe")
    return named


def _decay_groups(named: Named, weight_decay: float) -> list[dict[str, Any]]:
    decayed = [p for _, p in named if p.ndim >= 2]
    plain = [p for _, p in named if p.ndim < 2]
    groups = ({"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]


def _adam(
    kind: type[torch.optim.Adam], config: AdamConfig | AdamWConfig | MuonConfig, named: Named, fused: bool
) -> Optimizer:
    groups = _decay_groups(named, config.weight_decay)
    return kind(groups, lr=config.lr, betas=(config.beta1, config.beta2), eps=config.eps, fused=fused)


def _fused(model: nn.Module) -> bool:
    """Return whether torch's fused kernel works here: it takes a third of the time on CPUs and CUDA."""
    return all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in model.parameters())
