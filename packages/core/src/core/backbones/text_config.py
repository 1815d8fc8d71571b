"""The ``backbone=`` options of networks that read texts. Nothing heavy is imported until ``build``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.backbones.checks import POOLINGS, WIDE, WIDE_WORDS, transformer
from core.config import BackboneConfig, config_error, field, register
from core.config.validate import at_least_zero, fractions, one_of

if TYPE_CHECKING:
    from core.backbones.transformers_backbone import TransformersBackbone
    from core.backbones.text import TextTransformer
    from core.backbones.words import WordTransformer
    from core.data.types import Json, Layout


@register("backbone", "text")
class TextConfig(BackboneConfig):
    """Small Transformer encoder over a text's tokens, with a wide linear path (TF-IDF)."""

    width: int = field(128, help="size of a token")
    layers: int = field(2, help="Transformer blocks; 0 leaves the embeddings alone")
    heads: int = field(4, help="attention heads")
    ffn: float = field(2.0, help="hidden size of a block's feed-forward layer, as a multiple of width")
    dropout: float = field(0.1, help="dropout after the embeddings and inside the blocks")
    token_dropout: float = field(0.0, help="share of tokens hidden at random in training")
    pooling: str = field("attention", help="mean, attention or cls")
    wide: float = field(1.0, help=WIDE)
    topics: int = field(0, help="size of a dense reading of TF-IDF beside the tokens; 0: none")
    bag_dropout: float = field(
        0.3, help="share of TF-IDF features that topics do not see, at random in training"
    )

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        transformer(self.width, self.layers, self.heads, self.ffn, self.dropout)
        fractions("backbone", token_dropout=self.token_dropout)
        one_of("backbone.pooling", self.pooling, POOLINGS)
        if not self.layers and self.pooling == "cls":
            raise config_error(
                "backbone.pooling",
                self.pooling,
                "without layers the first token sees nothing; use mean or attention",
            )
        at_least_zero("backbone", wide=self.wide, topics=self.topics)
        fractions("backbone", bag_dropout=self.bag_dropout)

    def build(self, layout: Layout, seed: int) -> TextTransformer:
        """Make the network for this vocabulary and length."""
        from core.backbones.text import TextTransformer

        self.check()
        return TextTransformer(layout, self, seed)

    def rebuild(
        self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None
    ) -> TextTransformer:
        """Make the network of a saved run, whose weights are put in afterwards."""
        return self.build(layout, seed)


@register("backbone", "hf_text")
class TransformersConfig(BackboneConfig):
    """Any text network of transformers, by name or from a local folder."""

    name: str = field(
        "distilbert-base-uncased", help="a model's name on the hub, an architecture, or a local folder"
    )
    pretrained: bool = field(
        True, help="load its weights; false: only its architecture, weights from the seed"
    )
    settings: dict[str, int] = field(
        {}, help="with pretrained=false: sizes to change (hidden_size: 128, ...)"
    )
    pooling: str = field("mean", help="mean, attention, cls or last (for causal networks)")
    wide: float = field(1.0, help=WIDE)
    wide_words: float = field(1.0, help=WIDE_WORDS)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        one_of("backbone.pooling", self.pooling, (*POOLINGS, "last"))
        if self.pretrained and self.settings:
            raise config_error(
                "backbone.settings", self.settings, "sizes can be changed with backbone.pretrained=false only"
            )
        at_least_zero("backbone", wide=self.wide, wide_words=self.wide_words)

    def build(self, layout: Layout, seed: int) -> TransformersBackbone:
        """Make or load the network."""
        from core.backbones.transformers_backbone import TransformersBackbone

        self.check()
        return TransformersBackbone(layout, self, seed)

    def rebuild(self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None) -> TransformersBackbone:
        """Make the network of a saved run from its ``architecture``, fetching nothing; weights come afterwards."""
        from core.backbones.transformers_backbone import TransformersBackbone

        self.check()
        return TransformersBackbone(layout, self, seed, architecture)


@register("backbone", "words")
class WordsConfig(BackboneConfig):
    """Transformer over words with features (encoder.words), with a linear path for each word and for TF-IDF."""

    width: int = field(96, help="size of a word")
    layers: int = field(2, help="Transformer blocks")
    heads: int = field(4, help="attention heads")
    ffn: float = field(2.0, help="hidden size of a block's feed-forward layer, as a multiple of width")
    dropout: float = field(0.2, help="dropout after the embeddings and inside the blocks")
    feature_dropout: float = field(0.1, help="share of a word's features hidden at random in training")
    pooling: str = field("attention", help="mean, attention or cls")
    wide: float = field(1.0, help=WIDE)
    wide_words: float = field(1.0, help=WIDE_WORDS)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        transformer(self.width, self.layers, self.heads, self.ffn, self.dropout)
        fractions("backbone", feature_dropout=self.feature_dropout)
        one_of("backbone.pooling", self.pooling, POOLINGS)
        at_least_zero("backbone", wide=self.wide, wide_words=self.wide_words)

    def build(self, layout: Layout, seed: int) -> WordTransformer:
        """Make the network for this vocabulary of features and length."""
        from core.backbones.words import WordTransformer

        self.check()
        return WordTransformer(layout, self, seed)

    def rebuild(
        self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None
    ) -> WordTransformer:
        """Make the network of a saved run, whose weights are put in afterwards."""
        return self.build(layout, seed)
