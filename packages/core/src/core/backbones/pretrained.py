"""The weights that core ships: where they are, that nobody altered them, and how they get into a network."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from core.config import config_error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

    from torch import nn

    from core.data.types import Layout

FOLDER = "weights"
"""Below this package: NAME.safetensors and its card NAME.json."""


def folder() -> Traversable:
    """Give the folder of shipped weights and cards."""
    return files("core.backbones").joinpath(FOLDER)


def card(name: str) -> dict[str, Any]:
    """Read the card of shipped weights, raising ValueError where this package has none of this name."""
    found = folder().joinpath(f"{name}.json")
    if not found.is_file():
        raise config_error(
            "backbone.weights",
            "shipped",
            f"this installation has no weights of {name}; set backbone.weights=none or give a file",
        )
    made: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    return made


def read_before(name: str, files: Mapping[str, str]) -> list[str]:
    """Name those files (name -> SHA-256) that shipped weights were pretrained on, whichever name they had then."""
    known = {told["sha256"] for told in card(name)["files"].values()}
    return sorted(file for file, sha in files.items() if sha in known)


def load_into(trunk: nn.Module, name: str, weights: str, key: str = "backbone.weights") -> None:
    """Put shipped weights, or those of a local file, into a trunk; ``none`` leaves it as it was drawn.

    ``key`` is the setting that errors name. Raises ValueError for a file that is missing, altered (its SHA-256 is not
    the card's) or of another network.
    """
    if weights == "none":
        return
    if weights == "shipped":
        told = card(name)
        content = folder().joinpath(f"{name}.safetensors").read_bytes()
        if hashlib.sha256(content).hexdigest() != told["sha256"]:
            raise config_error(key, "shipped", f"{name}.safetensors differs from its card: install anew")
    else:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise config_error(key, weights, "there is no such file; shipped and none are the other choices")
        content = path.read_bytes()
    try:
        state = load_tensors(content)
    except SafetensorError as error:
        raise config_error(key, weights, f"it is no whole safetensors file ({error})") from error
    expected = trunk.state_dict()
    differ = sorted(
        (set(state) ^ set(expected))
        | {n for n in set(state) & set(expected) if state[n].shape != expected[n].shape}
    )
    if differ:
        raise config_error(key, weights, f"these are no weights of {name}: {', '.join(differ[:3])} differ")
    with torch.no_grad():
        trunk.load_state_dict({key: tensor.to(expected[key].dtype) for key, tensor in state.items()})


def same_tokens(layout: Layout, name: str) -> None:
    """Refuse tokens of another tokenizer than the one the weights were trained with."""
    if list(layout.tokenizer_sample) != card(name)["tokenizer"]["sample"]:
        raise config_error(
            "encoder.tokenizer",
            f"a tokenizer of {layout.vocab_size} tokens",
            f"the weights of {name} know those of encoder.tokenizer={name} only; set that, or backbone.weights=none",
        )
