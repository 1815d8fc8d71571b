"""The ``backbone=`` and ``adapter=`` options. Nothing heavy is imported until ``build`` or ``apply``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import option, setting, wrong

if TYPE_CHECKING:
    from core.backbones.cnn import SmallConvNet
    from core.backbones.hf_text import HubText
    from core.backbones.model import Model
    from core.backbones.sequence import SequenceTransformer
    from core.backbones.signal import SignalConvNet
    from core.backbones.tabular import TabularTransformer
    from core.backbones.text import TextTransformer
    from core.backbones.types import Backbone
    from core.backbones.vision import TimmVision
    from core.data.types import Layout

_WIDE = (
    "linear path from numbers, categories and TF-IDF to the answer: how many times as fast it learns; 0: none"
)
_POOLINGS = ("mean", "attention", "cls")


def _positive(group: str, **values: float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise wrong(f"{group}.{name}", value, "it must be above 0")


def _shares(group: str, **values: float) -> None:
    for name, value in values.items():
        if not 0.0 <= value < 1.0:
            raise wrong(f"{group}.{name}", value, "it must be at least 0 and below 1")


def _one_of(key: str, value: str, right: tuple[str, ...]) -> None:
    if value not in right:
        raise wrong(key, value, f"it must be one of {', '.join(right)}")


def _transformer(width: int, layers: int, heads: int, ffn: float, dropout: float) -> None:
    _positive("backbone", width=width, heads=heads, ffn=ffn)
    if layers < 0:
        raise wrong("backbone.layers", layers, "it must be 0 or more")
    if width % heads:
        raise wrong("backbone.heads", heads, f"it must divide backbone.width={width}")
    _shares("backbone", dropout=dropout)


def _wide(gain: float) -> None:
    if gain < 0:
        raise wrong("backbone.wide", gain, "it must be 0 or more")


@option("backbone", "tabular")
class TabularOption:
    """Feature-token Transformer over columns (and a short note), with a wide linear path."""

    width: int = setting(64, help="size of a token")
    layers: int = setting(2, help="Transformer blocks; 0 leaves the tokens alone")
    heads: int = setting(4, help="attention heads")
    ffn: float = setting(2.0, help="hidden size of a block's feed-forward layer, as a multiple of width")
    dropout: float = setting(0.1, help="dropout inside the blocks")
    token_dropout: float = setting(0.0, help="share of feature tokens hidden at random in training")
    numbers: str = setting(
        "piecewise", help="piecewise (linear between quantiles) or linear tokens for numeric columns"
    )
    pooling: str = setting("cls", help="cls, mean or attention")
    wide: float = setting(1.0, help=_WIDE)

    def build(self, layout: Layout, seed: int) -> TabularTransformer:
        """Make the network for these columns."""
        from core.backbones.tabular import TabularTransformer

        _transformer(self.width, self.layers, self.heads, self.ffn, self.dropout)
        _shares("backbone", token_dropout=self.token_dropout)
        _one_of("backbone.numbers", self.numbers, ("piecewise", "linear"))
        _one_of("backbone.pooling", self.pooling, _POOLINGS)
        _wide(self.wide)
        return TabularTransformer(layout, self, seed)


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
    wide: float = setting(1.0, help=_WIDE)

    def build(self, layout: Layout, seed: int) -> TextTransformer:
        """Make the network for this vocabulary and length."""
        from core.backbones.text import TextTransformer

        _transformer(self.width, self.layers, self.heads, self.ffn, self.dropout)
        _shares("backbone", token_dropout=self.token_dropout)
        _one_of("backbone.pooling", self.pooling, _POOLINGS)
        _wide(self.wide)
        return TextTransformer(layout, self, seed)


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
    wide: float = setting(1.0, help=_WIDE)

    def build(self, layout: Layout, seed: int) -> HubText:
        """Make or load the network."""
        from core.backbones.hf_text import HubText

        _one_of("backbone.pooling", self.pooling, (*_POOLINGS, "last"))
        _wide(self.wide)
        return HubText(layout, self, seed)


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
    wide: float = setting(1.0, help=_WIDE)

    def build(self, layout: Layout, seed: int) -> TimmVision:
        """Make or load the network for this image size."""
        from core.backbones.vision import TimmVision

        _one_of("backbone.normalisation", self.normalisation, ("batch", "group"))
        _one_of("backbone.stem", self.stem, ("auto", "published", "1", "2", "4", "8", "16"))
        _one_of("backbone.colours", self.colours, ("auto", "imagenet", "own"))
        _shares("backbone", drop_path=self.drop_path)
        _wide(self.wide)
        return TimmVision(layout, self, seed)


@option("backbone", "cnn")
class ConvOption:
    """Small residual CNN with GroupNorm, for 32 to 96 px on two cores."""

    width: int = setting(32, help="channels of the first stage; doubled by each further stage")
    blocks: list[int] = setting(
        [1, 1, 1, 1], help="residual blocks of each stage; each stage after the first halves the image"
    )
    groups: int = setting(8, help="channels in one group of GroupNorm")
    stem: str = setting(
        "auto", help="stride of the first convolution: auto (2 from 48 px, else 1), 1, 2 or 4"
    )
    dropout: float = setting(0.0, help="dropout on the pooled features")
    wide: float = setting(1.0, help=_WIDE)

    def build(self, layout: Layout, seed: int) -> SmallConvNet:
        """Make the network for this image size."""
        from core.backbones.cnn import SmallConvNet

        _positive("backbone", width=self.width, groups=self.groups)
        _one_of("backbone.stem", self.stem, ("auto", "1", "2", "4"))
        if not self.blocks or min(self.blocks) < 1:
            raise wrong("backbone.blocks", self.blocks, "it must be a list of numbers above 0, one a stage")
        if self.width % self.groups:
            raise wrong("backbone.groups", self.groups, f"it must divide backbone.width={self.width}")
        _shares("backbone", dropout=self.dropout)
        _wide(self.wide)
        return SmallConvNet(layout, self, seed)


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
    pooling: str = setting("mean", help="mean or attention, over time")
    wide: float = setting(1.0, help=_WIDE)

    def build(self, layout: Layout, seed: int) -> SignalConvNet:
        """Make the network for this number of channels and samples."""
        from core.backbones.signal import SignalConvNet

        _positive("backbone", width=self.width, groups=self.groups, kernel=self.kernel)
        if self.kernel % 2 == 0:
            raise wrong("backbone.kernel", self.kernel, "it must be odd")
        if not self.blocks or min(self.blocks) < 1:
            raise wrong("backbone.blocks", self.blocks, "it must be a list of numbers above 0, one a stage")
        if self.width % self.groups:
            raise wrong("backbone.groups", self.groups, f"it must divide backbone.width={self.width}")
        _one_of("backbone.pooling", self.pooling, ("mean", "attention"))
        _shares("backbone", dropout=self.dropout)
        _wide(self.wide)
        return SignalConvNet(layout, self, seed)


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
    wide: float = setting(1.0, help=_WIDE)

    def build(self, layout: Layout, seed: int) -> SequenceTransformer:
        """Make the network for these events or this signal."""
        from core.backbones.sequence import SequenceTransformer

        _transformer(self.width, self.layers, self.heads, self.ffn, self.dropout)
        _positive("backbone", patch=self.patch)
        _shares("backbone", token_dropout=self.token_dropout)
        _one_of("backbone.pooling", self.pooling, (*_POOLINGS, "last"))
        if self.causal and self.pooling == "cls":
            raise wrong(
                "backbone.pooling", self.pooling, "a causal network's first token sees nothing; use last"
            )
        _wide(self.wide)
        return SequenceTransformer(layout, self, seed)


_HEAD = "linear, or mlp (one hidden layer)"


@option("adapter", "full")
class FullOption:
    """Train every weight."""

    head: str = setting("linear", help=_HEAD)
    dropout: float = setting(0.0, help="dropout before the head")

    def apply(self, backbone: Backbone, width: int, reads: str, seed: int) -> Model:
        """Attach a head of ``width`` outputs and mark every weight trainable."""
        from core.backbones.adapters import full

        _check_head(self.head, self.dropout)
        return full(backbone, width, reads, seed, self.head, self.dropout)


@option("adapter", "head")
class HeadOption:
    """Train the head only; the backbone stays as loaded."""

    head: str = setting("linear", help=_HEAD)
    dropout: float = setting(0.0, help="dropout before the head")

    def apply(self, backbone: Backbone, width: int, reads: str, seed: int) -> Model:
        """Attach a head of ``width`` outputs and freeze the backbone."""
        from core.backbones.adapters import head_only

        _check_head(self.head, self.dropout)
        return head_only(backbone, width, reads, seed, self.head, self.dropout)


@option("adapter", "lora")
class LoraOption:
    """Train low-rank additions to the linear layers, and the head."""

    rank: int = setting(8, help="rank of each addition")
    alpha: float = setting(16.0, help="additions are scaled by alpha / rank")
    lora_dropout: float = setting(0.0, help="dropout before each addition")
    layers: list[str] = setting(
        [], help="ends of the layers' names to adapt (qkv, proj, ...); empty: all linear layers"
    )
    head: str = setting("linear", help=_HEAD)
    dropout: float = setting(0.0, help="dropout before the head")

    def apply(self, backbone: Backbone, width: int, reads: str, seed: int) -> Model:
        """Attach a head of ``width`` outputs, add the low-rank weights and freeze the rest."""
        from core.backbones.adapters import lora

        _check_head(self.head, self.dropout)
        _positive("adapter", rank=self.rank, alpha=self.alpha)
        _shares("adapter", lora_dropout=self.lora_dropout)
        return lora(backbone, width, reads, seed, self)


def _check_head(head: str, dropout: float) -> None:
    _one_of("adapter.head", head, ("linear", "mlp"))
    _shares("adapter", dropout=dropout)
