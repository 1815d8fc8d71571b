"""Heads: from a backbone's features to outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from core.backbones.pyramid import Pyramidal, PyramidHead
from core.backbones.contexts import seeded_init

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.types import Backbone, Features

_SPREAD = 0.5
"""Outputs of a fresh head on normed features have about this deviation: near even odds, yet with a slope."""


class WideBranch(nn.Module):
    """The linear model beside the network, zero at the start; ``gain`` speeds up its learning under Adam."""

    def __init__(self, width_in: int, width_out: int, gain: float) -> None:
        super().__init__()
        self.gain = gain
        self.linear = nn.Linear(width_in, width_out, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, wide_BW: Tensor) -> Tensor:
        """Turn (B, W) into its share of the outputs (B, width)."""
        return self.linear(wide_BW) * self.gain  # type: ignore[no-any-return]


class PooledHead(nn.Module):
    """Outputs (B, width) from the pooled features, and from the linear path where the backbone has one."""

    reads = ("pooled", "wide")

    def __init__(self, backbone: Backbone, width: int, kind: str, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.answer = output_layer(backbone.width, width, kind)
        self.wide = WideBranch(backbone.wide_width, width, backbone.wide_gain) if backbone.wide_width else None

    def forward(self, features: Features) -> Tensor:
        """Answer for each example."""
        outputs_BK = self.answer(self.dropout(features.pooled))
        if self.wide is not None:
            assert features.wide is not None
            outputs_BK = outputs_BK + self.wide(features.wide)
        return outputs_BK  # type: ignore[no-any-return]


class TokenHead(nn.Module):
    """Outputs (B, T, width) for each token."""

    def __init__(self, backbone: Backbone, width: int, kind: str, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.answer = output_layer(backbone.width, width, kind)

    def forward(self, features: Features) -> Tensor:
        """Answer for each token."""
        assert features.tokens is not None
        return self.answer(self.dropout(features.tokens))  # type: ignore[no-any-return]


class MapHead(nn.Module):
    """Outputs (B, width, H, W) for each place of the feature map."""

    reads = ("map",)

    def __init__(self, backbone: Backbone, width: int, kind: str, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.answer = output_layer(backbone.width, width, kind)

    def forward(self, features: Features) -> Tensor:
        """Answer for each place."""
        assert features.map is not None
        answers_BHWK = self.answer(self.dropout(features.map.movedim(1, -1)))
        return answers_BHWK.movedim(-1, 1)  # type: ignore[no-any-return]


def build_head(backbone: Backbone, width: int, reads: str, seed: int, kind: str, dropout: float) -> nn.Module:
    """Make the head that reads pooled features, tokens, both, or the map (several maps where the backbone has them).

    Raises ValueError when the backbone does not give what the target reads.
    """
    from core.backbones.joint import JointHead  # it is made of the heads above

    heads = {"pooled": PooledHead, "tokens": TokenHead, "map": MapHead, "joint": JointHead}
    assert reads in heads, f"a target reads pooled, tokens, map or joint, not {reads}"
    if reads not in backbone.gives:
        raise ValueError(
            f"the target reads features of kind {reads!r}, but this backbone gives {', '.join(backbone.gives)}; "
            "choose a backbone that gives them or another target"
        )
    if reads == "map" and isinstance(backbone, Pyramidal) and backbone.pyramid:
        backbone.open_pyramid()
        with seeded_init(seed, "head"):
            return PyramidHead(backbone.pyramid, backbone.width, width, dropout)
    with seeded_init(seed, "head"):
        return heads[reads](backbone, width, kind, dropout)


def output_layer(width_in: int, width_out: int, kind: str) -> nn.Module:
    last = nn.Linear(width_in, width_out)
    nn.init.normal_(last.weight, std=_SPREAD * width_in**-0.5)
    nn.init.zeros_(last.bias)
    if kind == "linear":
        return last
    hidden = nn.Linear(width_in, width_in)
    return nn.Sequential(hidden, nn.GELU(), last)
