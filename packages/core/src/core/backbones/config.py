"""The ``backbone=`` options: pure data. ``adapter_config`` has the ``adapter=`` options, imported here to register."""

from __future__ import annotations

from core.backbones.adapter_config import FullConfig as FullConfig
from core.backbones.adapter_config import LinearProbeConfig as LinearProbeConfig
from core.backbones.adapter_config import LoraAdapterConfig as LoraAdapterConfig
from core.config import BackboneConfig, config_error, field, register
from core.config.validate import at_least_zero, fractions, one_of, positive

POOLINGS = ("mean", "attention", "cls")
STRIDES = ("auto", "1", "2", "4")
_LINEAR_BRANCH = (
    "linear branch from numbers, categories and TF-IDF to the outputs (Wide & Deep): its learning rate as a multiple "
    "of the network's; 0: none"
)
_WORD_LINEAR_BRANCH = (
    "linear branch from a word's features (encoder.text.word_features) to its label: its learning rate as a multiple "
    "of the network's; 0: none"
)
_WEIGHTS = "pretrained (part of this package), random, or a local .safetensors file of the same network"
_MLP_RATIO = "hidden size of a block's MLP, as a multiple of hidden_size"
_CHANNELS_PER_GROUP = "channels in one group of GroupNorm"
_MIRROR = (
    "features are invariant to horizontal flips: half as many, and half the noise under differential privacy"
)


@register("backbone", "tabular", builds="core.backbones.tabular:TabularTransformer")
class TabularConfig(BackboneConfig):
    """FT-Transformer over columns (and a short text), with a linear branch beside it."""

    hidden_size: int = field(32, help="size of a token")
    num_layers: int = field(1, help="Transformer blocks; 0: none")
    num_heads: int = field(4, help="attention heads")
    mlp_ratio: float = field(2.0, help=_MLP_RATIO)
    dropout: float = field(0.1, help="dropout inside the blocks")
    token_dropout: float = field(0.1, help="fraction of feature tokens masked at random in training")
    numeric_embedding: str = field(
        "piecewise", help="piecewise (linear between quantiles) or linear embedding of numeric columns"
    )
    pooling: str = field("cls", help="cls, mean or attention")
    linear_branch_lr_scale: float = field(3.0, help=_LINEAR_BRANCH)

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        _check_transformer(self.hidden_size, self.num_layers, self.num_heads, self.mlp_ratio, self.dropout)
        fractions("backbone", token_dropout=self.token_dropout)
        one_of("backbone.numeric_embedding", self.numeric_embedding, ("piecewise", "linear"))
        one_of("backbone.pooling", self.pooling, POOLINGS)
        _check_cls(self.num_layers, self.pooling)
        at_least_zero("backbone", linear_branch_lr_scale=self.linear_branch_lr_scale)


@register("backbone", "text", builds="core.backbones.text:TextTransformer")
class TextConfig(BackboneConfig):
    """Small Transformer encoder over a text's tokens, with a linear branch (TF-IDF) beside it."""

    hidden_size: int = field(128, help="size of a token")
    num_layers: int = field(2, help="Transformer blocks; 0: the embeddings are pooled as they are")
    num_heads: int = field(4, help="attention heads")
    mlp_ratio: float = field(2.0, help=_MLP_RATIO)
    dropout: float = field(0.1, help="dropout after the embeddings and inside the blocks")
    token_dropout: float = field(0.0, help="fraction of tokens masked at random in training")
    pooling: str = field("attention", help="mean, attention or cls")
    linear_branch_lr_scale: float = field(1.0, help=_LINEAR_BRANCH)
    lsa_components: int = field(
        0, help="latent semantic components of TF-IDF, trained further, beside the tokens; 0: none"
    )
    tfidf_dropout: float = field(
        0.3, help="fraction of TF-IDF features dropped before lsa_components in training"
    )

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        _check_transformer(self.hidden_size, self.num_layers, self.num_heads, self.mlp_ratio, self.dropout)
        fractions("backbone", token_dropout=self.token_dropout, tfidf_dropout=self.tfidf_dropout)
        one_of("backbone.pooling", self.pooling, POOLINGS)
        _check_cls(self.num_layers, self.pooling)
        at_least_zero(
            "backbone",
            linear_branch_lr_scale=self.linear_branch_lr_scale,
            lsa_components=self.lsa_components,
        )


