"""The common base of networks whose first layers compute fixed coefficients of an image, which no training changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from core.backbones.contexts import seeded_init
from core.backbones.input_layers import check_inputs, side_features, side_kinds, wide_inputs
from core.backbones.types import Features

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.config import PatchesConfig, ScatteringConfig
    from core.data.types import Json, Layout

COEFFICIENTS = "coefficients"
"""The input that holds coefficients, in the image's place."""


def gaussian_pooling(points: int, first: float, step: float, side: int, deviation: float) -> Tensor:
    """Return the matrix (points, side) of Gaussian averages centered at first, first + step, ... of a line."""
    centers = first + step * torch.arange(points, dtype=torch.float64)
    weights = torch.exp(-((torch.arange(side)[None] - centers[:, None]) ** 2) / (2 * deviation**2))
    return (weights / weights.sum(1, keepdim=True)).float()


class FixedFeatureNet(nn.Module):
    """Fixed coefficients of an image; convolutions on them, or none.

    Without convolutions the pooled features are all coefficients; with ``mirror=true`` the sum of those of the image
    and of its mirror image, which is symmetric, so that one half is kept. With convolutions they are the last map's
    mean.
    """

    scale: Tensor

    def __init__(
        self,
        config: PatchesConfig | ScatteringConfig,
        layout: Layout,
        title: str,
        architecture: dict[str, Json] | None,
    ) -> None:
        super().__init__()
        check_inputs(layout, title, ("image",), side_kinds(config.linear_branch_lr_scale))
        self.title = title
        self.register_buffer("scale", torch.tensor(1.0 / 255.0), persistent=False)
        self.mirror = config.mirror
        self.wide_inputs = wide_inputs(layout, config.linear_branch_lr_scale)
        self.architecture = architecture or {}

    def add_trained_layers(
        self, layout: Layout, shape: tuple[int, int, int], conv_channels: list[int], seed: int
    ) -> None:
        """Add what is trained on coefficients of a shape (D, h, w): convolutions, and columns beside them."""
        channels, lines, self.columns = shape
        if self.mirror:
            self.columns = math.ceil(self.columns / 2)
        layers: list[nn.Module] = []
        with seeded_init(seed, "backbone"):
            for width in conv_channels:
                layers += [nn.Conv2d(channels, width, 3, 1, 1), nn.GroupNorm(width // 16, width), nn.ReLU()]
                channels = width
            self.layers = nn.Sequential(*layers)
            for module in self.layers:
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            self.num_features = channels if layers else channels * lines * self.columns
            self.side = side_features(layout, self.num_features)
        self.provides = ("pooled", "map") if layers else ("pooled",)

    def coefficients(self, image_BCHW: Tensor) -> Tensor:
        """Return the coefficients (B, D, h, w) of images in 0 to 1."""
        raise NotImplementedError

    def with_mirror(self, image_BCHW: Tensor) -> Tensor:
        """Return the sum of the coefficients of images and of their mirror images, (B, D, h, w)."""
        return self.coefficients(image_BCHW) + self.coefficients(image_BCHW.flip(-1))

    def fixed_stem(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Put the coefficients (B, D, h, w) in the image's place."""
        image_BCHW = inputs["image"].to(self.scale.dtype) * self.scale
        if self.mirror:
            # The sum is symmetric: one half is enough. Divided so that independent terms would keep their variance.
            found = self.with_mirror(image_BCHW)[..., : self.columns] * 2**-0.5
        else:
            found = self.coefficients(image_BCHW)
        return {**{name: one for name, one in inputs.items() if name != "image"}, COEFFICIENTS: found}

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read image (B, C, H, W) uint8, or the output of ``fixed_stem``, and columns beside it."""
        if COEFFICIENTS not in inputs:
            inputs = self.fixed_stem(inputs)
        map_BDHW = self.layers(inputs[COEFFICIENTS])
        pooled_BD = map_BDHW.mean(dim=(2, 3)) if len(self.layers) else map_BDHW.flatten(1)
        if self.side is not None:
            pooled_BD = self.side(pooled_BD, inputs)
        feature_map = map_BDHW if len(self.layers) else None
        return Features(
            pooled_BD, map=feature_map, wide=self.wide_inputs(inputs) if self.wide_inputs else None
        )
