"""The text Transformer whose pretrained weights are part of core: rotary position embeddings, so no fixed length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from core.backbones.config import TextSmallConfig
from core.backbones.contexts import seeded_init
from core.backbones.input_layers import check_inputs, first_subword, side_features, side_kinds, wide_inputs
from core.backbones.layers import Pooling, drop_tokens, init_block
from core.backbones.pretrained import check_tokenizer, load_pretrained
from core.backbones.types import Features

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Json, Layout


@dataclass(frozen=True)
class TrunkConfig:
    """Sizes of a trunk."""

    hidden_size: int = 256
    num_layers: int = 4
    num_heads: int = 4
    mlp_size: int = 1024
    vocab_size: int = 8192


TRUNK = TrunkConfig()
"""The sizes of the pretrained weights."""
_ROPE_BASE = 10_000.0


def _rotate(x_BHTE: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
    """Rotate pairs (e, e + E / 2) of each head's vector by the position's angles (Su et al. 2021, arXiv:2104.09864)."""
    first, second = x_BHTE.chunk(2, dim=-1)
    return torch.cat([first * cos_TE - second * sin_TE, first * sin_TE + second * cos_TE], dim=-1)


def _attention(q_BHTE: Tensor, k_BHTE: Tensor, v_BHTE: Tensor, mask: Tensor | None) -> Tensor:
    """Return scaled dot-product attention; on a CPU in training by plain products: torch's backward is slower there."""
    if q_BHTE.device.type != "cpu" or not torch.is_grad_enabled():
        return scaled_dot_product_attention(q_BHTE, k_BHTE, v_BHTE, attn_mask=mask)
    score_BHTT = (q_BHTE * q_BHTE.shape[-1] ** -0.5) @ k_BHTE.transpose(-2, -1)
    if mask is not None:
        score_BHTT = score_BHTT.masked_fill(~mask, -torch.inf)
    return torch.softmax(score_BHTT, dim=-1).to(v_BHTE.dtype) @ v_BHTE


class RotaryBlock(nn.Module):
    """Pre-norm Transformer block with rotary position embeddings: attention depends on relative positions only."""

    def __init__(self, config: TrunkConfig, dropout: float) -> None:
        super().__init__()
        d = config.hidden_size
        self.num_heads = config.num_heads
        self.attention_norm = nn.LayerNorm(d)
        self.qkv = nn.Linear(d, 3 * d)
        self.proj = nn.Linear(d, d)
        self.ffn_norm = nn.LayerNorm(d)
        self.up = nn.Linear(d, config.mlp_size)
        self.down = nn.Linear(config.mlp_size, d)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(dropout)
        init_block((self.qkv, self.up), (self.proj, self.down), config.num_layers)

    def forward(self, x_BTD: Tensor, mask: Tensor | None, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
        """Apply the block; ``mask`` bool (B, 1, 1, T), true = attended to."""
        b, t, d = x_BTD.shape
        qkv = self.qkv(self.attention_norm(x_BTD)).reshape(b, t, 3, self.num_heads, d // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        cos_TE, sin_TE = cos_TE.to(q.dtype), sin_TE.to(q.dtype)
        mixed = _attention(_rotate(q, cos_TE, sin_TE), _rotate(k, cos_TE, sin_TE), v, mask)
        x_BTD = x_BTD + self.dropout(self.proj(mixed.transpose(1, 2).reshape(b, t, d)))
        return x_BTD + self.dropout(self.down(self.activation(self.up(self.ffn_norm(x_BTD)))))  # type: ignore[no-any-return]


class Trunk(nn.Module):
    """Tokens to features of each token; what pretraining trains and the package ships."""

    rates: Tensor

    def __init__(self, config: TrunkConfig = TRUNK, dropout: float = 0.0) -> None:
        super().__init__()
        d = config.hidden_size
        self.words = nn.Embedding(config.vocab_size, d)
        nn.init.normal_(self.words.weight, std=d**-0.5)
        self.words_norm = nn.LayerNorm(d)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(RotaryBlock(config, dropout) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(d)
        half = d // config.num_heads // 2
        self.register_buffer("rates", _ROPE_BASE ** (-torch.arange(half) / half), persistent=False)

    def forward(self, tokens_BT: Tensor, real_BT: Tensor | None) -> Tensor:
        """Return features (B, T, D) of tokens; ``real_BT`` bool (None: all are real)."""
        x_BTD = self.dropout(self.words_norm(self.words(tokens_BT)))
        angles_TE = torch.arange(tokens_BT.shape[1], device=x_BTD.device)[:, None] * self.rates
        cos_TE, sin_TE = angles_TE.cos(), angles_TE.sin()
        mask = None if real_BT is None else real_BT[:, None, None, :]
        for block in self.blocks:
            x_BTD = block(x_BTD, mask, cos_TE, sin_TE)
        return self.norm(x_BTD)  # type: ignore[no-any-return]


class TextSmall(nn.Module):
    """The trunk, pooling, and columns beside it; with word features a tagger too. Padding changes nothing."""

    title = "text_small"

    def __init__(
        self,
        config: TextSmallConfig,
        layout: Layout,
        seed: int,
        architecture: dict[str, Json] | None = None,
    ) -> None:
        super().__init__()
        check_inputs(layout, "text_small", ("tokens",), (*side_kinds(config.linear_branch_lr_scale), "words"))
        trunk = TrunkConfig(vocab_size=layout.vocab_size)
        with seeded_init(seed, "backbone"):
            self.trunk = Trunk(trunk, config.dropout)
            self.pooling = Pooling(config.pooling, trunk.hidden_size)
            self.side = side_features(layout, trunk.hidden_size)
        if architecture is None:
            if config.weights == "pretrained":
                check_tokenizer(layout, "text_small")
            load_pretrained(self.trunk, "text_small", config.weights)
        self.pad_token_id = layout.pad_token_id
        self.token_dropout = config.token_dropout
        self.num_features = trunk.hidden_size
        self.wide_inputs = wide_inputs(layout, config.linear_branch_lr_scale)
        self.words = first_subword(layout)
        self.provides = ("pooled", "tokens") if self.words is None else ("pooled", "tokens", "joint")
        self.num_codes, self.code_lr_scale = layout.word_vocab_size, config.word_linear_branch_lr_scale
        self.architecture = architecture or {}

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Read tokens (B, T), and columns beside them."""
        tokens_BT = inputs["tokens"]
        given_BT = tokens_BT != self.pad_token_id
        real_BT = given_BT
        if self.training and self.token_dropout:
            real_BT = drop_tokens(real_BT, self.token_dropout)
        # A text without any token would attend to nothing: its first position counts as real.
        real_BT = torch.cat([torch.ones_like(real_BT[:, :1]), real_BT[:, 1:]], dim=1)
        x_BTD = self.trunk(tokens_BT, real_BT)
        pooled_BD = self.pooling(x_BTD, real_BT)
        if self.side is not None:
            pooled_BD = self.side(pooled_BD, inputs)
        features = Features(
            pooled_BD,
            tokens=x_BTD,
            mask=given_BT,
            wide=self.wide_inputs(inputs) if self.wide_inputs else None,
        )
        return features if self.words is None else self.words(features, inputs)
