"""Small ResNet with GroupNorm, for images of 32 to 96 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from core.backbones.config import ResNetGNConfig
from core.backbones.contexts import seeded_init
from core.backbones.input_layers import check_inputs, side_features, side_kinds, wide_inputs
from core.backbones.types import Features

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Json, Layout


class ResidualBlock2d(nn.Module):
    """Two 3 x 3 convolutions with a shortcut, each with GroupNorm; the second norm starts at zero.

    Sources: He et al. 2016 (arXiv:1512.03385); Wu and He 2018 (arXiv:1803.08494); the shortcut averages before it
    strides (He et al. 2019, arXiv:1812.01187).
    """

    def __init__(self, width_in: int, width: int, stride: int, channels_per_group: int) -> None:
        super().__init__()
        num_groups = width // channels_per_group
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(num_groups, width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(num_groups, width)
        self.activation = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or width_in != width:
            shrink = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
            project = nn.Conv2d(width_in, width, 1, bias=False)
            norm = nn.GroupNorm(num_groups, width)
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
    """Stem, stages of residual blocks, global average pooling. Reads uint8 pixels and scales them to -1 to 1 itself."""

    step: Tensor
    title = "resnet_gn"
    provides = ("pooled", "map")

    def __init__(
        self,
        config: ResNetGNConfig,
        layout: Layout,
        seed: int,
        architecture: dict[str, Json] | None = None,
    ) -> None:
        super().__init__()
        check_inputs(layout, "resnet_gn", ("image",), side_kinds(config.linear_branch_lr_scale))
        assert layout.image is not None
        channels, height, width = layout.image
        auto = 2 if min(height, width) >= 48 else 1
        stride = auto if config.stem_stride == "auto" else int(config.stem_stride)
        shrinks = stride * 2 ** (len(config.blocks) - 1)
        if min(height, width) < shrinks:
            raise ValueError(
                f"backbone=resnet_gn halves the image to nothing: {height} x {width} pixels, shrunk {shrinks} times; "
                "use fewer backbone.blocks, a smaller backbone.stem_stride or a larger encoder.image.size"
            )
        widths = [config.hidden_size * 2**stage for stage in range(len(config.blocks))]
        per_group = config.channels_per_group
        with seeded_init(seed, "backbone"):
            self.stem = nn.Sequential(
                nn.Conv2d(
                    channels, widths[0], 7 if stride == 4 else 3, stride, 3 if stride == 4 else 1, bias=False
                ),
                nn.GroupNorm(widths[0] // per_group, widths[0]),
                nn.ReLU(),
            )
            stages: list[nn.Module] = []
            self.ends: list[int] = []
            width_in = widths[0]
            for stage, count in enumerate(config.blocks):
                for i in range(count):
                    first = i == 0 and stage > 0
                    stages.append(ResidualBlock2d(width_in, widths[stage], 2 if first else 1, per_group))
                    width_in = widths[stage]
                self.ends.append(len(stages))
            self.stages = nn.Sequential(*stages)
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            self.side = side_features(layout, widths[-1])
        self.register_buffer("step", torch.tensor(2.0 / 255.0), persistent=False)
        self.dropout = nn.Dropout(config.dropout)
        self.wide_inputs = wide_inputs(layout, config.linear_branch_lr_scale)
        self.num_features = widths[-1]
        self.architecture = architecture or {}
        self.pyramid = tuple(widths)
        self.returns_maps = False

    def open_pyramid(self) -> None:
        """Return each stage's map from now on."""
        self.returns_maps = True

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
            maps=tuple(maps) if self.returns_maps else None,
            wide=self.wide_inputs(inputs) if self.wide_inputs else None,
        )
