"""Batch normalization mixes examples; under differential privacy it is replaced, frozen or refused."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class GroupNormAct(nn.GroupNorm):
    """Group normalization followed by the dropout and activation that a fused batch normalization carried."""

    def __init__(
        self, groups: int, channels: int, eps: float, affine: bool, drop: nn.Module, act: nn.Module
    ) -> None:
        super().__init__(groups, channels, eps, affine)
        self.drop, self.act = drop, act

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        found: Tensor = self.act(self.drop(super().forward(input)))
        return found


def convert_batch_norm(model: nn.Module, policy: str) -> list[str]:
    """Make every batch normalization treat examples apart, in place; return the names of those changed.

    "group" replaces it by group normalization with the same affine weights (running statistics are dropped), "frozen"
    keeps it in evaluation mode for good, also after `model.train()`; "keep" changes nothing. "refuse", or a kind that
    can't be changed, raises `ValueError` naming the layer.
    """
    if policy == "keep":
        return []
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, _BatchNorm)]
    for name, module in found:
        if policy == "refuse":
            raise ValueError(
                f"{name} ({type(module).__name__}): batch normalization mixes the examples of a batch; set "
                "privacy.batch_norm to group (replace it) or frozen (fix its statistics)"
            )
        if policy == "frozen":
            _freeze(name, module)
        else:
            assert policy == "group", policy
            replacement = _group_norm(name, module)
            parent, _, child = name.rpartition(".")
            if not name:
                raise ValueError(
                    "the model itself is a batch normalization: there is nothing to replace it in"
                )
            setattr(model.get_submodule(parent), child, replacement)
    return [name for name, _ in found]


def _freeze(name: str, module: _BatchNorm) -> None:
    if module.running_mean is None or isinstance(module, nn.modules.lazy.LazyModuleMixin):
        raise ValueError(
            f"{name} ({type(module).__name__}): it has no statistics to freeze; set privacy.batch_norm=group"
        )
    module.__class__ = _frozen(type(module))
    module.eval()


_FROZEN: dict[type, type[_BatchNorm]] = {}


def _frozen(kind: type[_BatchNorm]) -> type[_BatchNorm]:
    """Return a subclass whose instances stay in evaluation mode."""

    def train(self: nn.Module, mode: bool = True) -> nn.Module:
        return nn.Module.train(self, False)

    if kind not in _FROZEN:
        _FROZEN[kind] = type(f"Frozen{kind.__name__}", (kind,), {"train": train})
    return _FROZEN[kind]


def _group_norm(name: str, module: _BatchNorm) -> nn.GroupNorm:
    if isinstance(module, nn.modules.lazy.LazyModuleMixin):
        raise ValueError(
            f"{name}: a lazy batch normalization; run the model once before training under privacy"
        )
    channels, groups = module.num_features, _groups(module.num_features)
    own: Any = module
    if type(module) in _PLAIN:
        norm = nn.GroupNorm(groups, channels, module.eps, module.affine)
    elif isinstance(getattr(module, "act", None), nn.Module) and isinstance(
        getattr(module, "drop", None), nn.Module
    ):
        norm = GroupNormAct(groups, channels, module.eps, module.affine, own.drop, own.act)
    elif type(module).forward in {kind.forward for kind in _PLAIN}:
        norm = nn.GroupNorm(groups, channels, module.eps, module.affine)
    else:
        raise ValueError(
            f"{name} ({type(module).__name__}): its forward is not that of a batch normalization, so it "
            "can't be replaced; set privacy.batch_norm=frozen"
        )
    if module.affine:
        norm.to(device=module.weight.device, dtype=module.weight.dtype)
        with torch.no_grad():
            norm.weight.copy_(module.weight)
            norm.bias.copy_(module.bias)
        norm.weight.requires_grad_(module.weight.requires_grad)
        norm.bias.requires_grad_(module.bias.requires_grad)
    return norm.train(module.training)


def _groups(channels: int) -> int:
    """Return the most groups up to 32 that divide the channels and leave at least four in each (1 if none does)."""
    return max((g for g in range(1, 33) if channels % g == 0 and channels // g >= 4), default=1)
