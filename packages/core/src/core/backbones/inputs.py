"""What a backbone reads of a layout, and the linear path that all of them may have beside the network."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import one_hot

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.types import Features
    from core.data.types import Layout

SIDE = ("numeric", "categorical")
"""What every backbone can read beside its own inputs."""


def present(layout: Layout) -> tuple[str, ...]:
    """Name the inputs that a layout has."""
    sizes = {
        "numeric": len(layout.numeric),
        "categorical": len(layout.categorical),
        "tokens": layout.max_length,
        "bag": layout.tfidf_size,
        "image": layout.image,
        "signal": layout.signal,
        "events": layout.events,
        "words": layout.words,
    }
    return tuple(name for name, size in sizes.items() if size)


def require(layout: Layout, backbone: str, any_of: tuple[str, ...], also: tuple[str, ...] = ()) -> None:
    """Refuse a layout that lacks all of ``any_of``, or has inputs that the backbone would not see.

    Raises ValueError naming what the backbone reads and what the layout has.
    """
    has = present(layout)
    reads = f"backbone={backbone} reads {' or '.join(any_of)}" + (f" (and {', '.join(also)})" if also else "")
    if not set(any_of) & set(has):
        texts = "tokens" in any_of and {"words", "bag"} & set(has)
        cure = "set encoder.tokens=true" if texts else "choose another backbone or input columns"
        raise ValueError(f"{reads}, but the inputs are {', '.join(has) or 'none'}; {cure}")
    unseen = [name for name in has if name not in (*any_of, *also)]
    if unseen:
        hint = (
            "set backbone.wide above 0 or encoder.bag=0" if unseen == ["bag"] else "choose another backbone"
        )
        raise ValueError(
            f"{reads}, but the inputs also have {', '.join(unseen)}, which it would not see; "
            f"{hint}, or leave these inputs out"
        )


class FirstSubword(nn.Module):
    """Gives each word the features of the token it begins with, for targets that answer for every word.

    ``features`` puts them, the codes of each word and which places are words into what a backbone gives. A network that
    reads ``tokens`` becomes a tagger so (first piece of a word, as in Devlin et al. 2019, section 5.3).
    """

    def __init__(self, layout: Layout, gain: float) -> None:
        super().__init__()
        assert layout.words is not None
        self.places = layout.words[0]
        self.code_count = layout.word_vocab_size
        self.code_gain = gain

    def forward(self, features: Features, inputs: dict[str, Tensor]) -> Features:
        """Replace features of tokens (B, T, D) by those of words (B, W, D)."""
        assert features.tokens is not None
        starts_BW1 = inputs["word_starts"].unsqueeze(-1)
        words_BWD = features.tokens.gather(1, starts_BW1.expand(-1, -1, features.tokens.shape[-1]))
        return replace(
            features,
            tokens=words_BWD,
            mask=inputs["words_mask"] > 0.5,
            codes=inputs["words"],
            places=self.places,
        )


def words_of(layout: Layout, gain: float) -> FirstSubword | None:
    """Make what turns tokens into words, or nothing where the layout names no words (``encoder.words``)."""
    return FirstSubword(layout, gain) if layout.words else None


class PiecewiseLinearEncoding(nn.Module):
    """Piecewise-linear coding of numbers: piece k goes from 0 to 1 between quantile edges k and k + 1.

    Source: Gorishniy et al. 2022 (arXiv:2203.05556), eq. 1. (B, n) -> (B, n, K), K the most pieces of a column. Beyond
    the outer edges the outer pieces go on for one width. A missing number (0 in all pieces) has its own flag.
    """

    low: Tensor
    inverse: Tensor
    least: Tensor
    most: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        edges = layout.bin_edges or tuple(() for _ in layout.numeric)
        assert len(edges) == len(layout.numeric), "one list of edges a numeric column"
        kept = [e if len(e) > 1 else (0.0, 1.0) for e in edges]
        self.pieces = max((len(e) - 1 for e in kept), default=1)
        low = torch.zeros(len(kept), self.pieces)
        inverse = torch.zeros(len(kept), self.pieces)
        least = torch.zeros(len(kept), self.pieces)
        most = torch.ones(len(kept), self.pieces)
        for n, e in enumerate(kept):
            row = torch.tensor(e)
            last = len(e) - 2
            low[n, : last + 1] = row[:-1]
            inverse[n, : last + 1] = 1.0 / (row[1:] - row[:-1])
            least[n, 0] = -1.0
            most[n, last] = 2.0
            if len(edges[n]) < 2:  # No quantiles were found: the column stays itself.
                least[n, 0], most[n, 0] = -torch.inf, torch.inf
        for name, value in (("low", low), ("inverse", inverse), ("least", least), ("most", most)):
            self.register_buffer(name, value, persistent=False)

    def forward(self, numeric_BN: Tensor, missing_BN: Tensor) -> Tensor:
        """Code numbers (B, n) as pieces (B, n, K)."""
        pieces_BNK = (numeric_BN.unsqueeze(-1) - self.low) * self.inverse
        pieces_BNK = torch.maximum(torch.minimum(pieces_BNK, self.most), self.least)
        return pieces_BNK * (1.0 - missing_BN).unsqueeze(-1)


class OneHot(nn.Module):
    """Categories (B, m) as one-hot flags side by side (B, sum of cardinalities); explanations watch its output."""

    one: Tensor

    def __init__(self, cardinalities: tuple[int, ...]) -> None:
        super().__init__()
        self.cardinalities = cardinalities
        self.register_buffer("one", torch.ones(()), persistent=False)  # Follows the model's number type.

    def forward(self, categorical_BM: Tensor) -> Tensor:
        """Give the flags."""
        flags = [one_hot(categorical_BM[:, m], size) for m, size in enumerate(self.cardinalities)]
        return torch.cat(flags, dim=1).to(self.one.dtype)


class Columns(nn.Module):
    """Numbers and categories (and TF-IDF) in one vector, as a linear model reads them.

    Pieces and missing flags of numbers, one-hot categories, TF-IDF as it is: (B, W). It has no weights of its own.
    """

    def __init__(self, layout: Layout, with_bag: bool) -> None:
        super().__init__()
        self.flags = OneHot(layout.cardinalities) if layout.categorical else None
        self.pieces = PiecewiseLinearEncoding(layout) if layout.numeric else None
        self.with_bag = with_bag and layout.tfidf_size > 0
        pieces = self.pieces.pieces if self.pieces else 0
        self.width = len(layout.numeric) * (pieces + 1) + sum(layout.cardinalities)
        self.width += layout.tfidf_size if self.with_bag else 0

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Give the vector (B, W) of a batch."""
        parts: list[Tensor] = []
        if self.pieces is not None:
            parts.append(self.pieces(inputs["numeric"], inputs["missing"]).flatten(1))
            parts.append(inputs["missing"])
        if self.flags is not None:
            parts.append(self.flags(inputs["categorical"]))
        if self.with_bag:
            parts.append(inputs["bag"])
        return torch.cat(parts, dim=1)


