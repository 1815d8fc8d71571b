"""A backbone with its head, and its weights on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.backbones.feature_cache import features_from_inputs

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.types import Backbone


class Model(nn.Module):
    """A backbone and a head, from inputs to outputs. Which weights train is marked on them (``requires_grad``)."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = cast(nn.Module, backbone)
        self.head = head

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Turn encoded inputs into outputs (B, K), (B, T, K) per token, or (B, K, H, W) per pixel.

        In place of inputs it also takes the backbone's features, where they were cached
        (``core.backbones.feature_cache``).
        """
        features = features_from_inputs(inputs)
        return self.head(self.backbone(inputs) if features is None else features)  # type: ignore[no-any-return]

    def train(self, mode: bool = True) -> Model:
        """Switch to training; what is frozen stays as it was loaded, its dropout off and its batch statistics kept."""
        super().train(mode)
        if mode and not any(p.requires_grad for p in self.backbone.parameters()):
            self.backbone.eval()
        for module in self.modules():
            if isinstance(module, _BatchNorm) and not any(p.requires_grad for p in module.parameters()):
                module.eval()
        return self


def trainable_parameters(model: nn.Module) -> int:
    """Count the weights that training changes.

    >>> model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1).requires_grad_(False))
    >>> trainable_parameters(model)
    8
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def save_weights(model: nn.Module, path: Path | str) -> None:
    """Write every weight and buffer to a safetensors file; a tied weight is written once and its names are kept.

    The file replaces an older one only when it is complete.
    """
    path = Path(path)
    kept: dict[tuple[int, int, tuple[int, ...], tuple[int, ...]], str] = {}
    tensors: dict[str, Tensor] = {}
    same: dict[str, str] = {}
    for name, tensor in model.state_dict().items():
        memory = (
            tensor.untyped_storage().data_ptr(),
            tensor.storage_offset(),
            tuple(tensor.shape),
            tensor.stride(),
        )
        if tensor.numel() and memory in kept:
            same[name] = kept[memory]
            continue
        kept[memory] = name
        tensors[name] = tensor.detach().cpu().contiguous().clone()
    unfinished = path.with_name(path.name + ".part")
    # One key alone: safetensors writes several in no fixed order, and equal runs should give equal files.
    save_file(tensors, unfinished, metadata={"same": json.dumps(same, sort_keys=True)})
    unfinished.replace(path)


def load_weights(model: nn.Module, path: Path | str) -> None:
    """Load what ``save_weights`` wrote into a model of the same architecture.

    Raises ValueError when the file is no safetensors file or its weights are not those of this model.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
            same: dict[str, str] = json.loads((file.metadata() or {}).get("same", "{}"))
    except (SafetensorError, FileNotFoundError) as error:
        raise ValueError(f"{path}: these are no weights that can be read ({error})") from error
    for name, original in same.items():
        if original not in state:
            raise ValueError(f"{path}: {name} should equal {original}, which the file lacks")
        state[name] = state[original]
    expected = model.state_dict()
    missing = sorted(set(expected) - set(state))
    unexpected = sorted(set(state) - set(expected))
    shapes = sorted(n for n in expected if n in state and expected[n].shape != state[n].shape)
    if missing or unexpected or shapes:
        found = "; ".join(
            f"{what} {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
            for what, names in (
                ("it lacks", missing),
                ("it also has", unexpected),
                ("of another size is", shapes),
            )
            if names
        )
        raise ValueError(
            f"{path}: its weights are not those of this model: {found}; use the run's own configuration"
        )
    with torch.no_grad():
        model.load_state_dict(state)
