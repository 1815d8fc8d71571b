"""The ``backbone=`` options (and, by import, ``adapter=``). Nothing heavy is imported until ``build``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.backbones.adapter_config import FullOption as FullOption
from core.backbones.adapter_config import HeadOption as HeadOption
from core.backbones.adapter_config import LoraOption as LoraOption
from core.backbones.checks import WIDE, WIDE_WORDS, at_least_zero, one_of, positive, shares
from core.backbones.scatter_config import ScatterOption as ScatterOption
from core.backbones.small_config import CnnSmallOption as CnnSmallOption
from core.backbones.small_config import TextSmallOption as TextSmallOption
from core.config import option, setting, wrong

if TYPE_CHECKING:
    from core.backbones.cnn import SmallConvNet
    from core.backbones.hf_text import HubText
    from core.backbones.sequence import SequenceTransformer
    from core.backbones.signal import SignalConvNet
    from core.backbones.tabular import TabularTransformer
    from core.backbones.text import TextTransformer
    from core.backbones.vision import TimmVision
    from core.backbones.words import WordTransformer
    from core.data.types import Json, Layout

_POOLINGS = ("mean", "attention", "cls")


def _transformer(width: int, layers: int, heads: int, ffn: float, dropout: float) -> None:
    positive("backbone", width=width, heads=heads, ffn=ffn)
    at_least_zero("backbone", layers=layers)
    if width % heads:
        raise wrong("backbone.heads", heads, f"it must divide backbone.width={width}")
    shares("backbone", dropout=dropout)


@option("backbone", "tabular")
class TabularOption:
    """Feature-token Transformer over columns (and a short note), with a wide linear path."""

    width: int = setting(32, help="size of a token")
    layers: int = setting(1, help="Transformer blocks; 0 leaves the tokens alone")
    heads: int = setting(4, help="attention heads")
    ffn: float = setting(2.0, help="hidden size of a block's feed-forward layer, as a multiple of width")
    dropout: float = setting(0.1, help="dropout inside the blocks")
    token_dropout: float = setting(0.1, help="share of feature tokens hidden at random in training")
    numbers: str = setting(
        "piecewise", help="piecewise (linear between quantiles) or linear tokens for numeric columns"
    )
    pooling: str = setting("cls", help="cls, mean or attention")
    wide: float = setting(3.0, help=WIDE)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _transformer(self.width, self.layers, self.heads, self.ffn, self.dropout)
        shares("backbone", token_dropout=self.token_dropout)
        one_of("backbone.numbers", self.numbers, ("piecewise", "linear"))
        one_of("backbone.pooling", self.pooling, _POOLINGS)
        if not self.layers and self.pooling == "cls":
            raise wrong(
                "backbone.pooling",
                self.pooling,
                "without layers the first token sees nothing; use mean or attention",
            )
        at_least_zero("backbone", wide=self.wide)

    def build(self, layout: Layout, seed: int) -> TabularTransformer:
        """Make the network for these columns."""
        from core.backbones.tabular import TabularTransformer

        self.check()
        return TabularTransformer(layout, self, seed)

    def rebuild(
        self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None
    ) -> TabularTransformer:
        """Make the network of a saved run, whose weights are put in afterwards."""
        return self.build(layout, seed)


@option("backbone", "text")
class TextOption:
    """Small Transformer encoder over a text's tokens, with a wide linear path (TF-IDF)."""

    width: int = setting(128, help="size of a token")
    layers: int = setting(2, help="Transformer blocks; 0 leaves the embeddings alone")
    heads: int = setting(4, help="attention heads")
    ffn: float = setting(2.0, help="hidden size of a block's feed-forward layer, as a multiple of width")
    dropout: float = setting(0.1, help="dropout after the embeddings and inside the blocks")
    token_dropout: float = setting(0.0, help="share of tokens hidden at random in training")
    pooling: str = setting("attention", help="mean, attention or cls")
    wide: float = setting(1.0, help=WIDE)
    topics: int = setting(0, help="size of a dense reading of TF-IDF beside the tokens; 0: none")
    bag_dropout: float = setting(
        0.3, help="share of TF-IDF features that topics do not see, at random in training"
    )

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _transformer(self.width, self.layers, self.heads, self.ffn, self.dropout)
        shares("backbone", token_dropout=self.token_dropout)
        one_of("backbone.pooling", self.pooling, _POOLINGS)
        if not self.layers and self.pooling == "cls":
            raise wrong(
                "backbone.pooling",
                self.pooling,
                "without layers the first token sees nothing; use mean or attention",
            )
        at_least_zero("backbone", wide=self.wide)
        shares("backbone", bag_dropout=self.bag_dropout)
        if self.topics < 0:
            raise wrong("backbone.topics", self.topics, "it must be 0 or more")

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


