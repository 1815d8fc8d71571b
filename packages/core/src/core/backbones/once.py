"""What a network's frozen layers give for a row, so that it is computed once instead of in each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from core.backbones.types import Features

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from core.backbones.model import Model

FEATURE = "feature."
"""Begins the name of an input that is a feature already; the rest is the name in ``Features``."""


@runtime_checkable
class StartsFixed(Protocol):
    """A backbone whose first layers have no weights; its ``forward`` takes what they give in place of its inputs."""

    def fixed_part(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give what ``forward`` needs of encoded rows once its fixed layers are behind them; float tensors (B, ...)."""


def fixed_part(model: Model) -> Callable[[dict[str, Tensor]], dict[str, Tensor]] | None:
    """Give the function from encoded inputs to what changing layers read, or None where the first layer changes.

    A frozen backbone is one whole fixed part, where its head names the features that it reads.
    """
    backbone = model.backbone
    if not any(weight.requires_grad for weight in backbone.parameters()):
        reads: tuple[str, ...] = getattr(model.head, "reads", ())
        return (lambda inputs: as_inputs(backbone(inputs), reads)) if reads else None
    return backbone.fixed_part if isinstance(backbone, StartsFixed) else None


def as_inputs(features: Features, reads: tuple[str, ...]) -> dict[str, Tensor]:
    """Give some features under names that ``features_in`` knows again."""
    found: dict[str, Tensor] = {}
    for name in reads:
        value = getattr(features, name)
        if isinstance(value, tuple):
            found |= {f"{FEATURE}{name}.{k}": one for k, one in enumerate(value)}
        elif value is not None:
            found[FEATURE + name] = value
    return found


def features_in(inputs: dict[str, Tensor]) -> Features | None:
    """Read features that were computed before, or give None where these are a network's own inputs."""
    given = {name.removeprefix(FEATURE): one for name, one in inputs.items() if name.startswith(FEATURE)}
    if not given:
        return None
    maps = tuple(given[f"maps.{k}"] for k in range(sum(name.startswith("maps.") for name in given)))
    return Features(
        given["pooled"] if "pooled" in given else given["map"].mean(dim=(2, 3)),
        map=given.get("map"),
        maps=maps or None,
        wide=given.get("wide"),
    )


def frozen_for_a_while(network: nn.Module) -> Callable[[], None]:
    """Freeze a network and give the function that undoes it."""
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    network.requires_grad_(False)

    def undo() -> None:
        for weight in trained:
            weight.requires_grad_(True)

    return undo
