"""Model surgery on timm networks: a smaller stem stride for small images, GroupNorm in place of BatchNorm."""

from __future__ import annotations

import math
from typing import Any

from timm.layers.norm_act import BatchNormAct2d, GroupNormAct
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.config import config_error

_POOLS = ("maxpool", "stem.pool", "features.pool0")
_SMALL = 48
"""Below this many pixels, ``auto`` lets the first layers halve the image once only."""
_MAX_GROUPS = 32


def _first_convolutions(network: Any) -> list[nn.Conv2d]:
    named = network.pretrained_cfg.get("first_conv")
    names = [named] if isinstance(named, str) else list(named or ())
    layers = [network.get_submodule(n) for n in names]
    return [layer for layer in layers if isinstance(layer, nn.Conv2d)]


def reduce_stem_stride(network: Any, stem_stride: str, side: int) -> None:
    """Make the first convolution and pooling downsample ``stem_stride`` times: 1 or 2; weights keep their shapes.

    The stride of a patch embedding (as large as its kernel) is halved at most. Raises ValueError for a network whose
    first layers can't be changed.
    """
    if stem_stride == "published" or (stem_stride == "auto" and side >= _SMALL):
        return
    convolutions = _first_convolutions(network)
    if network.pretrained_cfg.get("fixed_input_size"):
        return  # The number of positions is built in; ``patch_size_for`` chose the size of a patch.
    if not convolutions:
        if stem_stride == "auto":
            return
        raise config_error(
            "backbone.stem_stride", stem_stride, "this network's first layers can't be changed; use published"
        )
    wanted = 2 if stem_stride == "auto" else int(stem_stride)
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
    for child in name.split("."):
        if child not in dict(found.named_children()):
            return False
        found = found.get_submodule(child)
    return True


def patch_size_for(network: Any, stem_stride: str, size: tuple[int, ...], loads: bool) -> int | None:
    """Return the patch size of a network with a patch embedding; None keeps the published one.

    ``auto`` aims at 8 x 8 patches for images below 112 pixels, unless weights are loaded.
    """
    convolutions = _first_convolutions(network)
    if (
        not convolutions
        or convolutions[0].kernel_size != convolutions[0].stride
        or stem_stride == "published"
    ):
        return None
    published = convolutions[0].stride[0]
    if stem_stride != "auto":
        return max(int(stem_stride), 1) if int(stem_stride) < published else None
    if loads or min(size) >= 112:
        return None
    divisors = [
        p for p in range(1, published + 1) if all(s % p == 0 for s in size) and p <= max(2, min(size) // 8)
    ]
    return max(divisors)


def replace_batch_norm(module: nn.Module) -> int:
    """Replace each BatchNorm by a GroupNorm with the same scale and shift; return how many there were.

    Channels are divided into up to 32 groups (Wu and He 2018, arXiv:1803.08494). Published statistics are lost: a
    network loaded with weights must be trained further before it is of use.
    """
    replaced = 0
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            setattr(module, name, _group_norm(child))
            replaced += 1
        else:
            replaced += replace_batch_norm(child)
    return replaced


def _group_norm(old: _BatchNorm) -> nn.GroupNorm:
    channels = old.num_features
    groups = math.gcd(_MAX_GROUPS, channels)
    new: nn.GroupNorm
    if isinstance(old, BatchNormAct2d):
        new = GroupNormAct(channels, groups, eps=old.eps, affine=old.affine)
        new.drop, new.act = old.drop, old.act
    else:
        new = nn.GroupNorm(groups, channels, eps=old.eps, affine=old.affine)
    if old.affine:
        new.weight.data.copy_(old.weight.data)
        new.bias.data.copy_(old.bias.data)
    return new
