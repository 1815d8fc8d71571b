"""What networks share whose first layers compute coefficients of an image that no training changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from core.backbones.inputs import require, side_inputs, side_of, wide_of
from core.backbones.contexts import seeded_init
from core.backbones.types import Features

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Json, Layout

COMPUTED = "coefficients"
"""The input that holds coefficients, in the image's place."""


class ComputedSettings(Protocol):
    """What every such option has."""

    mirror: bool
    wide: float


def averaging(points: int, first: float, step: float, side: int, deviation: float) -> Tensor:
    """Give the matrix (points, side) of Gaussian means around places first, first + step, ... of a line."""
    places = first + step * torch.arange(points, dtype=torch.float64)
    weights = torch.exp(-((torch.arange(side)[None] - places[:, None]) ** 2) / (2 * deviation**2))
    return (weights / weights.sum(1, keepdim=True)).float()


class FixedFeatureNet(nn.Module):
    """Coefficients of an image; convolutions on them, or none.

    Without convolutions the pooled features are all coefficients; of ``mirror=true`` those of the image and of its
    mirror image added up, of which one half says all. With convolutions they are the last map's mean.
    """

    scale: Tensor

    def __init__(self, layout: Layout, name: str, settings: ComputedSettings) -> None:
        super().__init__()
        require(layout, name, ("image",), side_inputs(settings.wide))
        self.title = name
        self.register_buffer("scale", torch.tensor(1.0 / 255.0), persistent=False)
        self.mirror = settings.mirror
        self.wide = wide_of(layout, settings.wide)
        self.wide_width = self.wide.width if self.wide else 0
        self.wide_gain = settings.wide
        self.architecture: dict[str, Json] = {}

    def read(self, layout: Layout, shape: tuple[int, int, int], widths: list[int], seed: int) -> None:
        """Make what reads coefficients of a shape (D, h, w): convolutions of these widths, and columns beside them."""
        found, lines, self.columns = shape
        if self.mirror:
            self.columns = math.ceil(self.columns / 2)
        layers: list[nn.Module] = []
        with seeded_init(seed, "backbone"):
            for wide in widths:
                layers += [nn.Conv2d(found, wide, 3, 1, 1), nn.GroupNorm(wide // 16, wide), nn.ReLU()]
                found = wide
            self.layers = nn.Sequential(*layers)
            for module in self.layers:
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            self.width = found if layers else found * lines * self.columns
            self.side = side_of(layout, self.width)
        self.gives = ("pooled", "map") if layers else ("pooled",)

    def coefficients(self, image_BCHW: Tensor) -> Tensor:
        """Give the coefficients (B, D, h, w) of images in 0 to 1."""
        raise NotImplementedError

    def both(self, image_BCHW: Tensor) -> Tensor:
        """Give the sum of the coefficients of images and of their mirror images, (B, D, h, w)."""
        return self.coefficients(image_BCHW) + self.coefficients(image_BCHW.flip(-1))

    def frozen_part(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Put the coefficients (B, D, h, w) in the image's place."""
        image_BCHW = inputs["image"].to(self.scale.dtype) * self.scale
        if self.mirror:
            # The halves of the sum tell the same; divided so that independent noise would keep its size.
            found = self.both(image_BCHW)[..., : self.columns] * 2**-0.5
        else:
            found = self.coefficients(image_BCHW)
        return {**{name: one for name, one in inputs.items() if name != "image"}, COMPUTED: found}

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read image (B, C, H, W) uint8, or what ``fixed_part`` made of it, and columns beside it."""
        if COMPUTED not in inputs:
            inputs = self.frozen_part(inputs)
        map_BDHW = self.layers(inputs[COMPUTED])
        pooled_BD = map_BDHW.mean(dim=(2, 3)) if len(self.layers) else map_BDHW.flatten(1)
        if self.side is not None:
            pooled_BD = self.side(pooled_BD, inputs)
        whole = map_BDHW if len(self.layers) else None
        return Features(pooled_BD, map=whole, wide=self.wide(inputs) if self.wide else None)
