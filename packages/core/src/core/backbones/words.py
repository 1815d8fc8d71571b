"""Transformer over the words of an utterance, each the sum of its features, with a linear branch for every word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from core.backbones.config import WordsConfig
from core.backbones.contexts import seeded_init
from core.backbones.input_layers import check_inputs, side_features, side_kinds, wide_inputs
from core.backbones.layers import Blocks, ClsToken, Pooling, PositionalEmbedding, drop_tokens
from core.backbones.types import Features

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Json, Layout


class WordTransformer(nn.Module):
    """Sum of feature embeddings for each word, positions, pre-norm blocks, pooling. Padding changes nothing.

    ``Features.codes`` passes the codes of a word's features on to the head, whose sparse linear branch reads them as a
    linear tagger would; there are ``num_codes``. Features are dropped at random in training, for both alike.
    """

    title = "words"
    provides = ("pooled", "tokens", "joint")

    def __init__(
        self, config: WordsConfig, layout: Layout, seed: int, architecture: dict[str, Json] | None = None
    ) -> None:
        super().__init__()
        check_inputs(layout, "words", ("words",), side_kinds(config.linear_branch_lr_scale))
        assert layout.words is not None
        d = config.hidden_size
        self.max_words, kinds = layout.words
        with seeded_init(seed, "backbone"):
            self.features = nn.Embedding(layout.word_vocab_size, d, padding_idx=0)
            nn.init.normal_(self.features.weight, std=(d * kinds) ** -0.5)
            with torch.no_grad():
                self.features.weight[0] = 0.0
            self.places = PositionalEmbedding(self.max_words, d)
            self.first = ClsToken(d)
            self.dropout = nn.Dropout(config.dropout)
            self.blocks = Blocks(d, config.num_layers, config.num_heads, config.mlp_ratio, config.dropout)
            self.pooling = Pooling(config.pooling, d)
            self.side = side_features(layout, d)
        self.wide_inputs = wide_inputs(layout, config.linear_branch_lr_scale)
        self.feature_dropout = config.feature_dropout
        self.num_features = d
        self.num_codes = layout.word_vocab_size
        self.code_lr_scale = config.word_linear_branch_lr_scale
        self.architecture = architecture or {}

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read words (B, T, M) with words_mask (B, T), T at most the layout's, and columns beside them."""
        codes_BTM, given_BT = inputs["words"], inputs["words_mask"] > 0.5
        if self.training and self.feature_dropout:
            codes_BTM = codes_BTM * drop_tokens(torch.ones_like(codes_BTM) > 0, self.feature_dropout)
        real_BT = torch.cat([torch.ones_like(given_BT[:, :1]), given_BT], dim=1)
        x_BTD = self.dropout(self.places(self.features(codes_BTM).sum(dim=2)))
        x_BTD = self.blocks(self.first(x_BTD), real_BT)
        pooled_BD = self.pooling(x_BTD, real_BT)
        if self.side is not None:
            pooled_BD = self.side(pooled_BD, inputs)
        return Features(
            pooled_BD,
            tokens=x_BTD[:, 1:],
            mask=given_BT,
            wide=self.wide_inputs(inputs) if self.wide_inputs else None,
            codes=codes_BTM,
            max_tokens=self.max_words,
        )
