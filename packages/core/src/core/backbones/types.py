"""The interface of every backbone: encoded inputs to features of a known size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Json


@dataclass
class Features:
    """A backbone's output: pooled always; tokens or a map where the network has them. D = ``num_features``."""

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
    """(B, W) the inputs of the head's wide branch: encoded numbers, one-hot categories, TF-IDF."""
    codes: Tensor | None = None
    """(B, T, M) codes of each token's sparse features, 0 = none, which the head's word-level linear branch reads."""
    max_tokens: int = 0
    """The largest T of any batch."""


class WideInputs(Protocol):
    """A module that turns encoded inputs into the vector (B, width) that a head's wide branch reads."""

    width: int
    lr_scale: float
    """Factor on the wide branch's outputs, hence, under Adam, on its learning rate."""

    def __call__(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return (B, width)."""


class Backbone(Protocol):
    """An nn.Module that turns encoded inputs into features of a known size.

    Its class is what a ``backbone=`` option builds: ``Class(config, layout, seed, architecture=None)``. The weights are
    drawn from the seed, or loaded as the option asks. With ``architecture`` (that of a saved run) nothing is
    fetched, loaded or measured, since the run's weights are loaded afterwards. Raises ValueError for a layout that it
    can't read.
    """

    title: str
    """The name in messages: the option, and the network's own name where it has one."""
    architecture: dict[str, Json]
    """What is needed besides option and layout to build the same network again, as JSON; mostly empty."""
    num_features: int
    provides: tuple[str, ...]
    """Which features it has: pooled always; tokens, map, joint."""

    @property
    def wide_inputs(self) -> WideInputs | None:
        """The inputs of the head's wide branch; None where it is switched off or there is nothing to read."""

    def __call__(self, inputs: dict[str, Tensor]) -> Features:
        """Return the features of a batch of the tensors that Layout describes."""


@runtime_checkable
class DataDependentInit(Protocol):
    """A backbone whose initial weights can be computed from training inputs (not under differential privacy)."""

    def init_from(self, inputs: dict[str, Tensor]) -> bool:
        """Initialize from encoded training rows; return whether the rows were used."""


@runtime_checkable
class HasFixedStem(Protocol):
    """A backbone whose first layers have no weights; its ``forward`` also accepts their output instead of inputs."""

    def fixed_stem(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what ``forward`` needs of encoded rows behind the fixed layers; float tensors (B, ...)."""


@runtime_checkable
class HasWordBranch(Protocol):
    """A backbone that passes the codes of each word's features on to a sparse linear branch of the head."""

    num_codes: int
    code_lr_scale: float
    """Factor on the branch's outputs, as for ``WideInputs``; 0: no such branch."""


@runtime_checkable
class FeaturePyramid(Protocol):
    """A backbone that can return the maps of several stages besides the last."""

    pyramid: tuple[int, ...]
    """Channels of each map, the finest first; empty where the network has only one."""

    def open_pyramid(self) -> None:
        """Return ``Features.maps`` from now on."""
