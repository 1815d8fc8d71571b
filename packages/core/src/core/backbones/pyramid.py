"""A light decoder over the feature maps of a CNN: an answer for each place of its finest map."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.types import Features

WIDTH = 64
"""Channels of the decoder."""
_GROUPS = 8


@runtime_checkable
class Pyramidal(Protocol):
    """A backbone that can give the maps of several stages besides the last."""

    pyramid: tuple[int, ...]
    """Channels of each map, the finest first; empty where the network has only one."""

    def open_pyramid(self) -> None:
        """Give ``Features.maps`` from now on."""


class PyramidHead(nn.Module):
    """Outputs (B, width, H, W) for each place of the finest map.

    Each map is brought to 64 channels; from the coarsest down, what is above is enlarged and added (Lin et al. 2017,
    arXiv:1612.03144). The pooled features tell every place of the whole picture (Liu et al. 2015, arXiv:1506.04579).
    GroupNorm: examples do not mix.
    """

    reads = ("pooled", "maps")

    def __init__(self, pyramid: tuple[int, ...], pooled: int, width: int, dropout: float) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, WIDTH, 1, bias=False) for c in pyramid)
        self.whole = nn.Linear(pooled, WIDTH)
        self.mix = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(_GROUPS, WIDTH), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)
            )
            for _ in pyramid
        )
        self.norm = nn.GroupNorm(_GROUPS, WIDTH)
        self.activation = nn.ReLU()
        self.dropout = nn.Dropout2d(dropout)
        self.answer = nn.Conv2d(WIDTH, width, 1)
        nn.init.normal_(self.answer.weight, std=0.5 / math.sqrt(WIDTH))
        nn.init.zeros_(self.answer.bias)  # type: ignore[arg-type]

    def forward(self, features: Features) -> Tensor:
        """Answer for each place."""
        maps = features.maps
        assert maps is not None
        assert len(maps) == len(self.lateral)
        x = self.whole(features.pooled)[:, :, None, None]
        for level in reversed(range(len(maps))):
            side = self.lateral[level](maps[level])
            if level < len(maps) - 1:
                x = functional.interpolate(x, size=side.shape[-2:], mode="bilinear", align_corners=False)
            x = self.mix[level](x + side)
        return self.answer(self.dropout(self.activation(self.norm(x))))  # type: ignore[no-any-return]
