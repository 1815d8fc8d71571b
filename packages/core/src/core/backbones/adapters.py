"""Which weights are trained: all, or the head's only. LoRA is in ``lora``, since peft is slow to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.backbones.adapter_config import FullConfig, LinearProbeConfig
from core.backbones.heads import build_head
from core.backbones.model import Model

if TYPE_CHECKING:
    from torch import nn

    from core.backbones.types import Backbone

NEW_MODULES = ("side", "pooling")
"""Modules of a backbone that no pretrained weights have; like the head they always train."""


def full_fine_tuning(
    config: FullConfig, backbone: Backbone, num_outputs: int, reads: str, seed: int
) -> Model:
    """Return backbone and head with every weight trainable."""
    head = build_head(backbone, num_outputs, reads, seed, config.head_type, config.dropout)
    model = Model(backbone, head)
    model.requires_grad_(True)
    return model


def linear_probe(
    config: LinearProbeConfig, backbone: Backbone, num_outputs: int, reads: str, seed: int
) -> Model:
    """Return backbone and head with only the head trainable, and the backbone's modules that are new."""
    head = build_head(backbone, num_outputs, reads, seed, config.head_type, config.dropout)
    model = Model(backbone, head)
    freeze(model.backbone)
    return model


def freeze(network: nn.Module) -> None:
    """Freeze all weights but those of new modules."""
    network.requires_grad_(False)
    train_new_modules(network)


def train_new_modules(network: nn.Module) -> None:
    """Mark the weights of new modules trainable."""
    for name in NEW_MODULES:
        module = getattr(network, name, None)
        if module is not None:
            module.requires_grad_(True)
