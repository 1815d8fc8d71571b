"""Small Transformer encoder over a text's tokens, optionally with latent semantic features of its TF-IDF."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from core.backbones.config import TextConfig
from core.backbones.contexts import seeded_init
from core.backbones.input_layers import check_inputs, side_features, side_kinds, wide_inputs
from core.backbones.layers import Blocks, ClsToken, Pooling, PositionalEmbedding, drop_tokens
from core.backbones.types import Features
from core.config import config_error

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Json, Layout


class LatentSemanticFeatures(nn.Module):
    """TF-IDF (B, V) to K components and K non-linear combinations of them, (B, 2 K)."""

    def __init__(self, size: int, components: int, dropout: float, tfidf_dropout: float) -> None:
        super().__init__()
        self.seen = nn.Dropout(tfidf_dropout)
        self.directions = nn.Linear(size, components, bias=False)
        nn.init.normal_(self.directions.weight, std=size**-0.5)
        # Rows of TF-IDF have unit length: this brings a component's deviation near one.
        self.scale = components**0.5
        self.norm = nn.LayerNorm(components)
        self.mix = nn.Linear(components, components)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(dropout)
        self.width = 2 * components

    def forward(self, tfidf_BV: Tensor) -> Tensor:
        """Return the features."""
        components_BK = self.directions(self.seen(tfidf_BV) * self.scale)
        mixed_BK = self.activation(self.mix(self.norm(components_BK)))
        return self.dropout(torch.cat([components_BK, mixed_BK], dim=1))  # type: ignore[no-any-return]

    def init_from(self, tfidf_NV: Tensor, seed: int) -> None:
        """Set the directions to the first right singular vectors of training rows (N, V), whitened: LSA.

        Whitened: each is divided by its singular value (their mean kept), so that the few large directions,
        those of a text's length and of frequent words, do not drown those that separate subjects. Source:
        Deerwester et al. 1990; the decomposition is randomized (Halko et al. 2011). This reads training rows
        without the mechanism of differential privacy: not for private runs.
        """
        components = self.directions.out_features
        rank = min(components, *tfidf_NV.shape)
        with seeded_init(seed, "topics"):
            _, size_K, right_VK = torch.svd_lowrank(
                tfidf_NV.float(), q=min(rank + 10, *tfidf_NV.shape), niter=4
            )
        # The sign of a singular vector is arbitrary: its largest entry is made positive, so that runs agree.
        largest_K = right_VK.gather(0, right_VK.abs().argmax(dim=0, keepdim=True)).sign().squeeze(0)
        with torch.no_grad():
            size_K = size_K[:rank].clamp_min(0.03 * size_K[0])
            directions_VK = right_VK[:, :rank] * largest_K[:rank] * (size_K.mean() / size_K)
            self.directions.weight[:rank] = directions_VK.T


class TextTransformer(nn.Module):
    """Token and position embeddings, pre-norm blocks, pooling. Padding changes nothing."""

    title = "text"

    def __init__(
        self, config: TextConfig, layout: Layout, seed: int, architecture: dict[str, Json] | None = None
    ) -> None:
        super().__init__()
        components = config.lsa_components
        check_inputs(layout, "text", ("tokens",), side_kinds(config.linear_branch_lr_scale + components))
        if components and not layout.tfidf_size:
            raise config_error(
                "backbone.lsa_components",
                components,
                "the inputs have no TF-IDF; set encoder.text.tfidf_features above 0",
            )
        d = config.hidden_size
        with seeded_init(seed, "backbone"):
            self.words = nn.Embedding(layout.vocab_size, d)
            nn.init.normal_(self.words.weight, std=d**-0.5)
            self.places = PositionalEmbedding(layout.max_length, d)
            self.first = ClsToken(d)
            self.dropout = nn.Dropout(config.dropout)
            self.blocks = Blocks(d, config.num_layers, config.num_heads, config.mlp_ratio, config.dropout)
            self.pooling = Pooling(config.pooling, d)
            self.side = side_features(layout, d)
            self.topics: LatentSemanticFeatures | None = None
            if components:
                self.topics = LatentSemanticFeatures(
                    layout.tfidf_size, components, config.dropout, config.tfidf_dropout
                )
        self.seed = seed
        self.wide_inputs = wide_inputs(layout, config.linear_branch_lr_scale)
        self.pad_token_id = layout.pad_token_id
        self.provides = ("pooled", "tokens") if self.topics is None else ("pooled",)
        self.token_dropout = config.token_dropout
        self.num_features = d + (self.topics.width if self.topics else 0)
        self.architecture = architecture or {}

    def init_from(self, inputs: dict[str, Tensor]) -> bool:
        """Initialize the latent semantic features from training rows, if there are any; return whether rows were used.

        Not for runs under differential privacy: the rows are read without its mechanism.
        """
        if self.topics is None:
            return False
        self.topics.init_from(inputs["tfidf"], self.seed)
        return True

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read tokens (B, T), T at most the layout's length, and columns beside them."""
        tokens_BT = inputs["tokens"]
        given_BT = tokens_BT != self.pad_token_id
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
            wide=self.wide_inputs(inputs) if self.wide_inputs else None,
        )