@register("backbone", "words", builds="core.backbones.words:WordTransformer")
class WordsConfig(BackboneConfig):
    """Transformer over words and their features (encoder.text.word_features), with linear branches beside it."""

    hidden_size: int = field(96, help="size of a word's embedding")
    num_layers: int = field(2, help="Transformer blocks")
    num_heads: int = field(4, help="attention heads")
    mlp_ratio: float = field(2.0, help=_MLP_RATIO)
    dropout: float = field(0.2, help="dropout after the embeddings and inside the blocks")
    feature_dropout: float = field(0.1, help="fraction of a word's features dropped at random in training")
    pooling: str = field("attention", help="mean, attention or cls")
    linear_branch_lr_scale: float = field(1.0, help=_LINEAR_BRANCH)
    word_linear_branch_lr_scale: float = field(1.0, help=_WORD_LINEAR_BRANCH)

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        _check_transformer(self.hidden_size, self.num_layers, self.num_heads, self.mlp_ratio, self.dropout)
        fractions("backbone", feature_dropout=self.feature_dropout)
        one_of("backbone.pooling", self.pooling, POOLINGS)
        at_least_zero(
            "backbone",
            linear_branch_lr_scale=self.linear_branch_lr_scale,
            word_linear_branch_lr_scale=self.word_linear_branch_lr_scale,
        )


@register("backbone", "sequence", builds="core.backbones.sequence:SequenceTransformer")
class SequenceConfig(BackboneConfig):
    """Transformer over events in time, or over patches of a sampled signal."""

    hidden_size: int = field(64, help="size of a token")
    num_layers: int = field(2, help="Transformer blocks")
    num_heads: int = field(4, help="attention heads")
    mlp_ratio: float = field(2.0, help=_MLP_RATIO)
    dropout: float = field(0.1, help="dropout inside the blocks")
    token_dropout: float = field(0.0, help="fraction of events masked at random in training")
    causal: bool = field(False, help="causal attention: an event attends to itself and earlier ones only")
    patch_size: int = field(8, help="samples of a signal in one token")
    pooling: str = field("attention", help="mean, attention, cls or last (the latest real event)")
    linear_branch_lr_scale: float = field(1.0, help=_LINEAR_BRANCH)

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        _check_transformer(self.hidden_size, self.num_layers, self.num_heads, self.mlp_ratio, self.dropout)
        positive("backbone", patch_size=self.patch_size)
        fractions("backbone", token_dropout=self.token_dropout)
        one_of("backbone.pooling", self.pooling, (*POOLINGS, "last"))
        if self.causal and self.pooling == "cls":
            raise config_error(
                "backbone.pooling",
                self.pooling,
                "in a causal network the first token attends to nothing; use last",
            )
        at_least_zero("backbone", linear_branch_lr_scale=self.linear_branch_lr_scale)


@register("backbone", "cnn1d", builds="core.backbones.cnn1d:CNN1d")
class CNN1dConfig(BackboneConfig):
    """1D residual CNN with GroupNorm, for sampled signals."""

    hidden_size: int = field(32, help="channels of the first stage; doubled by every second stage")
    blocks: list[int] = field(
        [1, 1, 1, 1], help="residual blocks of each stage; each stage halves the signal"
    )
    kernel_size: int = field(7, help="samples of a convolution's kernel; odd")
    channels_per_group: int = field(8, help=_CHANNELS_PER_GROUP)
    dropout: float = field(0.1, help="dropout inside the blocks")
    pooling: str = field("mean_max", help="mean_max (both, concatenated), mean or attention, over time")
    linear_branch_lr_scale: float = field(1.0, help=_LINEAR_BRANCH)

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        _check_stages(self.hidden_size, self.blocks, self.channels_per_group)
        positive("backbone", kernel_size=self.kernel_size)
        if self.kernel_size % 2 == 0:
            raise config_error("backbone.kernel_size", self.kernel_size, "it must be odd")
        one_of("backbone.pooling", self.pooling, ("mean_max", "mean", "attention"))
        fractions("backbone", dropout=self.dropout)
        at_least_zero("backbone", linear_branch_lr_scale=self.linear_branch_lr_scale)


@register("backbone", "resnet_gn", builds="core.backbones.resnet_gn:ResNetGN")
class ResNetGNConfig(BackboneConfig):
    """Small ResNet with GroupNorm, for images of 32 to 96 pixels on two cores."""

    hidden_size: int = field(16, help="channels of the first stage; doubled by each further stage")
    blocks: list[int] = field(
        [1, 1, 1, 1], help="residual blocks of each stage; each stage after the first halves the image"
    )
    channels_per_group: int = field(8, help=_CHANNELS_PER_GROUP)
    stem_stride: str = field(
        "auto", help="stride of the first convolution: auto (2 from 48 px, else 1), 1, 2 or 4"
    )
    dropout: float = field(0.0, help="dropout on the pooled features")
    linear_branch_lr_scale: float = field(1.0, help=_LINEAR_BRANCH)

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        _check_stages(self.hidden_size, self.blocks, self.channels_per_group)
        one_of("backbone.stem_stride", self.stem_stride, STRIDES)
        fractions("backbone", dropout=self.dropout)
        at_least_zero("backbone", linear_branch_lr_scale=self.linear_branch_lr_scale)


