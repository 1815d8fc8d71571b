"""The text Transformer whose weights core ships: rotary positions, so that no length is built in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from core.backbones.inputs import require, side_inputs, side_of, wide_of, words_of
from core.backbones.layers import Pooling, drop_tokens, init_block
from core.backbones.contexts import seeded_init
from core.backbones.types import Features

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.small_config import TextSmallConfig
    from core.data.types import Json, Layout


@dataclass(frozen=True)
class Shape:
    """Sizes of a trunk."""

    width: int = 256
    layers: int = 4
    heads: int = 4
    hidden: int = 1024
    vocabulary: int = 8192


SHAPE = Shape()
"""The shape of the shipped weights."""
_BASE = 10_000.0


def _turned(x_BHTE: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
    """Turn pairs (e, e + E / 2) of each head's vector by the position's angles (Su et al. 2021, arXiv:2104.09864)."""
    first, second = x_BHTE.chunk(2, dim=-1)
    return torch.cat([first * cos_TE - second * sin_TE, first * sin_TE + second * cos_TE], dim=-1)


def _attended(q_BHTE: Tensor, k_BHTE: Tensor, v_BHTE: Tensor, mask: Tensor | None) -> Tensor:
    """Attend; on processors by plain products, as torch's own kernel takes many times as long backwards there."""
    if q_BHTE.device.type != "cpu" or not torch.is_grad_enabled():
        return scaled_dot_product_attention(q_BHTE, k_BHTE, v_BHTE, attn_mask=mask)
    alike_BHTT = (q_BHTE * q_BHTE.shape[-1] ** -0.5) @ k_BHTE.transpose(-2, -1)
    if mask is not None:
        alike_BHTT = alike_BHTT.masked_fill(~mask, -torch.inf)
    return torch.softmax(alike_BHTT, dim=-1).to(v_BHTE.dtype) @ v_BHTE


class RotaryBlock(nn.Module):
    """Pre-norm Transformer block whose attention sees how far apart two tokens are, not where they stand."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        d = shape.width
        self.heads = shape.heads
        self.attention_norm = nn.LayerNorm(d)
        self.qkv = nn.Linear(d, 3 * d)
        self.proj = nn.Linear(d, d)
        self.ffn_norm = nn.LayerNorm(d)
        self.up = nn.Linear(d, shape.hidden)
        self.down = nn.Linear(shape.hidden, d)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(dropout)
        init_block((self.qkv, self.up), (self.proj, self.down), shape.layers)

    def forward(self, x_BTD: Tensor, mask: Tensor | None, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
        """Mix tokens; ``mask`` bool (B, 1, 1, T), true = may be seen."""
        b, t, d = x_BTD.shape
        qkv = self.qkv(self.attention_norm(x_BTD)).reshape(b, t, 3, self.heads, d // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        cos_TE, sin_TE = cos_TE.to(q.dtype), sin_TE.to(q.dtype)
        mixed = _attended(_turned(q, cos_TE, sin_TE), _turned(k, cos_TE, sin_TE), v, mask)
        x_BTD = x_BTD + self.dropout(self.proj(mixed.transpose(1, 2).reshape(b, t, d)))
        return x_BTD + self.dropout(self.down(self.activation(self.up(self.ffn_norm(x_BTD)))))  # type: ignore[no-any-return]


class Trunk(nn.Module):
    """Tokens to features of each token; what pretraining trains and the package ships."""

    rates: Tensor

    def __init__(self, shape: Shape = SHAPE, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        nn.init.normal_(self.words.weight, std=shape.width**-0.5)
        self.words_norm = nn.LayerNorm(shape.width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(RotaryBlock(shape, dropout) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        half = shape.width // shape.heads // 2
        self.register_buffer("rates", _BASE ** (-torch.arange(half) / half), persistent=False)

    def forward(self, tokens_BT: Tensor, real_BT: Tensor | None) -> Tensor:
        """Read tokens; ``real_BT`` bool (None: all are real). Gives (B, T, D)."""
        x_BTD = self.dropout(self.words_norm(self.words(tokens_BT)))
        angles_TE = torch.arange(tokens_BT.shape[1], device=x_BTD.device)[:, None] * self.rates
        cos_TE, sin_TE = angles_TE.cos(), angles_TE.sin()
        mask = None if real_BT is None else real_BT[:, None, None, :]
        for block in self.blocks:
            x_BTD = block(x_BTD, mask, cos_TE, sin_TE)
        return self.norm(x_BTD)  # type: ignore[no-any-return]


class TextSmall(nn.Module):
    """The trunk, pooling, and columns beside it; with ``encoder.words`` a tagger too. Padding changes nothing."""

    title = "text_small"

    def __init__(self, layout: Layout, settings: TextSmallConfig, seed: int) -> None:
        super().__init__()
        require(layout, "text_small", ("tokens",), (*side_inputs(settings.wide), "words"))
        shape = Shape(vocabulary=layout.vocab_size)
        with seeded_init(seed, "backbone"):
            self.trunk = Trunk(shape, settings.dropout)
            self.pooling = Pooling(settings.pooling, shape.width)
            self.side = side_of(layout, shape.width)
        self.padding = layout.pad_token_id
        self.token_dropout = settings.token_dropout
        self.width = shape.width
        self.wide = wide_of(layout, settings.wide)
        self.wide_width = self.wide.width if self.wide else 0
        self.wide_gain = settings.wide
        self.words = words_of(layout, settings.wide_words)
        self.gives = ("pooled", "tokens") if self.words is None else ("pooled", "tokens", "joint")
        self.code_count, self.code_gain = layout.word_vocab_size, settings.wide_words
        self.architecture: dict[str, Json] = {}

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read tokens (B, T), and columns beside them."""
        tokens_BT = inputs["tokens"]
        given_BT = tokens_BT != self.padding
        real_BT = given_BT
        if self.training and self.token_dropout:
            real_BT = drop_tokens(real_BT, self.token_dropout)
        # A text without any token would attend to nothing: its first place counts as real.
        real_BT = torch.cat([torch.ones_like(real_BT[:, :1]), real_BT[:, 1:]], dim=1)
        x_BTD = self.trunk(tokens_BT, real_BT)
        pooled_BD = self.pooling(x_BTD, real_BT)
        if self.side is not None:
            pooled_BD = self.side(pooled_BD, inputs)
        features = Features(
            pooled_BD, tokens=x_BTD, mask=given_BT, wide=self.wide(inputs) if self.wide else None
        )
        return features if self.words is None else self.words(features, inputs)
