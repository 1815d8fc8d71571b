"""The options of ``python -m core.pretrain``. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hydra.core.config_store import ConfigStore

from core.checks import at_least_zero, one_of, positive, shares
from core.config import MISSING, setting, wrong

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

    objects: str = setting(
        "core/cifar10/cifar10.parquet",
        help="CIFAR-10, here or under PLINTH_DATA; only its training part is read; empty: weights that never saw it",
    )
    signs: str = setting(
        "driving/gtsrb/gtsrb_32x32.parquet",
        help="GTSRB, here or under PLINTH_DATA; only its training part is read; empty: none",
    )
    signs_share: float = setting(0.25, help="share of each batch that is signs")
    held_out: float = setting(
        0.04, help="share of each training part (signs: of tracks) that only watches the training"
    )
    steps: int = setting(8000, help="optimizer steps; ignored where minutes is given")
    minutes: float = setting(
        0.0, help="take as many steps as this machine is estimated to make in so many minutes"
    )
    batch_size: int = setting(128, help="pictures of one step")
    rate: float = setting(0.2, help="peak learning rate of SGD with Nesterov momentum")
    momentum: float = setting(0.9, help="its momentum")
    weight_decay: float = setting(5e-4, help="L2 penalty on kernels and matrices")
    warmup: float = setting(
        0.15, help="share of the run in which the rate rises; it falls linearly afterwards"
    )
    smoothing: float = setting(0.1, help="share of the truth that is spread over all classes")
    move: int = setting(4, help="most pixels by which a picture is moved, its edge mirrored")
    cutout: int = setting(8, help="side of the square that is blanked; 0: none")
    ema: float = setting(0.998, help="decay of the average of the weights, which is what is kept; 0: none")
    fp16: bool = setting(True, help="write the weights in half precision (what it changes is in the record)")

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _check_run(self.steps, self.minutes, self.batch_size, self.rate)
        _shares(self, "signs_share", "held_out", "smoothing", "ema", "momentum", "warmup")
        if not self.objects and not self.signs:
            raise wrong("recipe.objects", self.objects, "a set of pictures, or give recipe.signs")


@recipe("cifar10")
class CifarRecipe:
    """CIFAR-10 alone, from scratch, judged on its test part: how good, how fast."""

    objects: str = setting("core/cifar10/cifar10.parquet", help="CIFAR-10, here or under PLINTH_DATA")
    steps: int = setting(0, help="optimizer steps; 0 counts epochs")
    epochs: float = setting(
        40.0, help="passes over the 50,000 training pictures; ignored where minutes or steps is given"
    )
    minutes: float = setting(
        0.0, help="take as many steps as this machine is estimated to make in so many minutes"
    )
    batch_size: int = setting(1024, help="pictures of one step")
    stem: int = setting(32, help="channels at full resolution")
    widths: list[int] = setting([128, 384, 512], help="channels of each stage")
    blocks: list[int] = setting([1, 1, 1], help="residual blocks of each stage")
    norm: str = setting("batch", help="batch or group normalisation")
    pool: bool = setting(True, help="halve by a maximum instead of by the convolution's stride")
    rate: float = setting(0.5, help="peak learning rate of SGD with Nesterov momentum")
    momentum: float = setting(0.9, help="its momentum")
    weight_decay: float = setting(5e-4, help="L2 penalty on kernels and matrices")
    warmup: float = setting(
        0.15, help="share of the run in which the rate rises; it falls linearly afterwards"
    )
    smoothing: float = setting(0.1, help="share of the truth that is spread over all classes")
    move: int = setting(4, help="most pixels by which a picture is moved, its edge mirrored")
    cutout: int = setting(8, help="side of the square that is blanked; 0: none")
    ema: float = setting(0.995, help="decay of the average of the weights that is judged; 0: none")
    views: int = setting(
        6, help="views of a test picture whose answers are averaged: 1, 2 (mirrored) or 6 (moved too)"
    )
    judge_every: float = setting(1.0, help="epochs between looks at the test part, whose time does not count")

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _check_run(self.steps or 1, self.minutes, self.batch_size, self.rate)
        _shares(self, "smoothing", "ema", "momentum", "warmup")
        one_of("recipe.norm", self.norm, ("batch", "group"))
        one_of("recipe.views", self.views, (1, 2, 6))
        if len(self.widths) != len(self.blocks) or not self.widths:
            raise wrong("recipe.blocks", list(self.blocks), "as many numbers as recipe.widths")
        if self.norm == "group" and any(w % 16 for w in (self.stem, *self.widths)):
            raise wrong(
                "recipe.widths", list(self.widths), "multiples of 16 (channels of one group), the stem too"
            )


@recipe("text")
class TextRecipe:
    """Weights and tokenizer of backbone=text_small: hidden tokens first, then which two texts belong together."""

    novels: str = setting(
        "text/english_novels/english_novels.jsonl.xz", help="novels, here or under PLINTH_DATA; empty: none"
    )
    medical: str = setting(
        "healthcare/medquad/medquad.jsonl.xz", help="medical questions and answers; empty: none"
    )
    commands: list[str] = setting(
        ["smarthome/snips_nlu/snips.jsonl.gz", "smarthome/slurp"],
        help="utterances to assistants (SNIPS, SLURP): training parts without sentences of the test parts",
    )
    shares: list[float] = setting(
        [0.45, 0.43, 0.12], help="share of the rows from novels, medical texts, commands"
    )
    vocabulary: int = setting(8192, help="tokens of the byte-level BPE that is trained first")
    start: str = setting(
        "none",
        help="none, shipped or a former run's weights (their card beside them), from the same texts and seed: go on",
    )
    steps: int = setting(5000, help="optimizer steps; ignored where minutes is given")
    minutes: float = setting(
        0.0, help="take as many steps as this machine is estimated to make in so many minutes"
    )
    batch_tokens: int = setting(4096, help="tokens of one step")
    length: int = setting(128, help="tokens of a row")
    long_every: int = setting(
        8, help="each so-many-th step has rows four times as long, fewer of them; 0: none"
    )
    hidden: float = setting(0.35, help="share of the tokens that are hidden and guessed")
    pairs_from: float = setting(
        0.75, help="share of the run after which every second step is about pairs of texts; 1: none"
    )
    pairs: int = setting(48, help="pairs of texts of such a step; each text must find its partner among them")
    pair_length: int = setting(48, help="most tokens of a text of a pair")
    temperature: float = setting(0.05, help="divides the cosines of pairs")
    optimizer: str = setting("muon", help="muon or adamw")
    rate: float = setting(3e-3, help="peak learning rate")
    weight_decay: float = setting(0.02, help="decay of matrices")
    ema: float = setting(0.998, help="decay of the average of the weights, which is what is kept; 0: none")
    dropout: float = setting(0.1, help="dropout in steps about pairs")
    cooccurrence: bool = setting(True, help="start the embeddings from which tokens stand near each other")
    held_out: float = setting(0.01, help="share of the texts that only watches the training")
    fp16: bool = setting(True, help="write the weights in half precision (what it changes is in the record)")

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        _check_run(self.steps, self.minutes, self.batch_tokens, self.rate)
        _shares(self, "hidden", "ema", "dropout", "held_out")
        one_of("recipe.optimizer", self.optimizer, ("muon", "adamw"))
        if len(self.shares) != 3 or min(self.shares) < 0 or sum(self.shares) <= 0:
            raise wrong(
                "recipe.shares", list(self.shares), "three numbers of 0 or more: novels, medical, commands"
            )
        if self.batch_tokens < self.length:
            raise wrong("recipe.batch_tokens", self.batch_tokens, f"recipe.length={self.length} at least")


@dataclass
class PretrainConfig:
    """One pretraining."""

    defaults: list[Any] = field(default_factory=lambda: [{"recipe": "cnn"}])
    recipe: Any = MISSING
    seed: int = setting(0, help="every random choice derives from it")
    device: str = setting("auto", help="auto, cpu, cuda, cuda:1, mps")
    threads: int = setting(0, help="processor threads; 0 lets torch decide")
    precision: str = setting("auto", help="auto (bf16 where the device has it natively), bf16, fp32")
    compile: bool = setting(False, help="compile the network with torch.compile before the first step")
    checkpoint_minutes: float = setting(2.0, help="minutes between checkpoints; 0: none but the last")
    progress: str = setting("auto", help="auto (bar on a terminal, lines elsewhere), bar, lines, none")
    region: str = setting("world", help="whose electricity it is, for the carbon figure")
    ship: bool = setting(
        False, help="also put weights, card and tokenizer where backbone= and encoder.tokenizer= find them"
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
        raise wrong("recipe.steps", steps, "1 or more, or give recipe.minutes")
    if batch < 2:
        raise wrong("recipe.batch_size", batch, "2 or more")
    positive("recipe", rate=rate)


def _shares(recipe: object, *keys: str) -> None:
    shares("recipe", **{key: getattr(recipe, key) for key in keys})
