"""1D residual CNN with GroupNorm, for sampled signals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from core.backbones.config import CNN1dConfig
from core.backbones.contexts import seeded_init
from core.backbones.input_layers import check_inputs, side_features, side_kinds, wide_inputs
from core.backbones.layers import Pooling
from core.backbones.types import Features

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Json, Layout


class ResidualBlock1d(nn.Module):
    """Two 1D convolutions with a shortcut, each with GroupNorm; the second norm starts at zero."""

    def __init__(
        self,
        width_in: int,
        width: int,
        stride: int,
        kernel_size: int,
        channels_per_group: int,
        dropout: float,
    ) -> None:
        super().__init__()
        padding = kernel_size // 2
        self.conv1 = nn.Conv1d(width_in, width, kernel_size, stride, padding, bias=False)
        self.norm1 = nn.GroupNorm(width // channels_per_group, width)
        self.conv2 = nn.Conv1d(width, width, kernel_size, 1, padding, bias=False)
        self.norm2 = nn.GroupNorm(width // channels_per_group, width)
        self.activation = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or width_in != width:
            shrink = nn.AvgPool1d(stride, stride, ceil_mode=True, count_include_pad=False)
            self.shortcut = nn.Sequential(shrink, nn.Conv1d(width_in, width, 1, bias=False))
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x_BCT: Tensor) -> Tensor:
        """(B, C, T) -> (B, width, ceil(T / stride))."""
        y_BCT = self.dropout(self.activation(self.norm1(self.conv1(x_BCT))))
        y_BCT = self.norm2(self.conv2(y_BCT))
        return self.activation(y_BCT + self.shortcut(x_BCT))  # type: ignore[no-any-return]


class CNN1d(nn.Module):
    """Stem, stages of residual blocks over time, pooling over time; numbers and categories are fused at the end."""

    title = "cnn1d"
    provides = ("pooled",)

    def __init__(
        self, config: CNN1dConfig, layout: Layout, seed: int, architecture: dict[str, Json] | None = None
    ) -> None:
        super().__init__()
        check_inputs(layout, "cnn1d", ("signal",), side_kinds(config.linear_branch_lr_scale))
        assert layout.signal is not None
        channels, samples = layout.signal
        if samples < 2 ** len(config.blocks):
            raise ValueError(
                f"backbone=cnn1d halves the signal to nothing: {samples} samples, halved "
                f"{len(config.blocks)} times; use fewer backbone.blocks"
            )
        widths = [config.hidden_size * 2 ** (stage // 2) for stage in range(len(config.blocks))]
        kernel_size, per_group = config.kernel_size, config.channels_per_group
        with seeded_init(seed, "backbone"):
            self.stem = nn.Sequential(
                nn.Conv1d(channels, widths[0], kernel_size, 1, kernel_size // 2, bias=False),
                nn.GroupNorm(widths[0] // per_group, widths[0]),
                nn.ReLU(),
            )
            stages: list[nn.Module] = []
            width_in = widths[0]
            for width, count in zip(widths, config.blocks, strict=True):
                for i in range(count):
                    stride = 2 if i == 0 else 1
                    stages.append(
                        ResidualBlock1d(width_in, width, stride, kernel_size, per_group, config.dropout)
                    )
                    width_in = width
            self.stages = nn.Sequential(*stages)
            for module in self.modules():
                if isinstance(module, nn.Conv1d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            self.pooling = Pooling(config.pooling, widths[-1])
            self.side = side_features(layout, self.pooling.width)
        self.wide_inputs = wide_inputs(layout, config.linear_branch_lr_scale)
        self.num_features = self.pooling.width
        self.architecture = architecture or {}

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read signal (B, C, T) and columns beside it."""
        tokens_BTD = self.stages(self.stem(inputs["signal"])).transpose(1, 2)
        pooled_BD = self.pooling(tokens_BTD, None)
        if self.side is not None:
            pooled_BD = self.side(pooled_BD, inputs)
        return Features(pooled_BD, wide=self.wide_inputs(inputs) if self.wide_inputs else None)
