"""The ``backbone=`` options of the networks whose weights core ships. Nothing heavy is imported until ``build``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.backbones.checks import WIDE, WIDE_WORDS
from core.config import BackboneConfig, field, register
from core.config.validate import at_least_zero, fractions, one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.backbones.cnn_small import CnnSmall
    from core.backbones.text_small import TextSmall
    from core.data.types import Json, Layout

_WEIGHTS = "shipped (with this package), none (from noise), or a local .safetensors file of the same network"


def _started(register: str, weights: str) -> str:
    """Say in words where the first weights come from; empty where they are drawn."""
    if weights == "none":
        return ""
    return (
        f"the weights of {register} shipped with core"
        if weights == "shipped"
        else f"the weights in {weights}"
    )


def _read_before(register: str, weights: str, files: Mapping[str, str]) -> list[str]:
    from core.backbones.pretrained import read_before

    return read_before(register, files) if weights == "shipped" else []


@register("backbone", "cnn_small")
class CnnSmallConfig(BackboneConfig):
    """Residual CNN with GroupNorm of 3.3 million weights, pretrained; 32 to 96 px."""

    weights: str = field("shipped", help=_WEIGHTS)
    stem: str = field(
        "auto", help="stride of the first convolution: auto (2 from 48 px, 4 from 128 px, else 1), 1, 2 or 4"
    )
    dropout: float = field(0.0, help="dropout on the pooled features")
    wide: float = field(1.0, help=WIDE)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        one_of("backbone.stem", self.stem, ("auto", "1", "2", "4"))
        fractions("backbone", dropout=self.dropout)
        at_least_zero("backbone", wide=self.wide)

    def started_from(self) -> str:
        """Say where the first weights come from; empty where they are drawn."""
        return _started("cnn_small", self.weights)

    def read_before(self, files: Mapping[str, str]) -> list[str]:
        """Name those files (name -> SHA-256) that the first weights were trained on."""
        return _read_before("cnn_small", self.weights, files)

    def build(self, layout: Layout, seed: int) -> CnnSmall:
        """Make the network for this image size, with its weights."""
        from core.backbones.cnn_small import CnnSmall
        from core.backbones.pretrained import load_into

        made = self.rebuild(layout, seed)
        assert isinstance(made, CnnSmall)
        load_into(made.trunk, "cnn_small", self.weights)
        return made

    def rebuild(self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None) -> CnnSmall:
        """Make the network of a saved run, whose weights are put in afterwards."""
        from core.backbones.cnn_small import CnnSmall

        self.check()
        return CnnSmall(layout, self, seed)


@register("backbone", "text_small")
class TextSmallConfig(BackboneConfig):
    """Transformer encoder of 5.3 million weights over its own tokens, pretrained (encoder.tokenizer=text_small)."""

    weights: str = field("shipped", help=_WEIGHTS)
    pooling: str = field("mean", help="mean, attention or cls")
    dropout: float = field(0.1, help="dropout after the embeddings and inside the blocks")
    token_dropout: float = field(0.0, help="share of tokens hidden at random in training")
    wide: float = field(1.0, help=WIDE)
    wide_words: float = field(1.0, help=WIDE_WORDS)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        one_of("backbone.pooling", self.pooling, ("mean", "attention", "cls"))
        fractions("backbone", dropout=self.dropout, token_dropout=self.token_dropout)
        at_least_zero("backbone", wide=self.wide, wide_words=self.wide_words)

    def started_from(self) -> str:
        """Say where the first weights come from; empty where they are drawn."""
        return _started("text_small", self.weights)

    def read_before(self, files: Mapping[str, str]) -> list[str]:
        """Name those files (name -> SHA-256) that the first weights were trained on."""
        return _read_before("text_small", self.weights, files)

    def build(self, layout: Layout, seed: int) -> TextSmall:
        """Make the network for these tokens, with its weights."""
        from core.backbones.pretrained import load_into, same_tokens

        made = self.rebuild(layout, seed)
        if self.weights == "shipped":
            same_tokens(layout, "text_small")
        load_into(made.trunk, "text_small", self.weights)
        return made

    def rebuild(self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None) -> TextSmall:
        """Make the network of a saved run, whose weights are put in afterwards."""
        from core.backbones.text_small import TextSmall

        self.check()
        return TextSmall(layout, self, seed)
