"""The options of ``python -m core.pretrain``. Imports no torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.config_store import ConfigStore

from core.config import MISSING, config_error, field
from core.config.validate import at_least_zero, fractions, one_of, positive

T = TypeVar("T")
RECIPES: dict[str, type] = {}
"""Name -> the class of its settings."""


def recipe(name: str) -> Callable[[type[T]], type[T]]:
    """Register a dataclass as ``recipe=name``; its defaults are the only defaults."""

    def register(cls: type[T]) -> type[T]:
        made = dataclass(cls)
        RECIPES[name] = made
        ConfigStore.instance().store(group="recipe", name=name, node=made, provider="core")
        return made

    return register


@recipe("cnn")
class CnnRecipe:
    """Weights of backbone=cnn_small: objects and traffic signs at once, a head each on one trunk."""

    objects: str = field(
        "core/cifar10/cifar10.parquet",
        help="CIFAR-10, here or under PLINTH_DATA; only its training part is read; empty: weights that never saw it",
    )
    signs: str = field(
        "driving/gtsrb/gtsrb_32x32.parquet",
        help="GTSRB, here or under PLINTH_DATA; only its training part is read; empty: none",
    )
    signs_share: float = field(0.25, help="share of each batch that is signs")
    held_out: float = field(
        0.04, help="share of each training part (signs: of tracks) that only watches the training"
    )
    steps: int = field(8000, help="optimizer steps; ignored where minutes is given")
    minutes: float = field(
        0.0, help="take as many steps as this machine is estimated to make in so many minutes"
    )
    batch_size: int = field(128, help="pictures of one step")
    rate: float = field(0.2, help="peak learning rate of SGD with Nesterov momentum")
    momentum: float = field(0.9, help="its momentum")
    weight_decay: float = field(5e-4, help="L2 penalty on kernels and matrices")
    warmup: float = field(0.15, help="share of the run in which the rate rises; it falls linearly afterwards")
    smoothing: float = field(0.1, help="share of the truth that is spread over all classes")
    move: int = field(4, help="most pixels by which a picture is moved, its edge mirrored")
    cutout: int = field(8, help="side of the square that is blanked; 0: none")
    ema: float = field(0.998, help="decay of the average of the weights, which is what is kept; 0: none")
    fp16: bool = field(True, help="write the weights in half precision (what it changes is in the record)")

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _check_run(self.steps, self.minutes, self.batch_size, self.rate)
        _shares(self, "signs_share", "held_out", "smoothing", "ema", "momentum", "warmup")
        if not self.objects and not self.signs:
            raise config_error("recipe.objects", self.objects, "a set of pictures, or give recipe.signs")


@recipe("cifar10")
class CifarRecipe:
    """CIFAR-10 alone, from scratch, judged on its test part: how good, how fast."""

    objects: str = field("core/cifar10/cifar10.parquet", help="CIFAR-10, here or under PLINTH_DATA")
    steps: int = field(0, help="optimizer steps; 0 counts epochs")
    epochs: float = field(
        40.0, help="passes over the 50,000 training pictures; ignored where minutes or steps is given"
    )
    minutes: float = field(
        0.0, help="take as many steps as this machine is estimated to make in so many minutes"
    )
    batch_size: int = field(1024, help="pictures of one step")
    stem: int = field(32, help="channels at full resolution")
    widths: list[int] = field([128, 384, 512], help="channels of each stage")
    blocks: list[int] = field([1, 1, 1], help="residual blocks of each stage")
    norm: str = field("batch", help="batch or group normalisation")
    pool: bool = field(True, help="halve by a maximum instead of by the convolution's stride")
    rate: float = field(0.5, help="peak learning rate of SGD with Nesterov momentum")
    momentum: float = field(0.9, help="its momentum")
    weight_decay: float = field(5e-4, help="L2 penalty on kernels and matrices")
    warmup: float = field(0.15, help="share of the run in which the rate rises; it falls linearly afterwards")
    smoothing: float = field(0.1, help="share of the truth that is spread over all classes")
    move: int = field(4, help="most pixels by which a picture is moved, its edge mirrored")
    cutout: int = field(8, help="side of the square that is blanked; 0: none")
    ema: float = field(0.995, help="decay of the average of the weights that is judged; 0: none")
    views: int = field(
        6, help="views of a test picture whose answers are averaged: 1, 2 (mirrored) or 6 (moved too)"
    )
    judge_every: float = field(1.0, help="epochs between looks at the test part, whose time does not count")

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _check_run(self.steps or 1, self.minutes, self.batch_size, self.rate)
        _shares(self, "smoothing", "ema", "momentum", "warmup")
        one_of("recipe.norm", self.norm, ("batch", "group"))
        one_of("recipe.views", self.views, (1, 2, 6))
        if len(self.widths) != len(self.blocks) or not self.widths:
            raise config_error("recipe.blocks", list(self.blocks), "as many numbers as recipe.widths")
        if self.norm == "group" and any(w % 16 for w in (self.stem, *self.widths)):
            raise config_error(
                "recipe.widths", list(self.widths), "multiples of 16 (channels of one group), the stem too"
            )


@recipe("text")
class TextRecipe:
    """Weights and tokenizer of backbone=text_small: hidden tokens first, then which two texts belong together."""

    novels: str = field(
        "text/english_novels/english_novels.jsonl.xz", help="novels, here or under PLINTH_DATA; empty: none"
    )
    medical: str = field(
        "healthcare/medquad/medquad.jsonl.xz", help="medical questions and answers; empty: none"
    )
    commands: list[str] = field(
        ["smarthome/snips_nlu/snips.jsonl.gz", "smarthome/slurp"],
        help="utterances to assistants (SNIPS, SLURP): training parts without sentences of the test parts",
    )
    fractions: list[float] = field(
        [0.45, 0.43, 0.12], help="share of the rows from novels, medical texts, commands"
    )
    vocabulary: int = field(8192, help="tokens of the byte-level BPE that is trained first")
    start: str = field(
        "none",
        help="none, shipped or a former run's weights (their card beside them), from the same texts and seed: go on",
    )
    steps: int = field(5000, help="optimizer steps; ignored where minutes is given")
    minutes: float = field(
        0.0, help="take as many steps as this machine is estimated to make in so many minutes"
    )
    batch_tokens: int = field(4096, help="tokens of one step")
    length: int = field(128, help="tokens of a row")
    long_every: int = field(
        8, help="each so-many-th step has rows four times as long, fewer of them; 0: none"
    )
    hidden: float = field(0.35, help="share of the tokens that are hidden and guessed")
    pairs_from: float = field(
        0.75, help="share of the run after which every second step is about pairs of texts; 1: none"
    )
    pairs: int = field(48, help="pairs of texts of such a step; each text must find its partner among them")
    pair_length: int = field(48, help="most tokens of a text of a pair")
    temperature: float = field(0.05, help="divides the cosines of pairs")
    optimizer: str = field("muon", help="muon or adamw")
    rate: float = field(3e-3, help="peak learning rate")
    weight_decay: float = field(0.02, help="decay of matrices")
    ema: float = field(0.998, help="decay of the average of the weights, which is what is kept; 0: none")
    dropout: float = field(0.1, help="dropout in steps about pairs")
    cooccurrence: bool = field(True, help="start the embeddings from which tokens stand near each other")
    held_out: float = field(0.01, help="share of the texts that only watches the training")
    fp16: bool = field(True, help="write the weights in half precision (what it changes is in the record)")

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _check_run(self.steps, self.minutes, self.batch_tokens, self.rate)
        _shares(self, "hidden", "ema", "dropout", "held_out")
        one_of("recipe.optimizer", self.optimizer, ("muon", "adamw"))
        if len(self.shares) != 3 or min(self.shares) < 0 or sum(self.shares) <= 0:
            raise config_error(
                "recipe.shares", list(self.shares), "three numbers of 0 or more: novels, medical, commands"
            )
        if self.batch_tokens < self.length:
            raise config_error(
                "recipe.batch_tokens", self.batch_tokens, f"recipe.length={self.length} at least"
            )


@dataclass
class PretrainConfig:
    """One pretraining."""

    defaults: list[Any] = dataclasses.field(default_factory=lambda: [{"recipe": "cnn"}])
    recipe: Any = MISSING
    seed: int = field(0, help="every random choice derives from it")
    device: str = field("auto", help="auto, cpu, cuda, cuda:1, mps")
    threads: int = field(0, help="processor threads; 0 lets torch decide")
    precision: str = field("auto", help="auto (bf16 where the device has it natively), bf16, fp32")
    compile: bool = field(False, help="compile the network with torch.compile before the first step")
    checkpoint_minutes: float = field(2.0, help="minutes between checkpoints; 0: none but the last")
    progress: str = field("auto", help="auto (bar on a terminal, lines elsewhere), bar, lines, none")
    region: str = field("world", help="whose electricity it is, for the carbon figure")
    ship: bool = field(
        False, help="also put weights, card and tokenizer where backbone= and encoder.text.tokenizer= find them"
    )

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        one_of("precision", self.precision, ("auto", "bf16", "fp32"))
        self.recipe.check()


def name_of(chosen: object) -> str:
    """Name the recipe that settings belong to."""
    return next(name for name, cls in RECIPES.items() if type(chosen) is cls)


def folder_of_package(package: str, *below: str) -> Path:
    """Give a folder inside an installed package, for ``ship=true``."""
    from importlib.resources import files

    return Path(str(files(package).joinpath(*below)))


def _check_run(steps: int, minutes: float, batch: int, rate: float) -> None:
    at_least_zero("recipe", minutes=minutes)
    if not minutes and steps < 1:
        raise config_error("recipe.steps", steps, "1 or more, or give recipe.minutes")
    if batch < 2:
        raise config_error("recipe.batch_size", batch, "2 or more")
    positive("recipe", rate=rate)


def _shares(recipe: object, *keys: str) -> None:
    fractions("recipe", **{key: getattr(recipe, key) for key in keys})
