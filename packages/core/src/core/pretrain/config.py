"""The options of ``python -m core.pretrain``: pure data. Imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, dataclass_transform

from hydra.core.config_store import ConfigStore

from core.config import MISSING, config_error, field
from core.config.validate import at_least_zero, fractions, one_of, positive

T = TypeVar("T")
RECIPES: dict[str, type] = {}
"""Name -> the class of its settings."""
BUILDS: dict[type, str] = {}
"""The class of a recipe's settings -> the path ``"module:function"`` of what reads its data and returns its job."""
_TARGET_MINUTES = "plan as many steps as this machine is estimated to take in so many minutes; 0: take steps"
_LABEL_SMOOTHING = "probability that is spread over all classes"
_CROP_PADDING = "pixels of reflection padding from which a random crop is cut"
_CUTOUT = "side of the square that is erased at random; 0: none"
_WARMUP = "fraction of the run in which the learning rate rises; it falls linearly afterwards"
_EMA = "decay of the exponential moving average of the weights, which is what is kept; 0: none"
_FP16 = "write the weights in half precision (the card records what it changes)"


@dataclass_transform()
def recipe(name: str, builds: str) -> Callable[[type[T]], type[T]]:
    """Return a decorator that registers a dataclass as ``recipe=name``; its defaults are the only defaults."""

    def register(cls: type[T]) -> type[T]:
        made = dataclass(cls)
        RECIPES[name] = made
        BUILDS[made] = builds
        ConfigStore.instance().store(group="recipe", name=name, node=made, provider="core")
        return made

    return register


@dataclass
class Recipe:
    """The base of all recipes."""

    steps: int = field(8000, help="optimizer steps; ignored with target_minutes")
    target_minutes: float = field(0.0, help=_TARGET_MINUTES)


@recipe("cnn", builds="core.pretrain.cnn:cnn_small_job")
class CnnRecipe(Recipe):
    """Weights of backbone=cnn_small: object and traffic sign classification at once, one head each."""

    objects: str = field(
        "core/cifar10/cifar10.parquet",
        help="CIFAR-10, here or under PLINTH_DATA; only its training set is read; empty: weights that never saw it",
    )
    signs: str = field(
        "driving/gtsrb/gtsrb_32x32.parquet",
        help="GTSRB, here or under PLINTH_DATA; only its training set is read; empty: none",
    )
    signs_fraction: float = field(0.25, help="fraction of each batch that is signs")
    validation_fraction: float = field(
        0.04, help="fraction of each training set (signs: of tracks) held out for validation"
    )
    batch_size: int = field(128, help="images per optimizer step")
    lr: float = field(0.2, help="peak learning rate of SGD with Nesterov momentum")
    momentum: float = field(0.9, help="momentum factor")
    weight_decay: float = field(5e-4, help="L2 penalty on kernels and matrices")
    warmup: float = field(0.15, help=_WARMUP)
    label_smoothing: float = field(0.1, help=_LABEL_SMOOTHING)
    crop_padding: int = field(4, help=_CROP_PADDING)
    cutout: int = field(8, help=_CUTOUT)
    ema: float = field(0.998, help=_EMA)
    fp16: bool = field(True, help=_FP16)

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        _check_steps(self.steps, self.target_minutes)
        _check_batch("batch_size", self.batch_size, self.lr)
        _check_fractions(
            self, "signs_fraction", "validation_fraction", "label_smoothing", "ema", "momentum", "warmup"
        )
        if not self.objects and not self.signs:
            raise config_error("recipe.objects", self.objects, "set a data set here or in recipe.signs")


@recipe("cifar10", builds="core.pretrain.cnn:cifar10_job")
class CifarRecipe(Recipe):
    """CIFAR-10 alone, from random initialization, evaluated on its test set: accuracy and speed."""

    objects: str = field("core/cifar10/cifar10.parquet", help="CIFAR-10, here or under PLINTH_DATA")
    steps: int = field(0, help="optimizer steps; 0 counts epochs")
    epochs: float = field(
        40.0, help="epochs over the 50,000 training images; ignored with target_minutes or steps"
    )
    batch_size: int = field(1024, help="images per optimizer step")
    stem_channels: int = field(32, help="channels at full resolution")
    channels: list[int] = field([128, 384, 512], help="channels of each stage")
    blocks: list[int] = field([1, 1, 1], help="residual blocks of each stage")
    norm: str = field("batch", help="batch or group normalization")
    max_pool: bool = field(True, help="halve by max pooling instead of by the convolution's stride")
    lr: float = field(0.5, help="peak learning rate of SGD with Nesterov momentum")
    momentum: float = field(0.9, help="momentum factor")
    weight_decay: float = field(5e-4, help="L2 penalty on kernels and matrices")
    warmup: float = field(0.15, help=_WARMUP)
    label_smoothing: float = field(0.1, help=_LABEL_SMOOTHING)
    crop_padding: int = field(4, help=_CROP_PADDING)
    cutout: int = field(8, help=_CUTOUT)
    ema: float = field(0.995, help="decay of the exponential moving average that is evaluated; 0: none")
    tta_views: int = field(
        6, help="test-time augmentation: views averaged: 1, 2 (mirrored) or 6 (shifted by a pixel too)"
    )
    validate_every_epochs: float = field(
        1.0, help="epochs between evaluations of the test set, whose time does not count"
    )

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        _check_steps(self.steps or 1, self.target_minutes)
        _check_batch("batch_size", self.batch_size, self.lr)
        _check_fractions(self, "label_smoothing", "ema", "momentum", "warmup")
        one_of("recipe.norm", self.norm, ("batch", "group"))
        one_of("recipe.tta_views", self.tta_views, (1, 2, 6))
        if len(self.channels) != len(self.blocks) or not self.channels:
            raise config_error("recipe.blocks", list(self.blocks), "as many numbers as recipe.channels")
        if self.norm == "group" and any(c % 16 for c in (self.stem_channels, *self.channels)):
            raise config_error(
                "recipe.channels", list(self.channels), "multiples of 16 (channels of a group), the stem too"
            )


