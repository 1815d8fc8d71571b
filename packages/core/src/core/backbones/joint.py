"""The head of one answer for the whole text and one for each word, with what joins neighbouring answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import pad

from core.backbones.heads import PooledHead, output_layer

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.types import Backbone, Features


class Transitions(nn.Module):
    """What each answer gains by following each other one: a table, (B, W, W) from rows to columns; zero at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, width, width))

    def forward(self, rows_B: Tensor) -> Tensor:
        """Give the table once for each example, so that each has a gradient of its own."""
        return self.weight.expand(rows_B.shape[0], -1, -1)


class SparseLinear(nn.Module):
    """The linear tagger beside the network: each code of a word adds its share of the outputs; zero at the start."""

    def __init__(self, codes: int, width: int, gain: float) -> None:
        super().__init__()
        self.gain = gain
        self.shares = nn.Embedding(codes, width, padding_idx=0)
        nn.init.zeros_(self.shares.weight)

    def forward(self, codes_BTM: Tensor) -> Tensor:
        """Turn codes (B, T, M) into shares of outputs (B, T, W)."""
        return self.shares(codes_BTM).sum(dim=2) * self.gain  # type: ignore[no-any-return]


class JointHead(nn.Module):
    """Outputs (B, 1 + W + T, W + 1), T the most words of any batch.

    Row 0: the answer for the text. Rows 1 to W: how well output j follows output i. Then one row a word. The last
    column is 1 for a real word and 0 for every other row.
    """

    reads = ("pooled", "wide", "tokens", "mask", "codes")

    def __init__(self, backbone: Backbone, width: int, kind: str, dropout: float) -> None:
        super().__init__()
        network: Any = backbone
        self.text = PooledHead(backbone, width, kind, dropout)
        self.dropout = nn.Dropout(dropout)
        self.words = output_layer(backbone.width, width, kind)
        self.transitions = Transitions(width)
        self.codes = SparseLinear(network.code_count, width, network.code_gain) if network.code_gain else None

    def forward(self, features: Features) -> Tensor:
        """Answer for the text and for each word."""
        assert features.tokens is not None
        assert features.mask is not None
        words_BTW = self.words(self.dropout(features.tokens))
        if self.codes is not None:
            assert features.codes is not None
            words_BTW = words_BTW + self.codes(features.codes)
        real_BT1 = features.mask.unsqueeze(-1).to(words_BTW.dtype)
        words_BTW = torch.cat([words_BTW * real_BT1, real_BT1], dim=2)
        words_BTW = pad(words_BTW, (0, 0, 0, features.places - words_BTW.shape[1]))
        others = [self.text(features).unsqueeze(1), self.transitions(features.pooled)]
        return torch.cat([pad(torch.cat(others, dim=1), (0, 1)), words_BTW], dim=1)
