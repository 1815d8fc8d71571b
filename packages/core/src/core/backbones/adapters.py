"""Which weights are trained: all, or the head's only. Low-rank additions are in ``lora``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.backbones.heads import build_head
from core.backbones.model import Model

if TYPE_CHECKING:
    from torch import nn

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
    freeze(model.backbone)
    return model


def freeze(network: nn.Module) -> None:
    """Keep all weights as they are but the fresh parts'."""
    network.requires_grad_(False)
    train_fresh(network)


def train_fresh(network: nn.Module) -> None:
    """Let the fresh parts train."""
    for name in FRESH:
        part = getattr(network, name, None)
        if part is not None:
            part.requires_grad_(True)
