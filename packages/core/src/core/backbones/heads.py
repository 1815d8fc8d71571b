"""Heads: from a backbone's features to outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn
from torch.nn.functional import pad

from core.backbones.contexts import seeded_init
from core.backbones.pyramid import PyramidHead
from core.backbones.types import FeaturePyramid, HasWordBranch

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.types import Backbone, Features

_OUTPUT_STD = 0.5
"""Outputs of a fresh head on normalized features have about this deviation: near even odds, yet with a gradient."""


class HeadClass(Protocol):
    """The class of a head."""

    def __call__(self, backbone: Backbone, num_outputs: int, head_type: str, dropout: float) -> nn.Module:
        """Build the head."""


class WideBranch(nn.Module):
    """Linear model beside the network (Wide & Deep), zero at the start: (B, W) -> (B, num_outputs).

    ``lr_scale`` multiplies its outputs: under Adam it learns so many times as fast.
    """

    def __init__(self, width: int, num_outputs: int, lr_scale: float) -> None:
        super().__init__()
        self.lr_scale = lr_scale
        self.linear = nn.Linear(width, num_outputs, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, wide_BW: Tensor) -> Tensor:
        """Return the branch's share of the outputs."""
        return self.linear(wide_BW) * self.lr_scale  # type: ignore[no-any-return]


class PooledHead(nn.Module):
    """Outputs (B, num_outputs) from the pooled features, and from the wide branch where the backbone has one."""

    reads = ("pooled", "wide")

    def __init__(self, backbone: Backbone, num_outputs: int, head_type: str, dropout: float) -> None:
        super().__init__()
        wide = backbone.wide_inputs
        self.dropout = nn.Dropout(dropout)
        self.answer = output_layer(backbone.num_features, num_outputs, head_type)
        self.wide = WideBranch(wide.width, num_outputs, wide.lr_scale) if wide else None

    def forward(self, features: Features) -> Tensor:
        """Return the outputs for each example."""
        outputs_BK = self.answer(self.dropout(features.pooled))
        if self.wide is not None:
            assert features.wide is not None
            outputs_BK = outputs_BK + self.wide(features.wide)
        return outputs_BK  # type: ignore[no-any-return]


class TokenHead(nn.Module):
    """Outputs (B, T, num_outputs) for each token."""

    def __init__(self, backbone: Backbone, num_outputs: int, head_type: str, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.answer = output_layer(backbone.num_features, num_outputs, head_type)

    def forward(self, features: Features) -> Tensor:
        """Return the outputs for each token."""
        assert features.tokens is not None
        return self.answer(self.dropout(features.tokens))  # type: ignore[no-any-return]


class MapHead(nn.Module):
    """Outputs (B, num_outputs, H, W) for each position of the feature map."""

    reads = ("map",)

    def __init__(self, backbone: Backbone, num_outputs: int, head_type: str, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.answer = output_layer(backbone.num_features, num_outputs, head_type)

    def forward(self, features: Features) -> Tensor:
        """Return the outputs for each position."""
        assert features.map is not None
        outputs_BHWK = self.answer(self.dropout(features.map.movedim(1, -1)))
        return outputs_BHWK.movedim(-1, 1)  # type: ignore[no-any-return]


class Transitions(nn.Module):
    """Transition scores of neighboring labels: a table, (B, W, W) from rows to columns; zero at first."""

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, num_labels, num_labels))

    def forward(self, rows_B: Tensor) -> Tensor:
        """Return the table once for each example, so that each has a gradient of its own."""
        return self.weight.expand(rows_B.shape[0], -1, -1)


