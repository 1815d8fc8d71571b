"""Which weights are trained: all, the head's, or low-rank additions and the head's."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from core.backbones.heads import build_head
from core.backbones.model import Model
from core.backbones.seeding import weights_from
from core.config import wrong

if TYPE_CHECKING:
    from core.backbones.config import LoraOption
    from core.backbones.types import Backbone

FRESH = ("side", "pooling")
"""Parts of a backbone that no loaded weights have; like the head they always train."""


def full(backbone: Backbone, width: int, reads: str, seed: int, head: str, dropout: float) -> Model:
    """Train every weight of backbone and head."""
    model = Model(backbone, build_head(backbone, width, reads, seed, head, dropout))
    model.requires_grad_(True)
    return model


def head_only(backbone: Backbone, width: int, reads: str, seed: int, head: str, dropout: float) -> Model:
    """Train the head, and what of the backbone is fresh; the rest stays as loaded."""
    model = Model(backbone, build_head(backbone, width, reads, seed, head, dropout))
    _freeze(model.backbone)
    return model


def lora(backbone: Backbone, width: int, reads: str, seed: int, settings: LoraOption) -> Model:
    """Add a trainable product of two thin matrices to linear layers (Hu et al. 2021, arXiv:2106.09685), through peft.

    The additions are zero at the start. Raises ValueError for a backbone without linear layers, or when
    ``adapter.layers`` names none of them.
    """
    head = build_head(backbone, width, reads, seed, settings.head, settings.dropout)
    network = cast(nn.Module, backbone)
    linear = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and name.split(".")[0] not in FRESH
    ]
    if not linear:
        raise ValueError(
            f"adapter=lora adds to linear layers, and backbone={backbone.title} has none; use "
            "adapter=full or adapter=head"
        )
    chosen = linear
    if settings.layers:
        ends = tuple(settings.layers)
        chosen = [n for n in linear if any(n == e or n.endswith(f".{e}") for e in ends)]
        idle = [e for e in ends if not any(n == e or n.endswith(f".{e}") for n in linear)]
        if idle:
            known = sorted({n.rpartition(".")[2] for n in linear})
            raise wrong(
                "adapter.layers", idle, f"{backbone.title} has linear layers ending in {', '.join(known)}"
            )
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=chosen,
        fan_in_fan_out=any(isinstance(network.get_submodule(n), Conv1D) for n in chosen),
    )
    _freeze(network)
    with weights_from(seed, "lora"):
        inject_adapter_in_model(config, network)
    _train_fresh(network)
    return Model(backbone, head)


def _freeze(network: nn.Module) -> None:
    network.requires_grad_(False)
    _train_fresh(network)


def _train_fresh(network: nn.Module) -> None:
    for name in FRESH:
        part = getattr(network, name, None)
        if part is not None:
            part.requires_grad_(True)