@register("backbone", "cnn_small", builds="core.backbones.cnn_small:CnnSmall")
class CnnSmallConfig(BackboneConfig):
    """Residual CNN with GroupNorm of 3.3 million weights, pretrained; 32 to 96 px."""

    weights: str = field("pretrained", help=_WEIGHTS)
    stem_stride: str = field(
        "auto", help="stride of the first convolution: auto (2 from 48 px, 4 from 128 px, else 1), 1, 2 or 4"
    )
    dropout: float = field(0.0, help="dropout on the pooled features")
    linear_branch_lr_scale: float = field(1.0, help=_LINEAR_BRANCH)

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        one_of("backbone.stem_stride", self.stem_stride, STRIDES)
        fractions("backbone", dropout=self.dropout)
        at_least_zero("backbone", linear_branch_lr_scale=self.linear_branch_lr_scale)


@register("backbone", "text_small", builds="core.backbones.text_small:TextSmall")
class TextSmallConfig(BackboneConfig):
    """Transformer encoder of 5.3 million weights, pretrained, with encoder.text.tokenizer=text_small."""

    weights: str = field("pretrained", help=_WEIGHTS)
    pooling: str = field("mean", help="mean, attention or cls")
    dropout: float = field(0.1, help="dropout after the embeddings and inside the blocks")
    token_dropout: float = field(0.0, help="fraction of tokens masked at random in training")
    linear_branch_lr_scale: float = field(1.0, help=_LINEAR_BRANCH)
    word_linear_branch_lr_scale: float = field(1.0, help=_WORD_LINEAR_BRANCH)

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        one_of("backbone.pooling", self.pooling, POOLINGS)
        fractions("backbone", dropout=self.dropout, token_dropout=self.token_dropout)
        at_least_zero(
            "backbone",
            linear_branch_lr_scale=self.linear_branch_lr_scale,
            word_linear_branch_lr_scale=self.word_linear_branch_lr_scale,
        )


@register("backbone", "timm", builds="core.backbones.timm_backbone:TimmBackbone")
class TimmConfig(BackboneConfig):
    """Any image network of timm, by name."""

    name: str = field(
        "resnet18", help="a timm architecture (resnet18, convnext_atto, vit_tiny_patch16_224, ...)"
    )
    pretrained: bool = field(False, help="load its published weights from the hub")
    weights: str | None = field(
        None, help="a local file of weights instead (.safetensors; .bin, .pth without pickle)"
    )
    norm: str = field("batch", help="batch (as published) or group (GroupNorm: valid under privacy)")
    stem_stride: str = field(
        "auto",
        help="downsampling by the first layers: published, 1, 2, 4, 8 or 16; auto: 2 below 48 px",
    )
    pixel_norm: str = field(
        "auto",
        help="normalization of pixels: auto (imagenet with published weights), imagenet, symmetric (-1 to 1)",
    )
    drop_path: float = field(0.0, help="stochastic depth: fraction of residual branches dropped in training")
    linear_branch_lr_scale: float = field(1.0, help=_LINEAR_BRANCH)

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        one_of("backbone.norm", self.norm, ("batch", "group"))
        one_of("backbone.stem_stride", self.stem_stride, (*STRIDES, "published", "8", "16"))
        one_of("backbone.pixel_norm", self.pixel_norm, ("auto", "imagenet", "symmetric"))
        fractions("backbone", drop_path=self.drop_path)
        if self.pretrained and self.weights is not None:
            raise config_error("backbone.weights", self.weights, "set a file or pretrained=true, not both")
        at_least_zero("backbone", linear_branch_lr_scale=self.linear_branch_lr_scale)


@register("backbone", "transformers", builds="core.backbones.transformers_backbone:TransformersBackbone")
class TransformersConfig(BackboneConfig):
    """Any text network of transformers, by name or from a local folder."""

    name: str = field(
        "distilbert-base-uncased", help="a model's name on the hub, an architecture, or a local folder"
    )
    pretrained: bool = field(
        True, help="load its weights; false: its architecture only, with random initialization"
    )
    config_overrides: dict[str, int] = field(
        {}, help="with pretrained=false: sizes to change (hidden_size: 128, ...)"
    )
    pooling: str = field("mean", help="mean, attention, cls or last (for causal networks)")
    linear_branch_lr_scale: float = field(1.0, help=_LINEAR_BRANCH)
    word_linear_branch_lr_scale: float = field(1.0, help=_WORD_LINEAR_BRANCH)

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        one_of("backbone.pooling", self.pooling, (*POOLINGS, "last"))
        if self.pretrained and self.config_overrides:
            raise config_error(
                "backbone.config_overrides",
                self.config_overrides,
                "sizes can be changed with backbone.pretrained=false only",
            )
        at_least_zero(
            "backbone",
            linear_branch_lr_scale=self.linear_branch_lr_scale,
            word_linear_branch_lr_scale=self.word_linear_branch_lr_scale,
        )