class SparseLinear(nn.Module):
    """Linear tagger beside the network: sum of a weight vector for each code of a word; zero at the start.

    (B, T, M) codes -> (B, T, num_outputs), times ``lr_scale`` (see ``WideBranch``).
    """

    def __init__(self, num_codes: int, num_outputs: int, lr_scale: float) -> None:
        super().__init__()
        self.lr_scale = lr_scale
        self.shares = nn.Embedding(num_codes, num_outputs, padding_idx=0)
        nn.init.zeros_(self.shares.weight)

    def forward(self, codes_BTM: Tensor) -> Tensor:
        """Return the branch's share of the outputs."""
        return self.shares(codes_BTM).sum(dim=2) * self.lr_scale  # type: ignore[no-any-return]


class JointHead(nn.Module):
    """Outputs (B, 1 + W + T, W + 1) for a text and each of its words, T the most words of any batch.

    Row 0: the text's scores. Rows 1 to W: the transition score from label i to label j. Then one row a word. The last
    column is 1 for a real word and 0 for every other row.
    """

    reads = ("pooled", "wide", "tokens", "mask", "codes")

    def __init__(self, backbone: Backbone, num_outputs: int, head_type: str, dropout: float) -> None:
        super().__init__()
        assert isinstance(backbone, HasWordBranch)
        self.text = PooledHead(backbone, num_outputs, head_type, dropout)
        self.dropout = nn.Dropout(dropout)
        self.words = output_layer(backbone.num_features, num_outputs, head_type)
        self.transitions = Transitions(num_outputs)
        self.codes = (
            SparseLinear(backbone.num_codes, num_outputs, backbone.code_lr_scale)
            if backbone.code_lr_scale
            else None
        )

    def forward(self, features: Features) -> Tensor:
        """Return the outputs for the text, the transitions and each word."""
        assert features.tokens is not None
        assert features.mask is not None
        words_BTW = self.words(self.dropout(features.tokens))
        if self.codes is not None:
            assert features.codes is not None
            words_BTW = words_BTW + self.codes(features.codes)
        real_BT1 = features.mask.unsqueeze(-1).to(words_BTW.dtype)
        words_BTW = torch.cat([words_BTW * real_BT1, real_BT1], dim=2)
        words_BTW = pad(words_BTW, (0, 0, 0, features.max_tokens - words_BTW.shape[1]))
        others = [self.text(features).unsqueeze(1), self.transitions(features.pooled)]
        return torch.cat([pad(torch.cat(others, dim=1), (0, 1)), words_BTW], dim=1)


_HEADS: dict[str, HeadClass] = {
    "pooled": PooledHead,
    "tokens": TokenHead,
    "map": MapHead,
    "joint": JointHead,
}


def build_head(
    backbone: Backbone, num_outputs: int, reads: str, seed: int, head_type: str, dropout: float
) -> nn.Module:
    """Build the head that reads pooled features, tokens, both, or the map (several maps where the backbone has them).

    Raises ValueError when the backbone does not provide what the target reads.
    """
    assert reads in _HEADS, f"a target reads pooled, tokens, map or joint, not {reads}"
    if reads not in backbone.provides:
        raise ValueError(
            f"the target reads {reads!r} features, but this backbone provides {', '.join(backbone.provides)}; "
            "choose a backbone that provides them or another target"
        )
    if reads == "map" and isinstance(backbone, FeaturePyramid) and backbone.pyramid:
        backbone.open_pyramid()
        with seeded_init(seed, "head"):
            return PyramidHead(backbone.pyramid, backbone.num_features, num_outputs, dropout)
    with seeded_init(seed, "head"):
        return _HEADS[reads](backbone, num_outputs, head_type, dropout)


def output_layer(num_features: int, num_outputs: int, head_type: str) -> nn.Module:
    """Return a linear layer, or for ``mlp`` one hidden layer before it, whose outputs start near 0."""
    last = nn.Linear(num_features, num_outputs)
    nn.init.normal_(last.weight, std=_OUTPUT_STD * num_features**-0.5)
    nn.init.zeros_(last.bias)
    if head_type == "linear":
        return last
    hidden = nn.Linear(num_features, num_features)
    return nn.Sequential(hidden, nn.GELU(), last)
