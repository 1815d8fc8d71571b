"""The options of training: ``optimizer=``, ``schedule=`` and ``training=``. Imports no torch, for ``--help``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from core.config import OptimizerConfig, ScheduleConfig, TrainingConfig, config_error, field, register
from core.config.validate import at_least_zero, fractions, one_of, positive

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

Schedule = Callable[[int], float]
"""Step, counted from 0 -> the factor on the optimizer's rate: a pure function, so there is no state to resume."""


def _check_optimizer(rate: float, weight_decay: float) -> None:
    positive("optimizer", rate=rate)
    at_least_zero("optimizer", weight_decay=weight_decay)


@register("optimizer", "sgd")
class SgdConfig(OptimizerConfig):
    """Stochastic gradient descent with momentum."""

    rate: float = field(0.05, help="learning rate at the schedule's peak")
    momentum: float = field(0.9, help="share of the last step that is kept; 0 for plain descent")
    nesterov: bool = field(False, help="look ahead along the momentum")
    weight_decay: float = field(0.0, help="L2 penalty on matrices and kernels (not on biases and norms)")

    def build(self, model: nn.Module) -> list[Optimizer]:
        """Make the optimizer of the model's trainable weights, refusing a rate that can't be right."""
        from core.training.optimizers import sgd

        _check_optimizer(self.rate, self.weight_decay)
        fractions("optimizer", momentum=self.momentum)
        if self.nesterov and self.momentum == 0:
            raise config_error("optimizer.nesterov", True, "needs optimizer.momentum above 0")
        return sgd(model, self.rate, self.momentum, self.nesterov, self.weight_decay)


@register("optimizer", "adam")
class AdamConfig(OptimizerConfig):
    """Adam (Kingma and Ba 2015), weight decay as an L2 penalty in the gradient."""

    rate: float = field(1e-3, help="learning rate at the schedule's peak")
    beta1: float = field(0.9, help="memory of the gradient's mean")
    beta2: float = field(0.999, help="memory of the gradient's square")
    eps: float = field(1e-8, help="floor of the denominator")
    weight_decay: float = field(0.0, help="L2 penalty on matrices and kernels (not on biases and norms)")

    def build(self, model: nn.Module) -> list[Optimizer]:
        """Make the optimizer of the model's trainable weights, refusing a rate that can't be right."""
        from core.training.optimizers import adam

        _check_optimizer(self.rate, self.weight_decay)
        fractions("optimizer", beta1=self.beta1, beta2=self.beta2)
        return adam(model, self.rate, (self.beta1, self.beta2), self.eps, self.weight_decay, decoupled=False)


