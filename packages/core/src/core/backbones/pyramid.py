"""Feature pyramid head: a light decoder over the feature maps of a CNN, for outputs at the finest map's resolution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.types import Features

WIDTH = 64
"""Channels of the decoder."""
_GROUPS = 8


class PyramidHead(nn.Module):
    """Outputs (B, num_outputs, H, W) for each position of the finest map.

    Each map is projected to 64 channels; from the coarsest down, the coarser map is upsampled and added (FPN, Lin et
    al. 2017, arXiv:1612.03144). The pooled features give every position the context of the whole image (Liu et al.
    2015, arXiv:1506.04579). GroupNorm: examples do not mix.
    """

    reads = ("pooled", "maps")

    def __init__(
        self, channels: tuple[int, ...], num_features: int, num_outputs: int, dropout: float
    ) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, WIDTH, 1, bias=False) for c in channels)
        self.whole = nn.Linear(num_features, WIDTH)
        self.mix = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(_GROUPS, WIDTH), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)
            )
            for _ in channels
        )
        self.norm = nn.GroupNorm(_GROUPS, WIDTH)
        self.activation = nn.ReLU()
        self.dropout = nn.Dropout2d(dropout)
        self.answer = nn.Conv2d(WIDTH, num_outputs, 1)
        nn.init.normal_(self.answer.weight, std=0.5 / math.sqrt(WIDTH))
        nn.init.zeros_(self.answer.bias)  # type: ignore[arg-type]

    def forward(self, features: Features) -> Tensor:
        """Return the outputs for each position."""
        maps = features.maps
        assert maps is not None
        assert len(maps) == len(self.lateral)
        x = self.whole(features.pooled)[:, :, None, None]
        for level in reversed(range(len(maps))):
            lateral = self.lateral[level](maps[level])
            if level < len(maps) - 1:
                x = functional.interpolate(x, size=lateral.shape[-2:], mode="bilinear", align_corners=False)
            x = self.mix[level](x + lateral)
        return self.answer(self.dropout(self.activation(self.norm(x))))  # type: ignore[no-any-return]
