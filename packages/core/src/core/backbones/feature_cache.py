"""The output of a network's frozen layers in place of its inputs, so that it can be computed once for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from core.backbones.types import Features, HasFixedStem

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

FEATURE = "feature."
"""Prefix of an input that is a feature already; the rest is the name in ``Features``."""
WORDS = ("tokens", "mask", "codes")
"""Features (B, T, ...) of words, T the most of a batch; padding is no word and changes no output."""


def frozen_part(
    backbone: nn.Module, head: nn.Module
) -> Callable[[dict[str, Tensor]], dict[str, Tensor]] | None:
    """Return the function from encoded inputs to what the trained layers read, or None where the first layer trains.

    A frozen backbone is frozen as a whole; its output can be cached where its head declares which features it reads.
    """
    if not any(weight.requires_grad for weight in backbone.parameters()):
        reads: tuple[str, ...] = getattr(head, "reads", ())
        return (lambda inputs: features_as_inputs(backbone(inputs), reads)) if reads else None
    return backbone.fixed_stem if isinstance(backbone, HasFixedStem) else None


def features_as_inputs(features: Features, reads: tuple[str, ...]) -> dict[str, Tensor]:
    """Return features under names that ``features_from_inputs`` recognizes; those of words padded to one length."""
    found: dict[str, Tensor] = {}
    for name in reads:
        value = getattr(features, name)
        if isinstance(value, tuple):
            found |= {f"{FEATURE}{name}.{k}": one for k, one in enumerate(value)}
        elif value is not None:
            found[FEATURE + name] = _padded(value, features.max_tokens) if name in WORDS else value
    return found


def _padded(value_BT: Tensor, length: int) -> Tensor:
    padding = value_BT.new_zeros((len(value_BT), length - value_BT.shape[1], *value_BT.shape[2:]))
    return torch.cat([value_BT, padding], dim=1)


def features_from_inputs(inputs: dict[str, Tensor]) -> Features | None:
    """Return features that were computed before, or None where these are a network's own inputs."""
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
        max_tokens=0 if tokens is None else tokens.shape[1],
        map=given.get("map"),
        maps=maps or None,
        wide=given.get("wide"),
    )
