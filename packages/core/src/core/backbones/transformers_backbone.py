"""Any text network of transformers behind the backbones' interface."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    AutoConfig,
    AutoModel,
    AutoModelForTextEncoding,
)

from core.backbones.inputs import require, side_inputs, side_of, wide_of, words_of
from core.backbones.layers import Pooling
from core.backbones.contexts import seeded_init
from core.backbones.types import Features
from core.config import config_error

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.config import TransformersConfig
    from core.data.types import Json, Layout


class TransformersBackbone(nn.Module):
    """A transformers encoder (or decoder) without its task head. Padding changes nothing."""

    def __init__(
        self,
        layout: Layout,
        settings: TransformersConfig,
        seed: int,
        architecture: dict[str, Json] | None = None,
    ) -> None:
        super().__init__()
        require(layout, "hf_text", ("tokens",), (*side_inputs(settings.wide), "words"))
        self.title = f"hf_text {settings.name}"
        with seeded_init(seed, "backbone"):
            if architecture is not None:
                kept = {**architecture}
                config = AutoConfig.for_model(kept.pop("model_type"), **kept)
                self.network = _auto(config).from_config(config)
            else:
                self.network = (
                    _pretrained(layout, settings) if settings.pretrained else _fresh(layout, settings)
                )
        if getattr(self.network, "pooler", None) is not None:
            self.network.pooler = None  # Its output is not read here, so its weights would never move.
        self.architecture: dict[str, Json] = json.loads(self.network.config.to_json_string(use_diff=False))
        self.width = int(self.network.config.hidden_size)
        self.padding = layout.pad_token_id
        with seeded_init(seed, "side"):
            self.pooling = Pooling(settings.pooling, self.width)
            self.side = side_of(layout, self.width)
        self.wide = wide_of(layout, settings.wide)
        self.wide_width = self.wide.width if self.wide else 0
        self.wide_gain = settings.wide
        self.words = words_of(layout, settings.wide_words)
        self.gives = ("pooled", "tokens") if self.words is None else ("pooled", "tokens", "joint")
        self.code_count, self.code_gain = layout.word_vocab_size, settings.wide_words

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read tokens (B, T), and columns beside them."""
        tokens_BT = inputs["tokens"]
        given_BT = tokens_BT != self.padding
        # A text without any token would attend to nothing: its first place counts as real.
        real_BT = torch.cat([torch.ones_like(given_BT[:, :1]), given_BT[:, 1:]], dim=1)
        out = self.network(input_ids=tokens_BT, attention_mask=real_BT.to(torch.int64))
        hidden_BTD = out.last_hidden_state
        pooled_BD = self.pooling(hidden_BTD, real_BT)
        if self.side is not None:
            pooled_BD = self.side(pooled_BD, inputs)
        features = Features(
            pooled_BD, tokens=hidden_BTD, mask=given_BT, wide=self.wide(inputs) if self.wide else None
        )
        return features if self.words is None else self.words(features, inputs)


def _auto(config: Any) -> Any:
    """Choose the class that gives an encoder's features: for encoder-decoders the encoder alone."""
    return AutoModelForTextEncoding if type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING else AutoModel


def _read_config(settings: TransformersConfig) -> Any:
    try:
        return AutoConfig.from_pretrained(settings.name)
    except (OSError, ValueError) as error:
        raise config_error(
            "backbone.name",
            settings.name,
            f"it is no local folder with a config.json and could not be fetched from the hub ({error}); with "
            "backbone.pretrained=false an architecture's name such as bert will do",
        ) from error


def _check_length(config: Any, layout: Layout, name: str) -> None:
    places = getattr(config, "max_position_embeddings", None)
    if config.model_type in ("roberta", "xlm-roberta", "camembert", "longformer"):
        places = (
            places - config.pad_token_id - 1
        )  # These count positions from after the padding token's number.
    if places is not None and layout.max_length > places:
        raise config_error("encoder.length", layout.max_length, f"{name} reads at most {places} tokens")


def _pretrained(layout: Layout, settings: TransformersConfig) -> Any:
    config = _read_config(settings)
    if layout.vocab_size > config.vocab_size:
        raise config_error(
            "encoder.tokenizer",
            f"{layout.vocab_size} tokens",
            f"{settings.name} knows {config.vocab_size}; set encoder.tokenizer to the network's own name or folder",
        )
    _check_length(config, layout, settings.name)
    if hasattr(config, "use_cache"):
        config.use_cache = False
    try:
        network, report = _auto(config).from_pretrained(
            settings.name, config=config, output_loading_info=True, dtype=torch.float32
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise config_error(
            "backbone.name",
            settings.name,
            f"its weights could not be loaded ({error}); give a local folder or set backbone.pretrained=false",
        ) from error
    lacking = [n for n in report["missing_keys"] if "pooler" not in n]
    if lacking:
        raise config_error(
            "backbone.name",
            settings.name,
            f"its file lacks {len(lacking)} weights, among them {', '.join(sorted(lacking)[:3])}",
        )
    return network


def _fresh(layout: Layout, settings: TransformersConfig) -> Any:
    """Make a network of this architecture with new weights, its vocabulary and length from the layout."""
    if settings.name in CONFIG_MAPPING and not Path(settings.name).is_dir():
        config = AutoConfig.for_model(settings.name)
    else:
        config = _read_config(settings)
    changes: dict[str, Any] = {"vocab_size": layout.vocab_size, "pad_token_id": layout.pad_token_id}
    for key, value in settings.settings.items():
        if not hasattr(config, key):
            raise config_error(f"backbone.settings.{key}", value, f"{settings.name} has no such size")
        changes[key] = value
    for key in ("bos_token_id", "eos_token_id"):
        number = getattr(config, key, None)
        if isinstance(number, int) and number >= layout.vocab_size:
            changes[key] = layout.pad_token_id
    if hasattr(config, "use_cache"):
        changes["use_cache"] = False
    config = type(config)(**{**config.to_diff_dict(), **changes})
    _check_length(config, layout, settings.name)
    return _auto(config).from_config(config)