@register("backbone", "scattering", builds="core.backbones.scattering:ScatteringNet")
class ScatteringConfig(BackboneConfig):
    """Wavelet scattering of an image: features without training, for small privacy budgets and few labels."""

    scales: int = field(2, help="wavelet scales; each halves the image")
    orientations: int = field(8, help="orientations of the wavelets")
    norm_window: int = field(3, help="neighboring coefficients that are normalized together, within an image")
    color_space: str = field(
        "opponent",
        help="opponent (of three channels: brightness and two differences, Ohta et al. 1980) or rgb",
    )
    standardize: str = field(
        "dead_leaves",
        help="dead_leaves (each coefficient by its mean and deviation over synthetic images: no data is read) or none",
    )
    mirror: bool = field(False, help=_MIRROR)
    conv_channels: list[int] = field(
        [], help="channels of 3 x 3 convolutions on the coefficients; empty: the head reads all coefficients"
    )
    linear_branch_lr_scale: float = field(1.0, help=_LINEAR_BRANCH)

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        positive("backbone", scales=self.scales, orientations=self.orientations, norm_window=self.norm_window)
        one_of("backbone.color_space", self.color_space, ("opponent", "rgb"))
        one_of("backbone.standardize", self.standardize, ("dead_leaves", "none"))
        if self.mirror and self.conv_channels:
            raise config_error(
                "backbone.mirror", True, "false with backbone.conv_channels: convolutions need the whole map"
            )
        if any(c < 16 or c % 16 for c in self.conv_channels):
            raise config_error(
                "backbone.conv_channels",
                list(self.conv_channels),
                "multiples of 16 (channels of one GroupNorm group)",
            )
        at_least_zero("backbone", linear_branch_lr_scale=self.linear_branch_lr_scale)


@register("backbone", "patches", builds="core.backbones.patches:PatchNet")
class PatchesConfig(BackboneConfig):
    """Similarity of an image's patches to random patches of synthetic images: fixed features, for privacy."""

    num_patches: int = field(512, help="patches of the dictionary, half of them mirror images of the others")
    patch_size: int = field(6, help="pixels a side of a patch")
    pool_grid: int = field(4, help="regions a side of the image over which similarities are averaged")
    threshold: float = field(
        2.0,
        help="soft threshold of a similarity, in standard deviations of random directions: higher gives sparser "
        "coefficients",
    )
    mirror: bool = field(False, help=_MIRROR)
    linear_branch_lr_scale: float = field(1.0, help=_LINEAR_BRANCH)

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        positive("backbone", num_patches=self.num_patches, pool_grid=self.pool_grid)
        at_least_zero(
            "backbone", linear_branch_lr_scale=self.linear_branch_lr_scale, threshold=self.threshold
        )
        if self.num_patches % 2:
            raise config_error(
                "backbone.num_patches", self.num_patches, "an even number: each patch and its mirror image"
            )
        if self.patch_size < 2:
            raise config_error("backbone.patch_size", self.patch_size, "2 or more: one pixel has no contrast")


def _check_transformer(
    hidden_size: int, num_layers: int, num_heads: int, mlp_ratio: float, dropout: float
) -> None:
    positive("backbone", hidden_size=hidden_size, num_heads=num_heads, mlp_ratio=mlp_ratio)
    at_least_zero("backbone", num_layers=num_layers)
    if hidden_size % num_heads:
        raise config_error(
            "backbone.num_heads", num_heads, f"it must divide backbone.hidden_size={hidden_size}"
        )
    fractions("backbone", dropout=dropout)


def _check_cls(num_layers: int, pooling: str) -> None:
    if not num_layers and pooling == "cls":
        raise config_error(
            "backbone.pooling",
            pooling,
            "without layers the first token attends to nothing; use mean or attention",
        )


def _check_stages(hidden_size: int, blocks: list[int], channels_per_group: int) -> None:
    positive("backbone", hidden_size=hidden_size, channels_per_group=channels_per_group)
    if not blocks or min(blocks) < 1:
        raise config_error("backbone.blocks", list(blocks), "a list of numbers above 0, one a stage")
    if hidden_size % channels_per_group:
        raise config_error(
            "backbone.channels_per_group",
            channels_per_group,
            f"it must divide backbone.hidden_size={hidden_size}",
        )
