"""The one interface of every backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Layout


@dataclass
class Features:
    """What a backbone gives a head: pooled always; tokens or map where the network has them. D = backbone.width."""

    pooled: Tensor
    """(B, D)"""
    tokens: Tensor | None = None
    """(B, T, D)"""
    map: Tensor | None = None
    """(B, D, H, W)"""
    mask: Tensor | None = None
    """(B, T), 1 = a real token"""


class Backbone(Protocol):
    """An nn.Module that turns encoded inputs into features of a known width."""

    width: int

    def __call__(self, inputs: dict[str, Tensor]) -> Features:
        """Read the tensors named in Layout and give features."""


class BackboneConfig(Protocol):
    """A ``backbone=`` option."""

    def build(self, layout: Layout, seed: int) -> Backbone:
        """Make the network for inputs of this layout, weights drawn from the seed, refusing what it can't read."""
