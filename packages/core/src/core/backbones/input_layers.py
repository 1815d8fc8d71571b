"""What backbones read of a layout: checks, encodings of columns, side features, and the wide branch's inputs."""

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
"""The inputs that every backbone can read beside its own."""


def input_kinds(layout: Layout) -> tuple[str, ...]:
    """Return the kinds of inputs that a layout has.

    >>> from core.data.types import Layout
    >>> input_kinds(Layout(numeric=("age",), image=(3, 32, 32)))
    ('numeric', 'image')
    """
    sizes = {
        "numeric": len(layout.numeric),
        "categorical": len(layout.categorical),
        "tokens": layout.max_length,
        "tfidf": layout.tfidf_size,
        "image": layout.image,
        "signal": layout.signal,
        "events": layout.events,
        "words": layout.words,
    }
    return tuple(name for name, size in sizes.items() if size)


def check_inputs(layout: Layout, backbone: str, any_of: tuple[str, ...], also: tuple[str, ...] = ()) -> None:
    """Raise ValueError for a layout that lacks all of ``any_of``, or has inputs that the backbone would ignore.

    The message says what the backbone reads and what the layout has.
    """
    has = input_kinds(layout)
    reads = f"backbone={backbone} reads {' or '.join(any_of)}" + (f" (and {', '.join(also)})" if also else "")
    if not set(any_of) & set(has):
        texts = "tokens" in any_of and {"words", "tfidf"} & set(has)
        cure = "set encoder.text.tokens=true" if texts else "choose another backbone or input columns"
        raise ValueError(f"{reads}, but the inputs are {', '.join(has) or 'none'}; {cure}")
    ignored = [name for name in has if name not in (*any_of, *also)]
    if ignored:
        hint = (
            "set backbone.linear_branch_lr_scale above 0 or encoder.text.tfidf_features=0"
            if ignored == ["tfidf"]
            else "choose another backbone"
        )
        raise ValueError(
            f"{reads}, but the inputs also have {', '.join(ignored)}, which it would ignore; "
            f"{hint}, or leave these inputs out"
        )


class FirstSubword(nn.Module):
    """Replace each token's features by those of the first token of each word, for targets that label every word.

    The word's feature codes and the word mask are put into the features too. So a network that reads ``tokens``
    becomes a tagger (first subword of a word: Devlin et al. 2019, section 5.3).
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        assert layout.words is not None
        self.max_words = layout.words[0]

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
            max_tokens=self.max_words,
        )


def first_subword(layout: Layout) -> FirstSubword | None:
    """Return the module from tokens to words, or None without ``encoder.text.word_features``."""
    return FirstSubword(layout) if layout.words else None


class PiecewiseLinearEncoding(nn.Module):
    """Piecewise-linear encoding of numbers: component k goes from 0 to 1 between quantile edges k and k + 1.

    Source: Gorishniy et al. 2022 (arXiv:2203.05556), eq. 1. (B, n) -> (B, n, K), K the most bins of a column. Beyond
    the outer edges the outer components extrapolate for one bin width. A missing number (0 in all components) has its
    own indicator.

    >>> from core.data.types import Layout
    >>> encoding = PiecewiseLinearEncoding(Layout(numeric=("age",), bin_edges=((0.0, 1.0, 3.0),)))
    >>> encoding(torch.tensor([[0.5], [2.0]]), torch.zeros(2, 1))
    tensor([[[0.5000, 0.0000]],
    <BLANKLINE>
            [[1.0000, 0.5000]]])
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
        self.bins = max((len(e) - 1 for e in kept), default=1)
        low = torch.zeros(len(kept), self.bins)
        inverse = torch.zeros(len(kept), self.bins)
        least = torch.zeros(len(kept), self.bins)
        most = torch.ones(len(kept), self.bins)
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
        """Encode numbers (B, n) as (B, n, K)."""
        encoded_BNK = (numeric_BN.unsqueeze(-1) - self.low) * self.inverse
        encoded_BNK = torch.maximum(torch.minimum(encoded_BNK, self.most), self.least)
        return encoded_BNK * (1.0 - missing_BN).unsqueeze(-1)