@recipe("text", builds="core.pretrain.text:text_small_job")
class TextRecipe(Recipe):
    """Weights and tokenizer of backbone=text_small: masked language modeling, then contrastive learning of pairs."""

    novels: str = field(
        "text/english_novels/english_novels.jsonl.xz", help="novels, here or under PLINTH_DATA; empty: none"
    )
    medical: str = field(
        "healthcare/medquad/medquad.jsonl.xz", help="medical questions and answers; empty: none"
    )
    commands: list[str] = field(
        ["smarthome/snips_nlu/snips.jsonl.gz", "smarthome/slurp"],
        help="utterances to assistants (SNIPS, SLURP): training sets without sentences of the test sets",
    )
    source_weights: list[float] = field(
        [0.45, 0.43, 0.12], help="sampling weight of novels, medical texts, commands"
    )
    vocab_size: int = field(8192, help="tokens of the byte-level BPE that is trained first")
    initial_weights: str = field(
        "random",
        help="random, pretrained (those of core) or a file of an earlier run (its card beside it), from the same "
        "texts and seed, whose training is continued",
    )
    steps: int = field(5000, help="optimizer steps; ignored with target_minutes")
    batch_tokens: int = field(4096, help="tokens per optimizer step")
    max_length: int = field(128, help="tokens of a row")
    long_rows_every: int = field(
        8, help="each so-many-th step has rows four times as long, fewer of them; 0: none"
    )
    mask_fraction: float = field(0.35, help="fraction of the tokens that are masked and predicted")
    contrastive_from: float = field(
        0.75, help="fraction of the run after which every second step is contrastive; 1: none"
    )
    contrastive_pairs: int = field(
        48, help="pairs of texts in a contrastive step; each text must identify its partner among them"
    )
    pair_max_length: int = field(48, help="tokens of a text of a pair; longer ones are truncated")
    temperature: float = field(0.05, help="softmax temperature of the cosine similarities of pairs")
    optimizer: str = field("muon", help="muon or adamw")
    lr: float = field(3e-3, help="peak learning rate")
    weight_decay: float = field(0.02, help="decoupled weight decay of matrices")
    ema: float = field(0.998, help=_EMA)
    dropout: float = field(0.1, help="dropout in contrastive steps")
    ppmi_init: bool = field(
        True, help="initialize embeddings by factorized co-occurrence (positive PMI) of tokens"
    )
    validation_fraction: float = field(0.01, help="fraction of the texts held out for validation")
    fp16: bool = field(True, help=_FP16)

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        _check_steps(self.steps, self.target_minutes)
        _check_batch("batch_tokens", self.batch_tokens, self.lr)
        _check_fractions(self, "mask_fraction", "ema", "dropout", "validation_fraction")
        one_of("recipe.optimizer", self.optimizer, ("muon", "adamw"))
        weights = self.source_weights
        if len(weights) != 3 or min(weights) < 0 or sum(weights) <= 0:
            raise config_error(
                "recipe.source_weights",
                list(weights),
                "three numbers of 0 or more: novels, medical, commands",
            )
        if self.batch_tokens < self.max_length:
            raise config_error(
                "recipe.batch_tokens", self.batch_tokens, f"at least recipe.max_length={self.max_length}"
            )


@dataclass
class PretrainConfig:
    """One pretraining."""

    defaults: list[Any] = dataclasses.field(default_factory=lambda: [{"recipe": "cnn"}])
    recipe: Recipe = MISSING
    seed: int = field(0, help="every random choice derives from it")
    device: str = field("auto", help="auto, cpu, cuda, cuda:1, mps")
    threads: int = field(0, help="processor threads; 0 lets torch decide")
    precision: str = field("auto", help="auto (bf16 where the device has it natively), bf16, fp32")
    compile: bool = field(False, help="compile the network with torch.compile before the first step")
    checkpoint_every_minutes: float = field(2.0, help="minutes between checkpoints; 0: none but the last")
    progress: str = field("auto", help="auto (bar on a terminal, lines elsewhere), bar, lines, none")
    region: str = field("world", help="whose electricity it is, for the carbon emissions")
    install: bool = field(
        False,
        help="also put weights, card and tokenizer where backbone= and encoder.text.tokenizer= find them",
    )

    def __post_init__(self) -> None:
        """Raise ValueError for an impossible value, with its key."""
        one_of("precision", self.precision, ("auto", "bf16", "fp32"))
        one_of("progress", self.progress, ("auto", "bar", "lines", "none"))
        at_least_zero("pretrain", checkpoint_every_minutes=self.checkpoint_every_minutes)


def recipe_name(chosen: Recipe) -> str:
    """Return the name of the recipe that settings belong to."""
    return next(name for name, cls in RECIPES.items() if type(chosen) is cls)


def _check_steps(steps: int, target_minutes: float) -> None:
    at_least_zero("recipe", target_minutes=target_minutes)
    if not target_minutes and steps < 1:
        raise config_error("recipe.steps", steps, "1 or more, or set recipe.target_minutes")


def _check_batch(key: str, size: int, lr: float) -> None:
    if size < 2:
        raise config_error(f"recipe.{key}", size, "2 or more")
    positive("recipe", lr=lr)


def _check_fractions(chosen: Recipe, *keys: str) -> None:
    fractions("recipe", **{key: getattr(chosen, key) for key in keys})
