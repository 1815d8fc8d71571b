"""Residual CNN over time with GroupNorm, for sampled signals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from core.backbones.inputs import require, side_inputs, side_of, wide_of
from core.backbones.layers import Pooling
from core.backbones.contexts import seeded_init
from core.backbones.types import Features

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.config import CNN1dConfig
    from core.data.types import Json, Layout


class ResidualBlock(nn.Module):
    """Two convolutions over time beside a shortcut, each with GroupNorm; the second norm starts at zero."""

    def __init__(
        self, width_in: int, width: int, stride: int, kernel: int, groups: int, dropout: float
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(width_in, width, kernel, stride, kernel // 2, bias=False)
        self.norm1 = nn.GroupNorm(width // groups, width)
        self.conv2 = nn.Conv1d(width, width, kernel, 1, kernel // 2, bias=False)
        self.norm2 = nn.GroupNorm(width // groups, width)
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
    """Stem, stages of residual blocks over time, pooling over time; numbers and categories are mixed in at the end."""

    title = "signal"
    gives = ("pooled",)

    def __init__(self, layout: Layout, settings: CNN1dConfig, seed: int) -> None:
        super().__init__()
        require(layout, "signal", ("signal",), side_inputs(settings.wide))
        assert layout.signal is not None
        channels, samples = layout.signal
        if samples < 2 ** len(settings.blocks):
            raise ValueError(
                f"backbone=signal halves the signal to nothing: {samples} samples, halved "
                f"{len(settings.blocks)} times; "
                "use fewer backbone.blocks"
            )
        widths = [settings.width * 2 ** (stage // 2) for stage in range(len(settings.blocks))]
        kernel = settings.kernel
        with seeded_init(seed, "backbone"):
            self.stem = nn.Sequential(
                nn.Conv1d(channels, widths[0], kernel, 1, kernel // 2, bias=False),
                nn.GroupNorm(widths[0] // settings.groups, widths[0]),
                nn.ReLU(),
            )
            stages: list[nn.Module] = []
            width_in = widths[0]
            for stage, count in enumerate(settings.blocks):
                for i in range(count):
                    stride = 2 if i == 0 else 1
                    stages.append(
                        ResidualBlock(
                            width_in, widths[stage], stride, kernel, settings.groups, settings.dropout
                        )
                    )
                    width_in = widths[stage]
            self.stages = nn.Sequential(*stages)
            for module in self.modules():
                if isinstance(module, nn.Conv1d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            self.pooling = Pooling(settings.pooling, widths[-1])
            self.side = side_of(layout, self.pooling.width)
        self.wide = wide_of(layout, settings.wide)
        self.width = self.pooling.width
        self.wide_width = self.wide.width if self.wide else 0
        self.wide_gain = settings.wide
        self.architecture: dict[str, Json] = {}

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read signal (B, C, T) and columns beside it."""
        tokens_BTD = self.stages(self.stem(inputs["signal"])).transpose(1, 2)
        pooled_BD = self.pooling(tokens_BTD, None)
        if self.side is not None:
            pooled_BD = self.side(pooled_BD, inputs)
        return Features(pooled_BD, wide=self.wide(inputs) if self.wide else None)
