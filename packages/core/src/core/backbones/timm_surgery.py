"""Fitting published image networks, made for 224 pixels, to small images: their first layers shrink less."""

from __future__ import annotations

from typing import Any

from torch import nn

from core.config import config_error

_POOLS = ("maxpool", "stem.pool", "features.pool0")
_SMALL = 48
"""Below this many pixels, ``auto`` lets the first layers halve the image once only."""


def _first_convolutions(network: Any) -> list[nn.Conv2d]:
    named = network.pretrained_cfg.get("first_conv")
    names = [named] if isinstance(named, str) else list(named or ())
    layers = [network.get_submodule(n) for n in names]
    return [layer for layer in layers if isinstance(layer, nn.Conv2d)]


def reduce_stem_stride(network: Any, stem: str, side: int) -> None:
    """Make the first convolution and pooling shrink images ``stem`` times: 1 or 2; weights keep their shapes.

    A first convolution of patches (stride as large as its kernel) is halved at most. Raises ValueError for a network
    whose first layers can't be changed.
    """
    if stem == "published" or (stem == "auto" and side >= _SMALL):
        return
    convolutions = _first_convolutions(network)
    if network.pretrained_cfg.get("fixed_input_size"):
        return  # The number of places is built in; ``patch_for`` chose the size of a patch.
    if not convolutions:
        if stem == "auto":
            return
        raise config_error(
            "backbone.stem", stem, "this network's first layers can't be changed; use published"
        )
    wanted = 2 if stem == "auto" else int(stem)
    strides = {layer.stride[0] for layer in convolutions}
    assert len(strides) == 1, "parallel first convolutions have one stride"
    stride = strides.pop()
    for name in _POOLS:
        parent, _, leaf = name.rpartition(".")
        holder = network.get_submodule(parent) if not parent or _has(network, parent) else None
        if (
            holder is not None
            and isinstance(getattr(holder, leaf, None), nn.MaxPool2d)
            and stride * 2 > wanted
        ):
            setattr(holder, leaf, nn.Identity())
    for layer in convolutions:
        if stride <= wanted:
            continue
        patches = layer.kernel_size[0] == layer.stride[0] and layer.stride[0] > 1
        new = max(wanted, layer.stride[0] // 2) if patches else wanted
        layer.stride = (new, new)
        if patches and layer.padding == (0, 0):
            layer.padding = ((layer.kernel_size[0] - new) // 2, (layer.kernel_size[1] - new) // 2)


def _has(network: nn.Module, name: str) -> bool:
    found = network
    for part in name.split("."):
        if part not in dict(found.named_children()):
            return False
        found = found.get_submodule(part)
    return True


def patch_for(network: Any, stem: str, size: tuple[int, ...], loads: bool) -> int | None:
    """Choose the patch size of a network of patches; None keeps the published one.

    ``auto`` aims at 8 x 8 patches for images below 112 pixels, unless weights are loaded.
    """
    convolutions = _first_convolutions(network)
    if not convolutions or convolutions[0].kernel_size != convolutions[0].stride or stem == "published":
        return None
    published = convolutions[0].stride[0]
    if stem != "auto":
        return max(int(stem), 1) if int(stem) < published else None
    if loads or min(size) >= 112:
        return None
    divisors = [
        p for p in range(1, published + 1) if all(s % p == 0 for s in size) and p <= max(2, min(size) // 8)
    ]
    return max(divisors)
