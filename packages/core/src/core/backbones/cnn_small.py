"""The CNN whose pretrained weights are part of core: few operations at full resolution, residual blocks, GroupNorm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from core.backbones.config import CnnSmallConfig
from core.backbones.contexts import seeded_init
from core.backbones.input_layers import check_inputs, side_features, side_kinds, wide_inputs
from core.backbones.pretrained import load_pretrained
from core.backbones.types import Features
from core.config import config_error

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Json, Layout


@dataclass(frozen=True)
class TrunkConfig:
    """Sizes of a trunk."""

    stem_channels: int = 32
    """Channels at full resolution."""
    channels: tuple[int, ...] = (64, 192, 320)
    """Channels of each stage; each halves the image."""
    blocks: tuple[int, ...] = (1, 1, 1)
    """Residual blocks of each stage."""
    norm: str = "group"
    """group (examples stay apart), or batch (for training from scratch without privacy)."""
    max_pool: bool = False
    """Halve by max pooling after the convolution (slower, better) instead of by its stride."""


TRUNK = TrunkConfig()
"""The sizes of the pretrained weights."""
CHANNELS_PER_GROUP = 16


def _norm(kind: str, width: int) -> nn.Module:
    return nn.GroupNorm(width // CHANNELS_PER_GROUP, width) if kind == "group" else nn.BatchNorm2d(width)


class Downsample(nn.Module):
    """A 3 x 3 convolution to a new width that halves the image, with norm: (B, C, H, W) -> (B, W, H / 2, W / 2)."""

    def __init__(self, width_in: int, width: int, config: TrunkConfig) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width, 3, 1 if config.max_pool else 2, 1, bias=False)
        self.pool: nn.Module = nn.MaxPool2d(2, ceil_mode=True) if config.max_pool else nn.Identity()
        self.norm = _norm(config.norm, width)
        self.activation = nn.ReLU()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the map of half the size."""
        return self.activation(self.norm(self.pool(self.conv(x_BCHW))))  # type: ignore[no-any-return]


class Residual(nn.Module):
    """Two 3 x 3 convolutions with norms and an identity shortcut; the second norm starts at zero.

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
        """Return (B, C, H, W) of the same shape."""
        y_BCHW = self.activation(self.norm1(self.conv1(x_BCHW)))
        return self.activation(x_BCHW + self.norm2(self.conv2(y_BCHW)))  # type: ignore[no-any-return]


class Trunk(nn.Module):
    """Pixels to one map a stage, the finest first; what pretraining trains and the package ships.

    Reads (B, C, H, W) on the scale 0 to 255 and brings it to about mean 0 and deviation 1 itself.
    """

    scale: Tensor

    def __init__(self, config: TrunkConfig = TRUNK, channels: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, config.stem_channels, 3, stride, 1, bias=False),
            _norm(config.norm, config.stem_channels),
            nn.ReLU(),
        )
        stages = []
        width_in = config.stem_channels
        for width, blocks in zip(config.channels, config.blocks, strict=True):
            stages.append(
                nn.Sequential(
                    Downsample(width_in, width, config),
                    *(Residual(width, config.norm) for _ in range(blocks)),
                )
            )
            width_in = width
        self.stages = nn.ModuleList(stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.register_buffer("scale", torch.tensor(1.0 / 64.0), persistent=False)

    def forward(self, image_BCHW: Tensor) -> tuple[Tensor, ...]:
        """Return each stage's map (B, width, H, W)."""
        x_BCHW = self.stem(image_BCHW.to(self.scale.dtype) * self.scale - 1.9)
        maps = []
        for stage in self.stages:
            x_BCHW = stage(x_BCHW)
            maps.append(x_BCHW)
        return tuple(maps)


class CnnSmall(nn.Module):
    """The trunk, global average pooling, and columns beside it. A grayscale image is read as RGB of equal channels.

    >>> from core.data.types import Layout
    >>> backbone = CnnSmall(CnnSmallConfig(weights="random"), Layout(image=(3, 32, 32)), seed=0)
    >>> features = backbone({"image": torch.zeros(2, 3, 32, 32, dtype=torch.uint8)})
    >>> features.pooled.shape, features.map.shape
    (torch.Size([2, 320]), torch.Size([2, 320, 4, 4]))
    """

    title = "cnn_small"
    provides = ("pooled", "map")

    def __init__(
        self,
        config: CnnSmallConfig,
        layout: Layout,
        seed: int,
        architecture: dict[str, Json] | None = None,
    ) -> None:
        super().__init__()
        check_inputs(layout, "cnn_small", ("image",), side_kinds(config.linear_branch_lr_scale))
        assert layout.image is not None
        channels, height, width = layout.image
        if channels not in (1, 3):
            raise config_error(
                "encoder.image.channels", channels, "backbone=cnn_small reads 1 (grayscale) or 3 (RGB)"
            )
        side = min(height, width)
        auto = 1 if side < 48 else 2 if side < 128 else 4
        stride = auto if config.stem_stride == "auto" else int(config.stem_stride)
        shrinks = stride * 2 ** len(TRUNK.channels)
        if side < shrinks:
            raise ValueError(
                f"backbone=cnn_small halves the image to nothing: {height} x {width} pixels, shrunk {shrinks} times; "
                "use a smaller backbone.stem_stride or a larger encoder.image.size"
            )
        with seeded_init(seed, "backbone"):
            self.trunk = Trunk(stride=stride)
            self.num_features = TRUNK.channels[-1]
            self.side = side_features(layout, self.num_features)
        if architecture is None:
            load_pretrained(self.trunk, "cnn_small", config.weights)
        self.dropout = nn.Dropout(config.dropout)
        self.wide_inputs = wide_inputs(layout, config.linear_branch_lr_scale)
        self.architecture = architecture or {}
        self.pyramid = TRUNK.channels
        self.returns_maps = False

    def open_pyramid(self) -> None:
        """Return each stage's map from now on."""
        self.returns_maps = True

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
            maps=maps if self.returns_maps else None,
            wide=self.wide_inputs(inputs) if self.wide_inputs else None,
        )
