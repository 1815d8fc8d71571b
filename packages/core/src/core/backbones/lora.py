"""LoRA: low-rank additions to linear layers, through peft. Apart from the other adapters: peft is slow to import."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from transformers.pytorch_utils import Conv1D

from core.backbones.adapter_config import LoraAdapterConfig
from core.backbones.adapters import NEW_MODULES, freeze, train_new_modules
from core.backbones.contexts import seeded_init
from core.backbones.heads import build_head
from core.backbones.model import Model
from core.config import config_error

if TYPE_CHECKING:
    from core.backbones.types import Backbone


def lora(config: LoraAdapterConfig, backbone: Backbone, num_outputs: int, reads: str, seed: int) -> Model:
    """Add a trainable low-rank product to linear layers (Hu et al. 2021, arXiv:2106.09685) and attach a head.

    The additions are zero at the start. Raises ValueError for a backbone without linear layers, or when
    ``adapter.target_modules`` matches none of them.
    """
    head = build_head(backbone, num_outputs, reads, seed, config.head_type, config.dropout)
    network = cast(nn.Module, backbone)
    linear = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and name.split(".")[0] not in NEW_MODULES
    ]
    if not linear:
        raise ValueError(
            f"adapter=lora adds to linear layers, and backbone={backbone.title} has none; use "
            "adapter=full or adapter=linear_probe"
        )
    chosen = linear
    if config.target_modules:
        ends = tuple(config.target_modules)
        chosen = [n for n in linear if any(n == e or n.endswith(f".{e}") for e in ends)]
        unmatched = [e for e in ends if not any(n == e or n.endswith(f".{e}") for n in linear)]
        if unmatched:
            known = sorted({n.rpartition(".")[2] for n in linear})
            raise config_error(
                "adapter.target_modules",
                unmatched,
                f"{backbone.title} has linear layers ending in {', '.join(known)}",
            )
    additions = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.lora_dropout,
        target_modules=chosen,
        fan_in_fan_out=any(isinstance(network.get_submodule(n), Conv1D) for n in chosen),
    )
    freeze(network)
    with seeded_init(seed, "lora"):
        inject_adapter_in_model(additions, network)
    train_new_modules(network)
    return Model(backbone, head)
