"""Small residual CNN with GroupNorm for images of 32 to 96 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from core.backbones.inputs import require, side_inputs, side_of, wide_of
from core.backbones.contexts import seeded_init
from core.backbones.types import Features

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.config import ResNetGNConfig
    from core.data.types import Json, Layout


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, each with GroupNorm; the second norm starts at zero.

    Sources: He et al. 2016 (arXiv:1512.03385); Wu and He 2018 (arXiv:1803.08494); the shortcut averages before it
    strides (He et al. 2019, arXiv:1812.01187).
    """

    def __init__(self, width_in: int, width: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(width // groups, width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(width // groups, width)
        self.activation = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or width_in != width:
            shrink = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
            project = nn.Conv2d(width_in, width, 1, bias=False)
            norm = nn.GroupNorm(width // groups, width)
            self.shortcut = (
                nn.Sequential(shrink, project, norm) if stride > 1 else nn.Sequential(project, norm)
            )
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, width, ceil(H / stride), ceil(W / stride))."""
        y_BCHW = self.activation(self.norm1(self.conv1(x_BCHW)))
        y_BCHW = self.norm2(self.conv2(y_BCHW))
        return self.activation(y_BCHW + self.shortcut(x_BCHW))  # type: ignore[no-any-return]


class ResNetGN(nn.Module):
    """Stem, stages of residual blocks, mean over places. Reads uint8 pixels and scales them to -1 to 1 itself."""

    step: Tensor
    title = "cnn"
    gives = ("pooled", "map")

    def __init__(self, layout: Layout, settings: ResNetGNConfig, seed: int) -> None:
        super().__init__()
        require(layout, "cnn", ("image",), side_inputs(settings.wide))
        assert layout.image is not None
        channels, height, width = layout.image
        stride = int(settings.stem) if settings.stem != "auto" else (2 if min(height, width) >= 48 else 1)
        shrinks = stride * 2 ** (len(settings.blocks) - 1)
        if min(height, width) < shrinks:
            raise ValueError(
                f"backbone=cnn halves the image to nothing: {height} x {width} pixels, shrunk {shrinks} times; "
                "use fewer backbone.blocks, a smaller backbone.stem or a larger encoder.image_size"
            )
        widths = [settings.width * 2**stage for stage in range(len(settings.blocks))]
        with seeded_init(seed, "backbone"):
            self.stem = nn.Sequential(
                nn.Conv2d(
                    channels, widths[0], 7 if stride == 4 else 3, stride, 3 if stride == 4 else 1, bias=False
                ),
                nn.GroupNorm(widths[0] // settings.groups, widths[0]),
                nn.ReLU(),
            )
            stages: list[nn.Module] = []
            self.ends: list[int] = []
            width_in = widths[0]
            for stage, count in enumerate(settings.blocks):
                for i in range(count):
                    first = i == 0 and stage > 0
                    stages.append(ResidualBlock(width_in, widths[stage], 2 if first else 1, settings.groups))
                    width_in = widths[stage]
                self.ends.append(len(stages))
            self.stages = nn.Sequential(*stages)
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            self.side = side_of(layout, widths[-1])
        self.register_buffer("step", torch.tensor(2.0 / 255.0), persistent=False)
        self.dropout = nn.Dropout(settings.dropout)
        self.wide = wide_of(layout, settings.wide)
        self.width = widths[-1]
        self.wide_width = self.wide.width if self.wide else 0
        self.wide_gain = settings.wide
        self.architecture: dict[str, Json] = {}
        self.pyramid = tuple(widths)
        self.gives_maps = False

    def open_pyramid(self) -> None:
        """Give each stage's map from now on."""
        self.gives_maps = True

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read image (B, C, H, W) uint8, or float already on the scale 0 to 255, and columns beside it."""
        map_BDHW = self.stem(inputs["image"].to(self.step.dtype) * self.step - 1.0)
        maps = []
        for number, block in enumerate(self.stages, 1):
            map_BDHW = block(map_BDHW)
            if number in self.ends:
                maps.append(map_BDHW)
        pooled_BD = self.dropout(map_BDHW.mean(dim=(2, 3)))
        if self.side is not None:
            pooled_BD = self.side(pooled_BD, inputs)
        return Features(
            pooled_BD,
            map=map_BDHW,
            maps=tuple(maps) if self.gives_maps else None,
            wide=self.wide(inputs) if self.wide else None,
        )
