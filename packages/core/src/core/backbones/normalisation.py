"""Exchanging batch normalisation, which mixes the examples of a batch, for group normalisation, which does not."""

from __future__ import annotations

import math

from timm.layers.norm_act import BatchNormAct2d, GroupNormAct
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

_MOST_GROUPS = 32


def to_group_norm(module: nn.Module) -> int:
    """Put a GroupNorm with the same scale and shift in the place of each BatchNorm; give how many there were.

    Channels are parted into up to 32 groups (Wu and He 2018, arXiv:1803.08494). Published statistics are lost: a
    network loaded with weights must be trained on before it is of use.
    """
    exchanged = 0
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            setattr(module, name, _group_norm(child))
            exchanged += 1
        else:
            exchanged += to_group_norm(child)
    return exchanged


def _group_norm(old: _BatchNorm) -> nn.GroupNorm:
    channels = old.num_features
    groups = math.gcd(_MOST_GROUPS, channels)
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