class Side(nn.Module):
    """Lets numbers and categories change pooled features: p + C gelu(A p + B s), C zero at the start.

    (B, D) and the vector of columns (B, W) -> (B, D). Because C is zero, loaded features start as they were loaded.
    """

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.columns = Columns(layout, with_bag=False)
        self.pooled_in = nn.Linear(width, width)
        self.columns_in = nn.Linear(self.columns.width, width, bias=False)
        self.activation = nn.GELU()
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, pooled_BD: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        """Mix the columns in."""
        mixed_BD = self.activation(self.pooled_in(pooled_BD) + self.columns_in(self.columns(inputs)))
        return pooled_BD + self.out(mixed_BD)  # type: ignore[no-any-return]


def wide_of(layout: Layout, gain: float) -> Columns | None:
    """Make what the head's linear path reads, or nothing when it is switched off or has nothing to read.

    The path's weights are the head's and zero at the start, so that the model begins as the plain network and contains
    the linear model (Cheng et al. 2016, arXiv:1606.07792).
    """
    has = {"numeric", "categorical", "bag"} & set(present(layout))
    return Columns(layout, with_bag=True) if gain and has else None


def side_of(layout: Layout, width: int) -> Side | None:
    """Make the mixer of numbers and categories, or nothing when the layout has none."""
    return Side(layout, width) if set(SIDE) & set(present(layout)) else None


def side_inputs(wide: float) -> tuple[str, ...]:
    """Name what a backbone reads beside its own inputs."""
    return (*SIDE, "bag") if wide else SIDE