@register("optimizer", "adamw")
class AdamWConfig(OptimizerConfig):
    """AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    rate: float = field(1e-3, help="learning rate at the schedule's peak")
    beta1: float = field(0.9, help="memory of the gradient's mean")
    beta2: float = field(0.999, help="memory of the gradient's square")
    eps: float = field(1e-8, help="floor of the denominator")
    weight_decay: float = field(0.01, help="decay of matrices and kernels (not of biases and norms)")

    def build(self, model: nn.Module) -> list[Optimizer]:
        """Make the optimizer of the model's trainable weights, refusing a rate that can't be right."""
        from core.training.optimizers import adam

        _check_optimizer(self.rate, self.weight_decay)
        fractions("optimizer", beta1=self.beta1, beta2=self.beta2)
        return adam(model, self.rate, (self.beta1, self.beta2), self.eps, self.weight_decay, decoupled=True)


@register("optimizer", "muon")
class MuonConfig(OptimizerConfig):
    """Muon (Jordan et al. 2024) for 2-D weights inside the network, AdamW for all others."""

    rate: float = field(
        1e-3, help="learning rate of both at the schedule's peak (update size matched to AdamW)"
    )
    momentum: float = field(0.95, help="Muon's memory of the gradient")
    nesterov: bool = field(True, help="look ahead along Muon's momentum")
    beta1: float = field(0.9, help="AdamW's memory of the gradient's mean")
    beta2: float = field(0.999, help="AdamW's memory of the gradient's square")
    eps: float = field(1e-8, help="AdamW's floor of the denominator")
    weight_decay: float = field(0.01, help="decay of matrices and kernels (not of biases and norms)")

    def build(self, model: nn.Module) -> list[Optimizer]:
        """Make both optimizers, raising ValueError where this torch has no Muon or no weight is 2-D."""
        from core.training.optimizers import muon

        _check_optimizer(self.rate, self.weight_decay)
        fractions("optimizer", momentum=self.momentum, beta1=self.beta1, beta2=self.beta2)
        betas = (self.beta1, self.beta2)
        return muon(model, self.rate, self.momentum, self.nesterov, betas, self.eps, self.weight_decay)


def _warmup(warmup: float, steps: int) -> int:
    """Turn ``warmup`` (a share of the run below 1, a number of steps from 1 on) into steps."""
    if not 0 <= warmup < math.inf:
        raise config_error(
            "schedule.warmup", warmup, "a share of the run below 1, or a number of steps from 1 on"
        )
    return min(round(warmup * steps) if warmup < 1 else round(warmup), max(steps - 1, 0))


def _after_warmup(warmup: float, steps: int, shape: Callable[[float], float]) -> Schedule:
    """Rise linearly, then follow ``shape`` of the share (0 to 1) of the remaining steps that is done."""
    rise = _warmup(warmup, steps)
    rest = max(steps - rise, 1)

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / (rise + 1)
        return shape(min((step - rise) / rest, 1.0))

    return factor


@register("schedule", "constant")
class ConstantSchedule(ScheduleConfig):
    """The same rate to the end, after a warm-up."""

    warmup: float = field(0.0, help="linear rise first: a share of the run below 1, or steps from 1 on")

    def build(self, steps: int) -> Schedule:
        """Give the factor on the rate as a function of the step, for a run of so many steps."""
        return _after_warmup(self.warmup, steps, lambda _: 1.0)


@register("schedule", "cosine")
class CosineSchedule(ScheduleConfig):
    """Half a cosine from the peak down to ``final`` (Loshchilov and Hutter 2017), after a warm-up."""

    warmup: float = field(0.05, help="linear rise first: a share of the run below 1, or steps from 1 on")
    final: float = field(0.0, help="the last rate as a share of the peak")

    def build(self, steps: int) -> Schedule:
        """Give the factor on the rate as a function of the step, for a run of so many steps."""
        final = _share("final", self.final)
        return _after_warmup(
            self.warmup, steps, lambda done: final + (1 - final) * (1 + math.cos(math.pi * done)) / 2
        )


@register("schedule", "linear")
class LinearSchedule(ScheduleConfig):
    """A straight line from the peak down to ``final``, after a warm-up."""

    warmup: float = field(0.05, help="linear rise first: a share of the run below 1, or steps from 1 on")
    final: float = field(0.0, help="the last rate as a share of the peak")

    def build(self, steps: int) -> Schedule:
        """Give the factor on the rate as a function of the step, for a run of so many steps."""
        final = _share("final", self.final)
        return _after_warmup(self.warmup, steps, lambda done: 1 - (1 - final) * done)


@register("schedule", "onecycle")
class OneCycleSchedule(ScheduleConfig):
    """One cycle: half a cosine up from ``start``, half a cosine down to ``final`` (Smith and Topin 2018)."""

    warmup: float = field(0.3, help="where the peak is: a share of the run below 1, or steps from 1 on")
    start: float = field(0.04, help="the first rate as a share of the peak")
    final: float = field(4e-6, help="the last rate as a share of the peak")

    def build(self, steps: int) -> Schedule:
        """Give the factor on the rate as a function of the step, for a run of so many steps."""
        start, final = _share("start", self.start), _share("final", self.final)
        rise = _warmup(self.warmup, steps)
        rest = max(steps - 1 - rise, 1)

        def factor(step: int) -> float:
            if step < rise:
                return start + (1 - start) * (1 - math.cos(math.pi * step / rise)) / 2
            done = min((step - rise) / rest, 1.0)
            return final + (1 - final) * (1 + math.cos(math.pi * done)) / 2

        return factor


@register("schedule", "step")
class StepSchedule(ScheduleConfig):
    """Fall by ``factor`` at each of the shares ``at`` of the run, after a warm-up."""

    warmup: float = field(0.0, help="linear rise first: a share of the run below 1, or steps from 1 on")
    at: list[float] = field([0.5, 0.75], help="shares of the run at which the rate falls")
    factor: float = field(0.1, help="what the rate is multiplied by at each fall")

    def build(self, steps: int) -> Schedule:
        """Give the factor on the rate as a function of the step, for a run of so many steps."""
        if any(not 0 < share < 1 for share in self.at):
            raise config_error(
                "schedule.at", list(self.at), "each must be a share of the run, between 0 and 1"
            )
        falls = sorted(round(share * steps) for share in self.at)
        by = _share("factor", self.factor)
        rise = _after_warmup(self.warmup, steps, lambda _: 1.0)
        return lambda step: rise(step) * by ** sum(step >= fall for fall in falls)


def _share(key: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise config_error(f"schedule.{key}", value, "must be between 0 and 1")
    return value


PRECISIONS = ("auto", "fp32", "bf16", "fp16")
BALANCES = ("none", "class", "group", "group_class")
PROGRESS = ("auto", "bar", "lines", "none")
VIEWS = (1, 2, 4, 8)
HOW_NOT_WHAT = ("checkpoint_every", "checkpoint_minutes", "keep", "progress")
"""Settings that change how a run is carried out, not the weights it ends with: they may differ on resume."""


@register("training", "standard")
class StandardTraining(TrainingConfig):
    """Epochs, batches, precision, checkpoints and stopping."""

    epochs: int = field(10, help="passes over the training part; ignored where steps is given")
    steps: int = field(0, help="optimizer steps of the whole run; 0 counts epochs instead")
    share: float = field(
        1.0,
        help="share of the training part that is used (whole units, labels in proportion, another draw for each "
        "seed): what fewer labels would give",
    )
    batch_size: int = field(64, help="examples of one optimizer step")
    micro_batch: int = field(
        0, help="examples at a time in memory, gradients accumulated; 0 takes all at once"
    )
    drop_last: bool = field(
        True, help="leave out an epoch's odd rows (others each time): all batches have one size"
    )
    balanced: str = field(
        "none", help="draw rows as they come (none), or evenly by class, group or group_class"
    )
    balanced_power: float = field(1.0, help="draw in proportion to 1 / count^power: 1 is even, 0.5 half-way")
    precision: str = field(
        "auto", help="auto (bf16 where native and measured faster), fp32, bf16, fp16 (CUDA)"
    )
    channels_last: bool = field(False, help="store images channel by pixel; often faster for CNNs")
    compile: bool = field(False, help="compile the network with torch.compile before the first step")
    once_gib: float = field(
        4.0,
        help="most memory for what frozen layers give, computed once where nothing changes the rows; "
        "0: computed in each step",
    )
    max_grad_norm: float = field(1.0, help="shorten gradients longer than this; 0 leaves them as they are")
    ema: float | None = field(
        None, help="judge and keep an average of the weights with this decay, e.g. 0.999"
    )
    evaluate_every: int = field(1, help="epochs between looks at the validation part; 0 only at the end")
    metric: str = field(
        "auto", help="validation figure that selects weights: auto (the target's first), loss, ..."
    )
    patience: int = field(0, help="stop after so many validations without a better one; 0 never stops early")
    restore_best: bool = field(
        True, help="end with the weights that were best on validation, not with the last"
    )
    validation_batch_size: int = field(256, help="examples at a time in validation and prediction")
    views: int = field(1, help="test-time views of an image averaged in prediction: 1, 2 (mirrored), 4 or 8")
    checkpoint_every: int = field(0, help="steps between checkpoints; 0 goes by the clock alone")
    checkpoint_minutes: float = field(2.0, help="minutes between checkpoints; 0 goes by steps alone")
    keep: int = field(2, help="checkpoints kept")
    max_minutes: float = field(0.0, help="stop training after so many minutes; 0 sets no limit")
    progress: str = field("auto", help="auto (bar on a terminal, lines elsewhere), bar, lines, none")

    def check(self) -> None:
        """Raise ValueError for the first setting that can't be right, before any data is read."""
        for key, choices in (("precision", PRECISIONS), ("balanced", BALANCES), ("progress", PROGRESS)):
            one_of(f"training.{key}", getattr(self, key), choices)
        one_of("training.views", self.views, VIEWS)
        for key in ("batch_size", "validation_batch_size", "keep"):
            if getattr(self, key) < 1:
                raise config_error(f"training.{key}", getattr(self, key), "must be 1 or more")
        whole = ("steps", "micro_batch", "evaluate_every", "patience", "checkpoint_every")
        rest = ("balanced_power", "max_grad_norm", "checkpoint_minutes", "max_minutes", "once_gib")
        at_least_zero("training", **{key: getattr(self, key) for key in (*whole, *rest)})
        if not 0 < self.share <= 1:
            raise config_error(
                "training.share", self.share, "above 0, at most 1: 0.1 trains on a tenth of the labels"
            )
        if self.steps == 0 and self.epochs < 1:
            raise config_error("training.epochs", self.epochs, "must be 1 or more, or give training.steps")
        if self.ema is not None and not 0 < self.ema < 1:
            raise config_error(
                "training.ema", self.ema, "the decay must lie between 0 and 1, e.g. 0.999; null for none"
            )

    def epoch_steps(self, examples: int) -> int:
        """Count the optimizer steps of one epoch over so many training examples, at least 1."""
        whole, odd = divmod(examples, min(self.batch_size, examples))
        return whole + (1 if odd and not self.drop_last else 0)

    def total_steps(self, examples: int) -> int:
        """Count the optimizer steps of the whole run over so many training examples."""
        return self.steps or self.epochs * self.epoch_steps(examples)

    def identity(self) -> dict[str, Any]:
        """Give the settings that decide which weights the run ends with, for a checkpoint's fingerprint."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in HOW_NOT_WHAT}  # type: ignore[arg-type]
