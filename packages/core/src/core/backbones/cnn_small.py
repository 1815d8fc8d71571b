"""The CNN whose weights core ships: few operations at full resolution, residual blocks, GroupNorm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from core.backbones.inputs import require, side_inputs, side_of, wide_of
from core.backbones.contexts import seeded_init
from core.backbones.types import Features
from core.config import config_error

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.small_config import CnnSmallConfig
    from core.data.types import Json, Layout


@dataclass(frozen=True)
class Shape:
    """Sizes of a trunk."""

    stem: int = 32
    """Channels at full resolution."""
    widths: tuple[int, ...] = (64, 192, 320)
    """Channels of each stage; each halves the image."""
    blocks: tuple[int, ...] = (1, 1, 1)
    """Residual blocks of each stage."""
    norm: str = "group"
    """group (examples stay apart), or batch (for training from scratch without privacy)."""
    pool: bool = False
    """Halve by a maximum after the convolution (slower, better) instead of by its stride."""


SHAPE = Shape()
"""The shape of the shipped weights."""
GROUP = 16
"""Channels in one group of GroupNorm."""


def _norm(kind: str, width: int) -> nn.Module:
    return nn.GroupNorm(width // GROUP, width) if kind == "group" else nn.BatchNorm2d(width)


class Halving(nn.Module):
    """A 3 x 3 convolution to a new width that halves the image, with norm: (B, C, H, W) -> (B, W, H / 2, W / 2)."""

    def __init__(self, width_in: int, width: int, shape: Shape) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width, 3, 1 if shape.pool else 2, 1, bias=False)
        self.pool: nn.Module = nn.MaxPool2d(2, ceil_mode=True) if shape.pool else nn.Identity()
        self.norm = _norm(shape.norm, width)
        self.activation = nn.ReLU()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Halve."""
        return self.activation(self.norm(self.pool(self.conv(x_BCHW))))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """Two 3 x 3 convolutions with norms beside the identity; the second norm starts at zero.

    Sources: He et al. 2016 (arXiv:1512.03385); Wu and He 2018 (arXiv:1803.08494).
    """

    def __init__(self, width: int, norm: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm1 = _norm(norm, width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = _norm(norm, width)
        self.activation = nn.ReLU()
        weight = self.norm2.weight
        assert isinstance(weight, nn.Parameter)
        nn.init.zeros_(weight)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Give (B, C, H, W) of the same shape."""
        y_BCHW = self.activation(self.norm1(self.conv1(x_BCHW)))
        return self.activation(x_BCHW + self.norm2(self.conv2(y_BCHW)))  # type: ignore[no-any-return]


class Trunk(nn.Module):
    """Pixels to one map a stage, the finest first; what pretraining trains and the package ships.

    Reads (B, C, H, W) on the scale 0 to 255 and brings it to about mean 0 and deviation 1 itself.
    """

    scale: Tensor

    def __init__(self, shape: Shape = SHAPE, channels: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.shape = shape
        self.stem = nn.Sequential(
            nn.Conv2d(channels, shape.stem, 3, stride, 1, bias=False),
            _norm(shape.norm, shape.stem),
            nn.ReLU(),
        )
        stages = []
        width_in = shape.stem
        for width, blocks in zip(shape.widths, shape.blocks, strict=True):
            stages.append(
                nn.Sequential(
                    Halving(width_in, width, shape), *(Residual(width, shape.norm) for _ in range(blocks))
                )
            )
            width_in = width
        self.stages = nn.ModuleList(stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.register_buffer("scale", torch.tensor(1.0 / 64.0), persistent=False)

    def forward(self, image_BCHW: Tensor) -> tuple[Tensor, ...]:
        """Give each stage's map (B, width, H, W)."""
        x_BCHW = self.stem(image_BCHW.to(self.scale.dtype) * self.scale - 1.9)
        maps = []
        for stage in self.stages:
            x_BCHW = stage(x_BCHW)
            maps.append(x_BCHW)
        return tuple(maps)


class CnnSmall(nn.Module):
    """The trunk, mean over places, and columns beside it. A grey image is read as a colour one without colour."""

    title = "cnn_small"
    gives = ("pooled", "map")

    def __init__(self, layout: Layout, settings: CnnSmallConfig, seed: int) -> None:
        super().__init__()
        require(layout, "cnn_small", ("image",), side_inputs(settings.wide))
        assert layout.image is not None
        channels, height, width = layout.image
        if channels not in (1, 3):
            raise config_error(
                "encoder.image_channels", channels, "backbone=cnn_small reads 1 (grey) or 3 (colour)"
            )
        side = min(height, width)
        auto = 1 if side < 48 else 2 if side < 128 else 4
        stride = auto if settings.stem == "auto" else int(settings.stem)
        shrinks = stride * 2 ** len(SHAPE.widths)
        if side < shrinks:
            raise ValueError(
                f"backbone=cnn_small halves the image to nothing: {height} x {width} pixels, shrunk {shrinks} times; "
                "use a smaller backbone.stem or a larger encoder.image_size"
            )
        with seeded_init(seed, "backbone"):
            self.trunk = Trunk(stride=stride)
            self.width = SHAPE.widths[-1]
            self.side = side_of(layout, self.width)
        self.dropout = nn.Dropout(settings.dropout)
        self.wide = wide_of(layout, settings.wide)
        self.wide_width = self.wide.width if self.wide else 0
        self.wide_gain = settings.wide
        self.architecture: dict[str, Json] = {}
        self.pyramid = SHAPE.widths
        self.gives_maps = False

    def open_pyramid(self) -> None:
        """Give each stage's map from now on."""
        self.gives_maps = True

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read image (B, C, H, W) uint8, or float already on the scale 0 to 255, and columns beside it."""
        image_BCHW = inputs["image"]
        maps = self.trunk(image_BCHW.expand(-1, 3, -1, -1) if image_BCHW.shape[1] == 1 else image_BCHW)
        pooled_BD = self.dropout(maps[-1].mean(dim=(2, 3)))
        if self.side is not None:
            pooled_BD = self.side(pooled_BD, inputs)
        return Features(
            pooled_BD,
            map=maps[-1],
            maps=maps if self.gives_maps else None,
            wide=self.wide(inputs) if self.wide else None,
        )
