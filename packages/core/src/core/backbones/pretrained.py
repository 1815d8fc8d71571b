"""The pretrained weights that are part of core: their cards and checksums, loading, and what they were trained on."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import AliasChoices, BaseModel, Field, model_validator
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from core.backbones.config import CnnSmallConfig, TextSmallConfig
from core.config import config_error, option_name
from core.config.deprecated import RENAMED_KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable

    from torch import nn

    from core.config import BackboneConfig
    from core.data.types import Layout

DIRECTORY = "weights"
"""Below this package: NAME.safetensors and its card NAME.json."""


class CardFile(BaseModel):
    """A file that weights were trained on."""

    sha256: str
    terms: str = ""
    """Its license, as far as known."""


class CardTokenizer(BaseModel):
    """The tokenizer of text weights."""

    sha256: str = ""
    sample: list[int]
    """The token ids of a fixed sentence, which identify the tokenizer."""
    vocab_size: int = Field(validation_alias=AliasChoices("vocab_size", "vocabulary"))


class WeightsCard(BaseModel):
    """What is known of a file of weights: identity, training data, recipe, cost and how good they were."""

    name: str = ""
    format: str = "fp32"
    max_output_change: float | None = None
    """Largest change of an output by rounding to half precision."""
    prediction_change_rate: float | None = None
    """Fraction of held-out predictions that rounding changes."""
    file: str = ""
    sha256: str
    bytes: int = 0
    files: dict[str, CardFile] = Field(default_factory=dict)
    """File name -> what was read of it."""
    recipe: str = ""
    settings: dict[str, object] = Field(default_factory=dict)
    seed: int = 0
    data: dict[str, dict[str, float | int | str]] = Field(default_factory=dict)
    steps: int = 0
    device: str = ""
    torch: str = ""
    precision: str = ""
    training_seconds: float = 0.0
    energy: dict[str, object] = Field(default_factory=dict)
    final: dict[str, float] = Field(default_factory=dict)
    """The last validation's metrics."""
    tokenizer: CardTokenizer | None = None
    resumed_from: dict[str, object] | None = Field(
        None, validation_alias=AliasChoices("resumed_from", "start")
    )
    """The card's main entries of the weights that training started from."""

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, card: dict[str, object]) -> dict[str, object]:
        """Read the settings of a card that an earlier version wrote by their names of today."""
        settings = card.get("settings")
        if not isinstance(settings, dict):
            return card
        today = {RENAMED_KEYS.get(f"recipe.{k}", f"recipe.{k}"): value for k, value in settings.items()}
        return {**card, "settings": {key.removeprefix("recipe."): v for key, v in today.items()}}


def weights_directory() -> Traversable:
    """Return the directory of pretrained weights and cards."""
    return files("core.backbones").joinpath(DIRECTORY)


def read_card(name: str) -> WeightsCard:
    """Return the card of pretrained weights, raising ValueError where this package has none of this name.

    >>> read_card("cnn_small").format
    'fp16'
    """
    found = weights_directory().joinpath(f"{name}.json")
    if not found.is_file():
        raise config_error(
            "backbone.weights",
            "pretrained",
            f"this installation has no weights of {name}; set backbone.weights=random or a file",
        )
    return WeightsCard.model_validate_json(found.read_text(encoding="utf-8"))


def weights_origin(config: BackboneConfig) -> str:
    """Return where a backbone's initial weights come from; empty for random initialization.

    >>> weights_origin(CnnSmallConfig())
    'the pretrained weights of cnn_small that are part of core'
    >>> weights_origin(CnnSmallConfig(weights="random"))
    ''
    """
    own = isinstance(config, CnnSmallConfig | TextSmallConfig)
    weights: str | None = getattr(config, "weights", None)
    if own and weights == "pretrained":
        return f"the pretrained weights of {option_name(config)} that are part of core"
    if weights and not (own and weights == "random"):
        return f"the weights in {weights}"
    if getattr(config, "pretrained", False):
        return f"the published weights of {getattr(config, 'name', option_name(config))}"
    return ""


def pretraining_overlap(config: BackboneConfig, files: Mapping[str, str]) -> list[str]:
    """Return those files (name -> SHA-256) that a backbone's initial weights were pretrained on, as far as known.

    Known of the weights that are part of core, by checksum: whichever name a file had then.
    """
    if not (isinstance(config, CnnSmallConfig | TextSmallConfig) and config.weights == "pretrained"):
        return []
    known = {file.sha256 for file in read_card(option_name(config)).files.values()}
    return sorted(file for file, sha in files.items() if sha in known)


def load_pretrained(trunk: nn.Module, name: str, weights: str, key: str = "backbone.weights") -> None:
    """Load pretrained weights, or those of a local file, into a trunk; ``random`` leaves it as initialized.

    ``key`` is the configuration key that errors name. Raises ValueError for a file that is missing, altered (its
    SHA-256 is not the card's) or of another network.
    """
    if weights == "random":
        return
    if weights == "pretrained":
        expected_sha = read_card(name).sha256
        content = weights_directory().joinpath(f"{name}.safetensors").read_bytes()
        if hashlib.sha256(content).hexdigest() != expected_sha:
            raise config_error(
                key, "pretrained", f"{name}.safetensors differs from its card: reinstall plinth-core"
            )
    else:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise config_error(
                key, weights, "there is no such file; pretrained and random are the other choices"
            )
        content = path.read_bytes()
    try:
        state = load_tensors(content)
    except SafetensorError as error:
        raise config_error(key, weights, f"it is no complete safetensors file ({error})") from error
    expected = trunk.state_dict()
    differ = sorted(
        (set(state) ^ set(expected))
        | {n for n in set(state) & set(expected) if state[n].shape != expected[n].shape}
    )
    if differ:
        raise config_error(key, weights, f"these are no weights of {name}: {', '.join(differ[:3])} differ")
    with torch.no_grad():
        trunk.load_state_dict({key: tensor.to(expected[key].dtype) for key, tensor in state.items()})


def check_tokenizer(layout: Layout, name: str) -> None:
    """Raise ValueError for tokens of another tokenizer than the one the weights were trained with."""
    tokenizer = read_card(name).tokenizer
    assert tokenizer is not None
    if list(layout.tokenizer_sample) != tokenizer.sample:
        raise config_error(
            "encoder.text.tokenizer",
            f"a tokenizer of {layout.vocab_size} tokens",
            f"the weights of {name} know those of encoder.text.tokenizer={name} only; set that, or "
            "backbone.weights=random",
        )
