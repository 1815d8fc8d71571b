"""The one interface of every backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from core.data.types import Json, Layout


@dataclass
class Features:
    """What a backbone gives a head: pooled always; tokens or map where the network has them. D = backbone.width."""

    pooled: Tensor
    """(B, D)"""
    tokens: Tensor | None = None
    """(B, T, D)"""
    map: Tensor | None = None
    """(B, D, H, W)"""
    maps: tuple[Tensor, ...] | None = None
    """Maps of several stages, the finest first, (B, C, H, W) each; only once a head asked for them."""
    mask: Tensor | None = None
    """(B, T) bool, true = a real token"""
    wide: Tensor | None = None
    """(B, W) what the head's linear path reads: pieces of numbers, one-hot categories, TF-IDF; W = wide_width."""
    codes: Tensor | None = None
    """(B, T, M) codes of what the linear path of each token reads, 0 = nothing; there are ``code_count`` of them."""
    places: int = 0
    """Tokens that any batch may have: T of a batch is this at most."""


class Backbone(Protocol):
    """An nn.Module that turns encoded inputs into features of a known width."""

    title: str
    """What messages call it: the option, and the network's own name where it has one."""
    architecture: dict[str, Json]
    """What ``rebuild`` of its option needs besides the layout, as JSON; mostly nothing."""
    width: int
    wide_width: int
    """Size of ``Features.wide``; 0 when there is none."""
    wide_gain: float
    """How many times as fast as the rest the linear path learns."""
    gives: tuple[str, ...]
    """Which features it has: pooled always; tokens, map."""

    def __call__(self, inputs: dict[str, Tensor]) -> Features:
        """Read the tensors named in Layout and give features."""


class BackboneConfig(Protocol):
    """A ``backbone=`` option."""

    def build(self, layout: Layout, seed: int) -> Backbone:
        """Make the network for inputs of this layout, weights drawn from the seed, refusing what it can't read."""

    def rebuild(self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None) -> Backbone:
        """Make the network of a saved run, whose weights are put in afterwards; nothing is fetched."""


@runtime_checkable
class PretrainingProvenance(Protocol):
    """A ``backbone=`` option whose first weights say which files they were trained on."""

    def started_from(self) -> str:
        """Say where the first weights come from; empty where they are drawn."""

    def read_before(self, files: Mapping[str, str]) -> list[str]:
        """Name those files (name -> SHA-256) that the first weights were trained on."""