class OneHot(nn.Module):
    """One-hot encoding of categories (B, m), concatenated (B, sum of cardinalities); explanations hook its output."""

    one: Tensor

    def __init__(self, cardinalities: tuple[int, ...]) -> None:
        super().__init__()
        self.cardinalities = cardinalities
        self.register_buffer("one", torch.ones(()), persistent=False)  # Follows the model's number type.

    def forward(self, categorical_BM: Tensor) -> Tensor:
        """Encode the categories."""
        encoded = [one_hot(categorical_BM[:, m], size) for m, size in enumerate(self.cardinalities)]
        return torch.cat(encoded, dim=1).to(self.one.dtype)


class ColumnFeatures(nn.Module):
    """Numbers and categories (and TF-IDF) in one vector, as a linear model reads them.

    Piecewise-linear encodings and missing indicators of numbers, one-hot categories, TF-IDF as it is: (B, width). It
    has no weights of its own.
    """

    def __init__(self, layout: Layout, with_tfidf: bool, lr_scale: float = 1.0) -> None:
        super().__init__()
        self.one_hot = OneHot(layout.cardinalities) if layout.categorical else None
        self.numbers = PiecewiseLinearEncoding(layout) if layout.numeric else None
        self.with_tfidf = with_tfidf and layout.tfidf_size > 0
        bins = self.numbers.bins if self.numbers else 0
        self.width = len(layout.numeric) * (bins + 1) + sum(layout.cardinalities)
        self.width += layout.tfidf_size if self.with_tfidf else 0
        self.lr_scale = lr_scale

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the vector (B, width) of a batch."""
        found: list[Tensor] = []
        if self.numbers is not None:
            found.append(self.numbers(inputs["numeric"], inputs["missing"]).flatten(1))
            found.append(inputs["missing"])
        if self.one_hot is not None:
            found.append(self.one_hot(inputs["categorical"]))
        if self.with_tfidf:
            found.append(inputs["tfidf"])
        return torch.cat(found, dim=1)


class SideFeatures(nn.Module):
    """Fuse numbers and categories with pooled features: p + C gelu(A p + B s), C zero at the start.

    (B, D) and the vector of columns s (B, width) -> (B, D). Because C is zero, loaded features start as they were
    loaded.
    """

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.columns = ColumnFeatures(layout, with_tfidf=False)
        self.pooled_in = nn.Linear(width, width)
        self.columns_in = nn.Linear(self.columns.width, width, bias=False)
        self.activation = nn.GELU()
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, pooled_BD: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        """Add the columns' share to the pooled features."""
        mixed_BD = self.activation(self.pooled_in(pooled_BD) + self.columns_in(self.columns(inputs)))
        return pooled_BD + self.out(mixed_BD)  # type: ignore[no-any-return]


def wide_inputs(layout: Layout, lr_scale: float) -> ColumnFeatures | None:
    """Return the inputs of the head's wide branch, or None where it is switched off or there is nothing to read.

    The branch's weights are the head's and zero at the start: the model begins as the plain network and contains the
    linear model (Wide & Deep, Cheng et al. 2016, arXiv:1606.07792).
    """
    has = {"numeric", "categorical", "tfidf"} & set(input_kinds(layout))
    return ColumnFeatures(layout, with_tfidf=True, lr_scale=lr_scale) if lr_scale and has else None


def side_features(layout: Layout, width: int) -> SideFeatures | None:
    """Return the module that fuses numbers and categories, or None where the layout has none."""
    return SideFeatures(layout, width) if set(SIDE) & set(input_kinds(layout)) else None


def side_kinds(linear_branch: float) -> tuple[str, ...]:
    """Return what a backbone reads beside its own inputs; TF-IDF only where there is a linear branch."""
    return (*SIDE, "tfidf") if linear_branch else SIDE
