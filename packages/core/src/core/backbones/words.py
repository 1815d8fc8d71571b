"""Transformer over the words of an utterance, each the sum of its features, with a linear path for every word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from core.backbones.inputs import require, side_inputs, side_of, wide_of
from core.backbones.layers import Blocks, ClsToken, PositionalEmbedding, Pooling, drop_tokens
from core.backbones.contexts import seeded_init
from core.backbones.types import Features

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.config import WordsConfig
    from core.data.types import Json, Layout


class WordTransformer(nn.Module):
    """Feature embeddings summed a word, positions, pre-norm blocks, pooling. Places without a word change nothing.

    ``Features.codes`` hands the codes of a word's features to the head, whose linear path reads them as a linear
    tagger would; ``code_count`` is their number. Features are hidden at random in training, for both ways alike.
    """

    title = "words"
    gives = ("pooled", "tokens", "joint")

    def __init__(self, layout: Layout, settings: WordsConfig, seed: int) -> None:
        super().__init__()
        require(layout, "words", ("words",), side_inputs(settings.wide))
        assert layout.words is not None
        d = settings.width
        self.places_count, kinds = layout.words
        with seeded_init(seed, "backbone"):
            self.features = nn.Embedding(layout.word_vocab_size, d, padding_idx=0)
            nn.init.normal_(self.features.weight, std=(d * kinds) ** -0.5)
            with torch.no_grad():
                self.features.weight[0] = 0.0
            self.places = PositionalEmbedding(self.places_count, d)
            self.first = ClsToken(d)
            self.dropout = nn.Dropout(settings.dropout)
            self.blocks = Blocks(d, settings.layers, settings.heads, settings.ffn, settings.dropout)
            self.pooling = Pooling(settings.pooling, d)
            self.side = side_of(layout, d)
        self.wide = wide_of(layout, settings.wide)
        self.feature_dropout = settings.feature_dropout
        self.width = d
        self.wide_width = self.wide.width if self.wide else 0
        self.wide_gain = settings.wide
        self.code_count = layout.word_vocab_size
        self.code_gain = settings.wide_words
        self.architecture: dict[str, Json] = {}

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
            wide=self.wide(inputs) if self.wide else None,
            codes=codes_BTM,
            places=self.places_count,
        )
