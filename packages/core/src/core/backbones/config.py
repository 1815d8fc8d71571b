"""The ``backbone=`` options (and, by import, ``adapter=``). Nothing heavy is imported until ``build``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.backbones.adapter_config import FullConfig as FullConfig
from core.backbones.adapter_config import LinearProbeConfig as LinearProbeConfig
from core.backbones.adapter_config import LoraAdapterConfig as LoraAdapterConfig
from core.backbones.checks import POOLINGS, WIDE, transformer
from core.backbones.patches_config import PatchesConfig as PatchesConfig
from core.backbones.scatter_config import ScatteringConfig as ScatteringConfig
from core.backbones.small_config import CnnSmallConfig as CnnSmallConfig
from core.backbones.small_config import TextSmallConfig as TextSmallConfig
from core.backbones.text_config import TransformersConfig as TransformersConfig
from core.backbones.text_config import TextConfig as TextConfig
from core.backbones.text_config import WordsConfig as WordsConfig
from core.config import BackboneConfig, config_error, field, register
from core.config.validate import at_least_zero, fractions, one_of, positive

if TYPE_CHECKING:
    from core.backbones.resnet_gn import ResNetGN
    from core.backbones.sequence import SequenceTransformer
    from core.backbones.cnn1d import CNN1d
    from core.backbones.tabular import TabularTransformer
    from core.backbones.timm_backbone import TimmBackbone
    from core.data.types import Json, Layout


@register("backbone", "tabular")
class TabularConfig(BackboneConfig):
    """Feature-token Transformer over columns (and a short note), with a wide linear path."""

    width: int = field(32, help="size of a token")
    layers: int = field(1, help="Transformer blocks; 0 leaves the tokens alone")
    heads: int = field(4, help="attention heads")
    ffn: float = field(2.0, help="hidden size of a block's feed-forward layer, as a multiple of width")
    dropout: float = field(0.1, help="dropout inside the blocks")
    token_dropout: float = field(0.1, help="share of feature tokens hidden at random in training")
    numbers: str = field(
        "piecewise", help="piecewise (linear between quantiles) or linear tokens for numeric columns"
    )
    pooling: str = field("cls", help="cls, mean or attention")
    wide: float = field(3.0, help=WIDE)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        transformer(self.width, self.layers, self.heads, self.ffn, self.dropout)
        fractions("backbone", token_dropout=self.token_dropout)
        one_of("backbone.numbers", self.numbers, ("piecewise", "linear"))
        one_of("backbone.pooling", self.pooling, POOLINGS)
        if not self.layers and self.pooling == "cls":
            raise config_error(
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


@register("backbone", "vision")
class TimmConfig(BackboneConfig):
    """Any image network of timm, by name."""

    name: str = field(
        "resnet18", help="a timm architecture (resnet18, convnext_atto, vit_tiny_patch16_224, ...)"
    )
    pretrained: bool = field(False, help="fetch its published weights from the hub")
    weights: str | None = field(
        None, help="a local file of weights instead (.safetensors; .bin, .pth without pickle)"
    )
    normalisation: str = field("batch", help="batch (as published) or group (GroupNorm: right under privacy)")
    stem: str = field(
        "auto",
        help="how much the first layers shrink the image: published, 1, 2, 4, 8 or 16; auto: 2 below 48 px",
    )
    colours: str = field(
        "auto", help="scaling of pixels: auto (imagenet with published weights), imagenet, own (-1 to 1)"
    )
    drop_path: float = field(0.0, help="share of residual branches skipped at random in training")
    wide: float = field(1.0, help=WIDE)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        one_of("backbone.normalisation", self.normalisation, ("batch", "group"))
        one_of("backbone.stem", self.stem, ("auto", "published", "1", "2", "4", "8", "16"))
        one_of("backbone.colours", self.colours, ("auto", "imagenet", "own"))
        fractions("backbone", drop_path=self.drop_path)
        if self.pretrained and self.weights is not None:
            raise config_error("backbone.weights", self.weights, "give a file or pretrained=true, not both")
        at_least_zero("backbone", wide=self.wide)

    def build(self, layout: Layout, seed: int) -> TimmBackbone:
        """Make or load the network for this image size."""
        from core.backbones.timm_backbone import TimmBackbone

        self.check()
        return TimmBackbone(layout, self, seed)

    def rebuild(self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None) -> TimmBackbone:
        """Make the network of a saved run, fetching nothing; weights are put in afterwards."""
        from core.backbones.timm_backbone import TimmBackbone

        self.check()
        return TimmBackbone(layout, self, seed, fetch=False)


@register("backbone", "cnn")
class ResNetGNConfig(BackboneConfig):
    """Small residual CNN with GroupNorm, for 32 to 96 px on two cores."""

    width: int = field(16, help="channels of the first stage; doubled by each further stage")
    blocks: list[int] = field(
        [1, 1, 1, 1], help="residual blocks of each stage; each stage after the first halves the image"
    )
    groups: int = field(8, help="channels in one group of GroupNorm")
    stem: str = field("auto", help="stride of the first convolution: auto (2 from 48 px, else 1), 1, 2 or 4")
    dropout: float = field(0.0, help="dropout on the pooled features")
    wide: float = field(1.0, help=WIDE)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        positive("backbone", width=self.width, groups=self.groups)
        one_of("backbone.stem", self.stem, ("auto", "1", "2", "4"))
        if not self.blocks or min(self.blocks) < 1:
            raise config_error(
                "backbone.blocks", self.blocks, "it must be a list of numbers above 0, one a stage"
            )
        if self.width % self.groups:
            raise config_error("backbone.groups", self.groups, f"it must divide backbone.width={self.width}")
        fractions("backbone", dropout=self.dropout)
        at_least_zero("backbone", wide=self.wide)

    def build(self, layout: Layout, seed: int) -> ResNetGN:
        """Make the network for this image size."""
        from core.backbones.resnet_gn import ResNetGN

        self.check()
        return ResNetGN(layout, self, seed)

    def rebuild(self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None) -> ResNetGN:
        """Make the network of a saved run, whose weights are put in afterwards."""
        return self.build(layout, seed)


@register("backbone", "signal")
class CNN1dConfig(BackboneConfig):
    """Residual CNN over time with GroupNorm, for sampled signals."""

    width: int = field(32, help="channels of the first stage; doubled by every second stage")
    blocks: list[int] = field(
        [1, 1, 1, 1], help="residual blocks of each stage; each stage halves the signal"
    )
    kernel: int = field(7, help="samples a convolution sees; odd")
    groups: int = field(8, help="channels in one group of GroupNorm")
    dropout: float = field(0.1, help="dropout inside the blocks")
    pooling: str = field("mean_max", help="mean_max (both, side by side), mean or attention, over time")
    wide: float = field(1.0, help=WIDE)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        positive("backbone", width=self.width, groups=self.groups, kernel=self.kernel)
        if self.kernel % 2 == 0:
            raise config_error("backbone.kernel", self.kernel, "it must be odd")
        if not self.blocks or min(self.blocks) < 1:
            raise config_error(
                "backbone.blocks", self.blocks, "it must be a list of numbers above 0, one a stage"
            )
        if self.width % self.groups:
            raise config_error("backbone.groups", self.groups, f"it must divide backbone.width={self.width}")
        one_of("backbone.pooling", self.pooling, ("mean_max", "mean", "attention"))
        fractions("backbone", dropout=self.dropout)
        at_least_zero("backbone", wide=self.wide)

    def build(self, layout: Layout, seed: int) -> CNN1d:
        """Make the network for this number of channels and samples."""
        from core.backbones.cnn1d import CNN1d

        self.check()
        return CNN1d(layout, self, seed)

    def rebuild(
        self, layout: Layout, seed: int, architecture: dict[str, Json] | None = None
    ) -> CNN1d:
        """Make the network of a saved run, whose weights are put in afterwards."""
        return self.build(layout, seed)


@register("backbone", "sequence")
class SequenceConfig(BackboneConfig):
    """Transformer over events in time, or over patches of a sampled signal."""

    width: int = field(64, help="size of a token")
    layers: int = field(2, help="Transformer blocks")
    heads: int = field(4, help="attention heads")
    ffn: float = field(2.0, help="hidden size of a block's feed-forward layer, as a multiple of width")
    dropout: float = field(0.1, help="dropout inside the blocks")
    token_dropout: float = field(0.0, help="share of events hidden at random in training")
    causal: bool = field(False, help="an event sees only itself and earlier ones")
    patch: int = field(8, help="samples of a signal that make one token")
    pooling: str = field("attention", help="mean, attention, cls or last (the latest real event)")
    wide: float = field(1.0, help=WIDE)

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        transformer(self.width, self.layers, self.heads, self.ffn, self.dropout)
        positive("backbone", patch=self.patch)
        fractions("backbone", token_dropout=self.token_dropout)
        one_of("backbone.pooling", self.pooling, (*POOLINGS, "last"))
        if self.causal and self.pooling == "cls":
            raise config_error(
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