@option("backbone", "hf_text")
class HubTextOption:
    """Any text network of transformers, by name or from a local folder."""

    name: str = setting(
        "distilbert-base-uncased", help="a model's name on the hub, an architecture, or a local folder"
    )
    pretrained: bool = setting(
        True, help="load its weights; false: only its architecture, weights from the seed"
    )
    settings: dict[str, int] = setting(
        {}, help="with pretrained=false: sizes to change (hidden_size: 128, ...)"
    )
    pooling: str = setting("mean", help="mean, attention, cls or last (for causal networks)")
    wide: float = setting(1.0, help=WIDE)
    wide_words: float = setting(1.0, help=WIDE_WORDS)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        one_of("backbone.pooling", self.pooling, (*_POOLINGS, "last"))
        if self.pretrained and self.settings:
            raise wrong(
                "backbone.settings", self.settings, "sizes can be changed with backbone.pretrained=false only"
            )
        at_least_zero("backbone", wide=self.wide, wide_words=self.wide_words)

    def build(self, layout: Layout, seed: int) -> HubText:
        """Make or load the network."""
        from core.backbones.hf_text import HubText

        self.check()
        return HubText(layout, self, seed)

    def rebuild(self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None) -> HubText:
        """Make the network of a saved run from its ``architecture``, fetching nothing; weights come afterwards."""
        from core.backbones.hf_text import HubText

        self.check()
        return HubText(layout, self, seed, architecture)


@option("backbone", "vision")
class VisionOption:
    """Any image network of timm, by name."""

    name: str = setting(
        "resnet18", help="a timm architecture (resnet18, convnext_atto, vit_tiny_patch16_224, ...)"
    )
    pretrained: bool = setting(False, help="fetch its published weights from the hub")
    weights: str | None = setting(
        None, help="a local file of weights instead (.safetensors; .bin, .pth without pickle)"
    )
    normalisation: str = setting(
        "batch", help="batch (as published) or group (GroupNorm: right under privacy)"
    )
    stem: str = setting(
        "auto",
        help="how much the first layers shrink the image: published, 1, 2, 4, 8 or 16; auto: 2 below 48 px",
    )
    colours: str = setting(
        "auto", help="scaling of pixels: auto (imagenet with published weights), imagenet, own (-1 to 1)"
    )
    drop_path: float = setting(0.0, help="share of residual branches skipped at random in training")
    wide: float = setting(1.0, help=WIDE)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        one_of("backbone.normalisation", self.normalisation, ("batch", "group"))
        one_of("backbone.stem", self.stem, ("auto", "published", "1", "2", "4", "8", "16"))
        one_of("backbone.colours", self.colours, ("auto", "imagenet", "own"))
        shares("backbone", drop_path=self.drop_path)
        if self.pretrained and self.weights is not None:
            raise wrong("backbone.weights", self.weights, "give a file or pretrained=true, not both")
        at_least_zero("backbone", wide=self.wide)

    def build(self, layout: Layout, seed: int) -> TimmVision:
        """Make or load the network for this image size."""
        from core.backbones.vision import TimmVision

        self.check()
        return TimmVision(layout, self, seed)

    def rebuild(self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None) -> TimmVision:
        """Make the network of a saved run, fetching nothing; weights are put in afterwards."""
        from core.backbones.vision import TimmVision

        self.check()
        return TimmVision(layout, self, seed, fetch=False)


@option("backbone", "cnn")
class ConvOption:
    """Small residual CNN with GroupNorm, for 32 to 96 px on two cores."""

    width: int = setting(16, help="channels of the first stage; doubled by each further stage")
    blocks: list[int] = setting(
        [1, 1, 1, 1], help="residual blocks of each stage; each stage after the first halves the image"
    )
    groups: int = setting(8, help="channels in one group of GroupNorm")
    stem: str = setting(
        "auto", help="stride of the first convolution: auto (2 from 48 px, else 1), 1, 2 or 4"
    )
    dropout: float = setting(0.0, help="dropout on the pooled features")
    wide: float = setting(1.0, help=WIDE)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        positive("backbone", width=self.width, groups=self.groups)
        one_of("backbone.stem", self.stem, ("auto", "1", "2", "4"))
        if not self.blocks or min(self.blocks) < 1:
            raise wrong("backbone.blocks", self.blocks, "it must be a list of numbers above 0, one a stage")
        if self.width % self.groups:
            raise wrong("backbone.groups", self.groups, f"it must divide backbone.width={self.width}")
        shares("backbone", dropout=self.dropout)
        at_least_zero("backbone", wide=self.wide)

    def build(self, layout: Layout, seed: int) -> SmallConvNet:
        """Make the network for this image size."""
        from core.backbones.cnn import SmallConvNet

        self.check()
        return SmallConvNet(layout, self, seed)

    def rebuild(self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None) -> SmallConvNet:
        """Make the network of a saved run, whose weights are put in afterwards."""
        return self.build(layout, seed)


