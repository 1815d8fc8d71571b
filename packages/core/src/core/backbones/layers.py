"""Layers shared by the own networks, each with an exact gradient for every example.

Every free parameter sits in a small layer of its own whose first dimension is the batch. Nothing is normalized over a
batch and nothing works in place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

if TYPE_CHECKING:
    from torch import Tensor


class ClsToken(nn.Module):
    """Prepend a learned token, (B, T, D) -> (B, T + 1, D); it is always real, so that no row is empty."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)

    def forward(self, tokens_BTD: Tensor) -> Tensor:
        """Prepend the token."""
        return torch.cat([self.weight.expand(tokens_BTD.shape[0], -1, -1), tokens_BTD], dim=1)


class PositionalEmbedding(nn.Module):
    """Add a learned vector to each position, (B, T, D) -> (B, T, D), T at most ``length``."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, length, width) * 0.1 * width**-0.5)

    def forward(self, tokens_BTD: Tensor) -> Tensor:
        """Add position t's vector to token t."""
        return tokens_BTD + self.weight[:, : tokens_BTD.shape[1]]


class Block(nn.Module):
    """Pre-norm Transformer block: self-attention, then an MLP, each with a residual connection.

    Source: Vaswani et al. 2017 (arXiv:1706.03762) with the norm first (Xiong et al. 2020, arXiv:2002.04745).
    """

    def __init__(self, width: int, num_heads: int, mlp_ratio: float, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        hidden = max(1, round(width * mlp_ratio))
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.ffn_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x_BTD: Tensor, mask: Tensor | None, causal: bool = False, first_only: bool = False
    ) -> Tensor:
        """Apply the block. ``mask`` is bool, broadcast to (B, heads, T, T), true = attended to.

        ``first_only`` computes the first token's output alone, (B, 1, D), for a last block whose others are not read.
        """
        b, t, d = x_BTD.shape
        qkv = self.qkv(self.attention_norm(x_BTD)).reshape(b, t, 3, self.num_heads, d // self.num_heads)
        q, k, v = qkv.unbind(2)
        if first_only:
            q, x_BTD = q[:, :1], x_BTD[:, :1]
        mixed = scaled_dot_product_attention(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            attn_mask=mask,
            is_causal=causal and mask is None,
        )
        x_BTD = x_BTD + self.dropout(self.proj(mixed.transpose(1, 2).reshape(b, -1, d)))
        hidden_BTH = self.activation(self.up(self.ffn_norm(x_BTD)))
        return x_BTD + self.dropout(self.down(hidden_BTH))  # type: ignore[no-any-return]


def init_block(inner: Iterable[nn.Linear], outer: Iterable[nn.Linear], num_layers: int) -> None:
    """Initialize a block's linear layers (Xavier uniform); those that end its residual branches (``outer``) smaller.

    Their gain is (2 ``num_layers``)^-0.5: the deeper the network, the smaller.
    """
    for gain, group in ((1.0, inner), ((2 * num_layers) ** -0.5, outer)):
        for layer in group:
            nn.init.xavier_uniform_(layer.weight, gain=gain)
            nn.init.zeros_(layer.bias)


class Blocks(nn.Module):
    """A stack of blocks and a final norm, mask-aware: a masked token changes no other token's output."""

    def __init__(
        self,
        width: int,
        num_layers: int,
        num_heads: int,
        mlp_ratio: float,
        dropout: float,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.causal = causal
        self.blocks = nn.ModuleList(Block(width, num_heads, mlp_ratio, dropout) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)
        for block in self.blocks:
            assert isinstance(block, Block)
            init_block((block.qkv, block.up), (block.proj, block.down), num_layers)

    def forward(self, x_BTD: Tensor, real_BT: Tensor | None, first_only: bool = False) -> Tensor:
        """Apply the blocks; ``real_BT`` bool (None: all are real). With ``first_only`` the output is (B, 1, D)."""
        mask = None
        if real_BT is not None:
            mask = real_BT[:, None, None, :]
            if self.causal:
                t = x_BTD.shape[1]
                mask = mask & torch.ones(t, t, dtype=torch.bool, device=x_BTD.device).tril()
        last = len(self.blocks) - 1
        for i, block in enumerate(self.blocks):
            x_BTD = block(x_BTD, mask, self.causal, first_only and i == last)
        return self.norm(x_BTD)  # type: ignore[no-any-return]


class Pooling(nn.Module):
    """Pool all real tokens to one vector.

    ``mean``; ``attention``: weighted by a learned query; ``cls``: the first; ``last``: the latest real one;
    ``mean_max``: mean and maximum concatenated, twice as wide.

    >>> tokens = torch.tensor([[[1.0], [3.0], [9.0]]])
    >>> Pooling("mean", 1)(tokens, torch.tensor([[True, True, False]]))
    tensor([[2.]])
    """

    def __init__(self, kind: str, width: int) -> None:
        super().__init__()
        self.kind = kind
        self.width = 2 * width if kind == "mean_max" else width
        self.question = nn.Linear(width, 1, bias=False) if kind == "attention" else None

    def forward(self, tokens_BTD: Tensor, real_BT: Tensor | None) -> Tensor:
        """Pool (B, T, D) to (B, D) or (B, 2 D); at least one token of each row must be real."""
        if self.kind == "cls":
            return tokens_BTD[:, 0]
        if real_BT is None:
            real_BT = torch.ones(tokens_BTD.shape[:2], dtype=torch.bool, device=tokens_BTD.device)
        if self.kind == "last":
            position_BT = torch.arange(real_BT.shape[1], device=real_BT.device) * real_BT
            latest_B = position_BT.argmax(dim=1)
            return tokens_BTD.gather(1, latest_B[:, None, None].expand(-1, 1, tokens_BTD.shape[2])).squeeze(1)
        if self.question is None:
            weight_BT = real_BT / real_BT.sum(dim=1, keepdim=True)
        else:
            score_BT = self.question(tokens_BTD).squeeze(-1).float()
            weight_BT = torch.softmax(score_BT.masked_fill(~real_BT, -torch.inf), dim=1)
        pooled_BD = (tokens_BTD * weight_BT.to(tokens_BTD.dtype).unsqueeze(-1)).sum(dim=1)
        if self.kind != "mean_max":
            return pooled_BD
        most_BD = tokens_BTD.masked_fill(~real_BT.unsqueeze(-1), -torch.inf).amax(dim=1)
        return torch.cat([pooled_BD, most_BD], dim=1)


def drop_tokens(real_BT: Tensor, rate: float) -> Tensor:
    """Return the mask of real tokens with each masked independently with probability ``rate``; in training only."""
    return real_BT & (torch.rand(real_BT.shape, device=real_BT.device) >= rate)
