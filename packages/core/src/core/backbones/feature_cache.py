"""What a network's frozen layers give for a row, so that it is computed once instead of in each step."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch

from core.backbones.types import Features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from core.backbones.model import Model

FEATURE = "feature."
"""Begins the name of an input that is a feature already; the rest is the name in ``Features``."""
WORDS = ("tokens", "mask", "codes")
"""Features (B, T, ...) of words, T the most of a batch; what fills them up is no word and changes no answer."""


@runtime_checkable
class HasFixedStem(Protocol):
    """A backbone whose first layers have no weights; its ``forward`` takes what they give in place of its inputs."""

    def frozen_part(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give what ``forward`` needs of encoded rows once its fixed layers are behind them; float tensors (B, ...)."""


def frozen_part(model: Model) -> Callable[[dict[str, Tensor]], dict[str, Tensor]] | None:
    """Give the function from encoded inputs to what changing layers read, or None where the first layer changes.

    A frozen backbone is one whole fixed part, where its head names the features that it reads.
    """
    backbone = model.backbone
    if not any(weight.requires_grad for weight in backbone.parameters()):
        reads: tuple[str, ...] = getattr(model.head, "reads", ())
        return (lambda inputs: features_as_inputs(backbone(inputs), reads)) if reads else None
    return backbone.frozen_part if isinstance(backbone, HasFixedStem) else None


def features_as_inputs(features: Features, reads: tuple[str, ...]) -> dict[str, Tensor]:
    """Give some features under names that ``features_in`` knows again; those of words as long in every batch."""
    found: dict[str, Tensor] = {}
    for name in reads:
        value = getattr(features, name)
        if isinstance(value, tuple):
            found |= {f"{FEATURE}{name}.{k}": one for k, one in enumerate(value)}
        elif value is not None:
            found[FEATURE + name] = _lengthened(value, features.places) if name in WORDS else value
    return found


def _lengthened(value_BT: Tensor, places: int) -> Tensor:
    filling = value_BT.new_zeros((len(value_BT), places - value_BT.shape[1], *value_BT.shape[2:]))
    return torch.cat([value_BT, filling], dim=1)


def features_from_inputs(inputs: dict[str, Tensor]) -> Features | None:
    """Read features that were computed before, or give None where these are a network's own inputs."""
    given = {name.removeprefix(FEATURE): one for name, one in inputs.items() if name.startswith(FEATURE)}
    if not given:
        return None
    maps = tuple(given[f"maps.{k}"] for k in range(sum(name.startswith("maps.") for name in given)))
    tokens = given.get("tokens")
    return Features(
        given["pooled"] if "pooled" in given else given["map"].mean(dim=(2, 3)),
        tokens=tokens,
        mask=given.get("mask"),
        codes=given.get("codes"),
        places=0 if tokens is None else tokens.shape[1],
        map=given.get("map"),
        maps=maps or None,
        wide=given.get("wide"),
    )


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Freeze a network for a while; what trained before trains again afterwards."""
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    network.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)
