"""Low-rank additions to linear layers, through peft. Apart from the other adapters because peft is slow to import."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from core.backbones.adapters import FRESH, freeze, train_fresh
from core.backbones.heads import build_head
from core.backbones.model import Model
from core.backbones.contexts import seeded_init
from core.config import config_error

if TYPE_CHECKING:
    from core.backbones.config import LoraAdapterConfig
    from core.backbones.types import Backbone


def lora(backbone: Backbone, width: int, reads: str, seed: int, settings: LoraAdapterConfig) -> Model:
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
            raise config_error(
                "adapter.layers", idle, f"{backbone.title} has linear layers ending in {', '.join(known)}"
            )
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=chosen,
        fan_in_fan_out=any(isinstance(network.get_submodule(n), Conv1D) for n in chosen),
    )
    freeze(network)
    with seeded_init(seed, "lora"):
        inject_adapter_in_model(config, network)
    train_fresh(network)
    return Model(backbone, head)
