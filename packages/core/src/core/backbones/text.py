"""Small Transformer encoder over a text's tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from core.backbones.inputs import require, side_inputs, side_of, wide_of
from core.backbones.layers import Blocks, ClsToken, PositionalEmbedding, Pooling, drop_tokens
from core.backbones.contexts import seeded_init
from core.backbones.topics import LatentSemanticFeatures
from core.backbones.types import Features
from core.config import config_error

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.config import TextConfig
    from core.data.types import Json, Layout


class TextTransformer(nn.Module):
    """Token and position embeddings, pre-norm blocks, pooling. Padding changes nothing."""

    title = "text"

    def __init__(self, layout: Layout, settings: TextConfig, seed: int) -> None:
        super().__init__()
        require(layout, "text", ("tokens",), side_inputs(settings.wide + settings.topics))
        if settings.topics and not layout.tfidf_size:
            raise config_error(
                "backbone.topics", settings.topics, "the inputs have no TF-IDF; set encoder.bag above 0"
            )
        d = settings.width
        with seeded_init(seed, "backbone"):
            self.words = nn.Embedding(layout.vocab_size, d)
            nn.init.normal_(self.words.weight, std=d**-0.5)
            self.places = PositionalEmbedding(layout.max_length, d)
            self.first = ClsToken(d)
            self.dropout = nn.Dropout(settings.dropout)
            self.blocks = Blocks(d, settings.layers, settings.heads, settings.ffn, settings.dropout)
            self.pooling = Pooling(settings.pooling, d)
            self.side = side_of(layout, d)
            self.topics: LatentSemanticFeatures | None = None
            if settings.topics:
                self.topics = LatentSemanticFeatures(layout.tfidf_size, settings.topics, settings.dropout, settings.bag_dropout)
        self.seed = seed
        self.wide = wide_of(layout, settings.wide)
        self.padding = layout.pad_token_id
        self.gives = ("pooled", "tokens") if self.topics is None else ("pooled",)
        self.token_dropout = settings.token_dropout
        self.width = d + (self.topics.width if self.topics else 0)
        self.wide_width = self.wide.width if self.wide else 0
        self.wide_gain = settings.wide
        self.architecture: dict[str, Json] = {}

    def start_from(self, inputs: dict[str, Tensor]) -> bool:
        """Start topics from training rows, if there are topics; tell whether training rows were read.

        Not for runs under differential privacy: the rows are read without noise.
        """
        if self.topics is None:
            return False
        self.topics.start_from(inputs["tfidf"], self.seed)
        return True

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read tokens (B, T), T at most the layout's length, and columns beside them."""
        tokens_BT = inputs["tokens"]
        given_BT = tokens_BT != self.padding
        real_BT = given_BT
        if self.training and self.token_dropout:
            real_BT = drop_tokens(real_BT, self.token_dropout)
        real_BT = torch.cat([torch.ones_like(real_BT[:, :1]), real_BT], dim=1)
        x_BTD = self.dropout(self.places(self.words(tokens_BT)))
        x_BTD = self.blocks(self.first(x_BTD), real_BT)
        pooled_BD = self.pooling(x_BTD, real_BT)
        if self.side is not None:
            pooled_BD = self.side(pooled_BD, inputs)
        if self.topics is not None:
            pooled_BD = torch.cat([pooled_BD, self.topics(inputs["tfidf"])], dim=1)
        return Features(
            pooled_BD,
            tokens=x_BTD[:, 1:] if self.topics is None else None,
            mask=given_BT,
            wide=self.wide(inputs) if self.wide else None,
        )
