"""FT-Transformer over columns, with a short text as further tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from core.backbones.config import TabularConfig
from core.backbones.contexts import seeded_init
from core.backbones.input_layers import PiecewiseLinearEncoding, check_inputs, side_kinds, wide_inputs
from core.backbones.layers import Blocks, ClsToken, Pooling, PositionalEmbedding, drop_tokens
from core.backbones.types import Features

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Json, Layout


class NumericEmbedding(nn.Module):
    """One token a numeric column: its encoding (or its value) times the column's own weights, (B, n) -> (B, n, D).

    Source: Gorishniy et al. 2022 (arXiv:2203.05556). A missing number adds the column's own missing vector instead.
    """

    def __init__(self, layout: Layout, width: int, piecewise: bool) -> None:
        super().__init__()
        self.encoding = PiecewiseLinearEncoding(layout) if piecewise else None
        bins = self.encoding.bins if self.encoding else 1
        columns = len(layout.numeric)
        self.weight = nn.Parameter(torch.randn(columns, bins, width) * width**-0.5)
        self.missing = nn.Parameter(torch.randn(columns, width) * width**-0.5)

    def forward(self, numeric_BN: Tensor, missing_BN: Tensor) -> Tensor:
        """Return the columns' tokens."""
        if self.encoding is None:
            encoded_BNK = (numeric_BN * (1.0 - missing_BN)).unsqueeze(-1)
        else:
            encoded_BNK = self.encoding(numeric_BN, missing_BN)
        return (
            torch.einsum("bnk,nkd->bnd", encoded_BNK, self.weight) + missing_BN.unsqueeze(-1) * self.missing
        )


class CategoricalEmbedding(nn.Module):
    """One token a categorical column, from one table for all columns: (B, m) -> (B, m, D)."""

    start: Tensor

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        sizes = torch.tensor(layout.cardinalities)
        self.register_buffer("start", sizes.cumsum(0) - sizes, persistent=False)
        self.table = nn.Embedding(int(sizes.sum()), width)
        nn.init.normal_(self.table.weight, std=width**-0.5)

    def forward(self, categorical_BM: Tensor) -> Tensor:
        """Return the columns' tokens."""
        return self.table(categorical_BM + self.start)  # type: ignore[no-any-return]


class TabularTransformer(nn.Module):
    """Columns as tokens, then Transformer blocks. Source: Gorishniy et al. 2021 (arXiv:2106.11959), section 3.3.

    >>> from core.data.types import Layout
    >>> backbone = TabularTransformer(TabularConfig(hidden_size=8), Layout(numeric=("age",)), seed=0)
    >>> inputs = {"numeric": torch.zeros(4, 1), "missing": torch.zeros(4, 1)}
    >>> backbone(inputs).pooled.shape
    torch.Size([4, 8])
    """

    title = "tabular"
    provides = ("pooled",)

    def __init__(
        self,
        config: TabularConfig,
        layout: Layout,
        seed: int,
        architecture: dict[str, Json] | None = None,
    ) -> None:
        super().__init__()
        also = ("tokens", *side_kinds(config.linear_branch_lr_scale)[2:])
        check_inputs(layout, "tabular", ("numeric", "categorical"), also)
        d = config.hidden_size
        with seeded_init(seed, "backbone"):
            self.numbers = (
                NumericEmbedding(layout, d, config.numeric_embedding == "piecewise")
                if layout.numeric
                else None
            )
            self.categories = CategoricalEmbedding(layout, d) if layout.categorical else None
            self.columns = PositionalEmbedding(len(layout.numeric) + len(layout.categorical), d)
            self.words = nn.Embedding(layout.vocab_size, d) if layout.max_length else None
            self.places = PositionalEmbedding(layout.max_length, d) if layout.max_length else None
            if self.words is not None:
                nn.init.normal_(self.words.weight, std=d**-0.5)
            self.first = ClsToken(d)
            self.blocks = Blocks(d, config.num_layers, config.num_heads, config.mlp_ratio, config.dropout)
            self.pooling = Pooling(config.pooling, d)
        self.wide_inputs = wide_inputs(layout, config.linear_branch_lr_scale)
        self.pad_token_id = layout.pad_token_id
        self.token_dropout = config.token_dropout
        self.num_features = d
        self.architecture = architecture or {}

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read numeric and missing (B, n), categorical (B, m), tokens (B, T)."""
        columns: list[Tensor] = []
        if self.numbers is not None:
            columns.append(self.numbers(inputs["numeric"], inputs["missing"]))
        if self.categories is not None:
            columns.append(self.categories(inputs["categorical"]))
        x_BTD = self.columns(torch.cat(columns, dim=1))
        real_BT: Tensor | None = None
        if self.words is not None and self.places is not None:
            tokens_BT = inputs["tokens"]
            real_BT = torch.cat(
                [torch.ones_like(x_BTD[:, :, 0], dtype=torch.bool), tokens_BT != self.pad_token_id], dim=1
            )
            x_BTD = torch.cat([x_BTD, self.places(self.words(tokens_BT))], dim=1)
        if self.training and self.token_dropout:
            if real_BT is None:
                real_BT = torch.ones_like(x_BTD[:, :, 0], dtype=torch.bool)
            real_BT = drop_tokens(real_BT, self.token_dropout)
        x_BTD = self.first(x_BTD)
        if real_BT is not None:
            real_BT = torch.cat([torch.ones_like(real_BT[:, :1]), real_BT], dim=1)
        x_BTD = self.blocks(x_BTD, real_BT, first_only=self.pooling.kind == "cls")
        return Features(
            self.pooling(x_BTD, real_BT), wide=self.wide_inputs(inputs) if self.wide_inputs else None
        )
