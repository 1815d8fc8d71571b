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

from core.backbones.config import TransformersConfig
from core.backbones.contexts import seeded_init
from core.backbones.input_layers import check_inputs, first_subword, side_features, side_kinds, wide_inputs
from core.backbones.layers import Pooling
from core.backbones.types import Features
from core.config import config_error

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Json, Layout


class TransformersBackbone(nn.Module):
    """A transformers encoder (or decoder) without its task head. Padding changes nothing."""

    def __init__(
        self,
        config: TransformersConfig,
        layout: Layout,
        seed: int,
        architecture: dict[str, Json] | None = None,
    ) -> None:
        super().__init__()
        also = (*side_kinds(config.linear_branch_lr_scale), "words")
        check_inputs(layout, "transformers", ("tokens",), also)
        self.title = f"transformers {config.name}"
        with seeded_init(seed, "backbone"):
            if architecture is not None:
                kept = {**architecture}
                sizes = AutoConfig.for_model(kept.pop("model_type"), **kept)
                self.network = _auto_class(sizes).from_config(sizes)
            else:
                self.network = _pretrained(layout, config) if config.pretrained else _fresh(layout, config)
        if getattr(self.network, "pooler", None) is not None:
            self.network.pooler = None  # Its output is not read here, so its weights would never train.
        self.architecture: dict[str, Json] = json.loads(self.network.config.to_json_string(use_diff=False))
        self.num_features = int(self.network.config.hidden_size)
        self.pad_token_id = layout.pad_token_id
        with seeded_init(seed, "side"):
            self.pooling = Pooling(config.pooling, self.num_features)
            self.side = side_features(layout, self.num_features)
        self.wide_inputs = wide_inputs(layout, config.linear_branch_lr_scale)
        self.words = first_subword(layout)
        self.provides = ("pooled", "tokens") if self.words is None else ("pooled", "tokens", "joint")
        self.num_codes, self.code_lr_scale = layout.word_vocab_size, config.word_linear_branch_lr_scale

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read tokens (B, T), and columns beside them."""
        tokens_BT = inputs["tokens"]
        given_BT = tokens_BT != self.pad_token_id
        # A text without any token would attend to nothing: its first position counts as real.
        real_BT = torch.cat([torch.ones_like(given_BT[:, :1]), given_BT[:, 1:]], dim=1)
        out = self.network(input_ids=tokens_BT, attention_mask=real_BT.to(torch.int64))
        hidden_BTD = out.last_hidden_state
        pooled_BD = self.pooling(hidden_BTD, real_BT)
        if self.side is not None:
            pooled_BD = self.side(pooled_BD, inputs)
        features = Features(
            pooled_BD,
            tokens=hidden_BTD,
            mask=given_BT,
            wide=self.wide_inputs(inputs) if self.wide_inputs else None,
        )
        return features if self.words is None else self.words(features, inputs)


def _auto_class(sizes: Any) -> Any:
    """Return the class of an encoder's features: of an encoder-decoder the encoder alone."""
    return AutoModelForTextEncoding if type(sizes) in MODEL_FOR_TEXT_ENCODING_MAPPING else AutoModel


def _read_config(name: str) -> Any:
    try:
        return AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise config_error(
            "backbone.name",
            name,
            f"it is no local folder with a config.json and could not be fetched from the hub ({error}); with "
            "backbone.pretrained=false an architecture's name such as bert will do",
        ) from error


def _check_length(sizes: Any, layout: Layout, name: str) -> None:
    positions = getattr(sizes, "max_position_embeddings", None)
    if sizes.model_type in ("roberta", "xlm-roberta", "camembert", "longformer"):
        positions -= sizes.pad_token_id + 1  # These count positions from after the padding token's id.
    if positions is not None and layout.max_length > positions:
        raise config_error(
            "encoder.text.max_length", layout.max_length, f"{name} reads at most {positions} tokens"
        )


def _pretrained(layout: Layout, config: TransformersConfig) -> Any:
    sizes = _read_config(config.name)
    if layout.vocab_size > sizes.vocab_size:
        raise config_error(
            "encoder.text.tokenizer",
            f"{layout.vocab_size} tokens",
            f"{config.name} knows {sizes.vocab_size}; set encoder.text.tokenizer to the network's own name or folder",
        )
    _check_length(sizes, layout, config.name)
    if hasattr(sizes, "use_cache"):
        sizes.use_cache = False
    try:
        network, report = _auto_class(sizes).from_pretrained(
            config.name, config=sizes, output_loading_info=True, dtype=torch.float32
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise config_error(
            "backbone.name",
            config.name,
            f"its weights could not be loaded ({error}); set a local folder or backbone.pretrained=false",
        ) from error
    missing = [n for n in report["missing_keys"] if "pooler" not in n]
    if missing:
        raise config_error(
            "backbone.name",
            config.name,
            f"its file lacks {len(missing)} weights, among them {', '.join(sorted(missing)[:3])}",
        )
    return network


def _fresh(layout: Layout, config: TransformersConfig) -> Any:
    """Build a network of this architecture with random initialization, vocabulary and length from the layout."""
    if config.name in CONFIG_MAPPING and not Path(config.name).is_dir():
        sizes = AutoConfig.for_model(config.name)
    else:
        sizes = _read_config(config.name)
    changes: dict[str, Any] = {"vocab_size": layout.vocab_size, "pad_token_id": layout.pad_token_id}
    for key, value in config.config_overrides.items():
        if not hasattr(sizes, key):
            raise config_error(f"backbone.config_overrides.{key}", value, f"{config.name} has no such size")
        changes[key] = value
    for key in ("bos_token_id", "eos_token_id"):
        token_id = getattr(sizes, key, None)
        if isinstance(token_id, int) and token_id >= layout.vocab_size:
            changes[key] = layout.pad_token_id
    if hasattr(sizes, "use_cache"):
        changes["use_cache"] = False
    sizes = type(sizes)(**{**sizes.to_diff_dict(), **changes})
    _check_length(sizes, layout, config.name)
    return _auto_class(sizes).from_config(sizes)