@option("backbone", "signal")
class SignalOption:
    """Residual CNN over time with GroupNorm, for sampled signals."""

    width: int = setting(32, help="channels of the first stage; doubled by every second stage")
    blocks: list[int] = setting(
        [1, 1, 1, 1], help="residual blocks of each stage; each stage halves the signal"
    )
    kernel: int = setting(7, help="samples a convolution sees; odd")
    groups: int = setting(8, help="channels in one group of GroupNorm")
    dropout: float = setting(0.1, help="dropout inside the blocks")
    pooling: str = setting("mean_max", help="mean_max (both, side by side), mean or attention, over time")
    wide: float = setting(1.0, help=WIDE)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        positive("backbone", width=self.width, groups=self.groups, kernel=self.kernel)
        if self.kernel % 2 == 0:
            raise wrong("backbone.kernel", self.kernel, "it must be odd")
        if not self.blocks or min(self.blocks) < 1:
            raise wrong("backbone.blocks", self.blocks, "it must be a list of numbers above 0, one a stage")
        if self.width % self.groups:
            raise wrong("backbone.groups", self.groups, f"it must divide backbone.width={self.width}")
        one_of("backbone.pooling", self.pooling, ("mean_max", "mean", "attention"))
        shares("backbone", dropout=self.dropout)
        at_least_zero("backbone", wide=self.wide)

    def build(self, layout: Layout, seed: int) -> SignalConvNet:
        """Make the network for this number of channels and samples."""
        from core.backbones.signal import SignalConvNet

        self.check()
        return SignalConvNet(layout, self, seed)

    def rebuild(
        self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None
    ) -> SignalConvNet:
        """Make the network of a saved run, whose weights are put in afterwards."""
        return self.build(layout, seed)


@option("backbone", "sequence")
class SequenceOption:
    """Transformer over events in time, or over patches of a sampled signal."""

    width: int = setting(64, help="size of a token")
    layers: int = setting(2, help="Transformer blocks")
    heads: int = setting(4, help="attention heads")
    ffn: float = setting(2.0, help="hidden size of a block's feed-forward layer, as a multiple of width")
    dropout: float = setting(0.1, help="dropout inside the blocks")
    token_dropout: float = setting(0.0, help="share of events hidden at random in training")
    causal: bool = setting(False, help="an event sees only itself and earlier ones")
    patch: int = setting(8, help="samples of a signal that make one token")
    pooling: str = setting("attention", help="mean, attention, cls or last (the latest real event)")
    wide: float = setting(1.0, help=WIDE)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _transformer(self.width, self.layers, self.heads, self.ffn, self.dropout)
        positive("backbone", patch=self.patch)
        shares("backbone", token_dropout=self.token_dropout)
        one_of("backbone.pooling", self.pooling, (*_POOLINGS, "last"))
        if self.causal and self.pooling == "cls":
            raise wrong(
                "backbone.pooling", self.pooling, "a causal network's first token sees nothing; use last"
            )
        at_least_zero("backbone", wide=self.wide)

    def build(self, layout: Layout, seed: int) -> SequenceTransformer:
        """Make the network for these events or this signal."""
        from core.backbones.sequence import SequenceTransformer

        self.check()
        return SequenceTransformer(layout, self, seed)

    def rebuild(
        self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None
    ) -> SequenceTransformer:
        """Make the network of a saved run, whose weights are put in afterwards."""
        return self.build(layout, seed)


@option("backbone", "words")
class WordsOption:
    """Transformer over words with features (encoder.words), with a linear path for each word and for TF-IDF."""

    width: int = setting(96, help="size of a word")
    layers: int = setting(2, help="Transformer blocks")
    heads: int = setting(4, help="attention heads")
    ffn: float = setting(2.0, help="hidden size of a block's feed-forward layer, as a multiple of width")
    dropout: float = setting(0.2, help="dropout after the embeddings and inside the blocks")
    feature_dropout: float = setting(0.1, help="share of a word's features hidden at random in training")
    pooling: str = setting("attention", help="mean, attention or cls")
    wide: float = setting(1.0, help=WIDE)
    wide_words: float = setting(1.0, help=WIDE_WORDS)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _transformer(self.width, self.layers, self.heads, self.ffn, self.dropout)
        shares("backbone", feature_dropout=self.feature_dropout)
        one_of("backbone.pooling", self.pooling, _POOLINGS)
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
