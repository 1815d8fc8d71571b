"""The ``optimizer=``, ``schedule=`` and ``training=`` options: pure data. Imports no torch, for ``--help``."""

from __future__ import annotations

from math import inf

from core.config import OptimizerConfig, ScheduleConfig, TrainingConfig, config_error, field, register
from core.config.validate import at_least_zero, fractions, one_of, positive

_LR = "peak learning rate"
_BETA1 = "decay rate of the first-moment estimate"
_BETA2 = "decay rate of the second-moment estimate"
_EPS = "term added to the denominator for numerical stability"
_DECOUPLED = "decoupled weight decay of matrices and kernels (none on biases and normalization layers)"
_L2 = "L2 penalty on matrices and kernels (none on biases and normalization layers)"
_WARMUP = "linear warm-up: a fraction of the run below 1, or a number of steps from 1 on"
_MIN_LR = "final learning rate as a fraction of the peak"


def _check_adam(lr: float, beta1: float, beta2: float, eps: float, weight_decay: float) -> None:
    positive("optimizer", lr=lr, eps=eps)
    fractions("optimizer", beta1=beta1, beta2=beta2)
    at_least_zero("optimizer", weight_decay=weight_decay)


@register("optimizer", "sgd", builds="core.training.optimizers:sgd")
class SgdConfig(OptimizerConfig):
    """Stochastic gradient descent with momentum."""

    lr: float = field(0.05, help=_LR)
    momentum: float = field(0.9, help="momentum factor; 0 for plain SGD")
    nesterov: bool = field(False, help="Nesterov momentum")
    weight_decay: float = field(0.0, help=_L2)

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, with the key."""
        positive("optimizer", lr=self.lr)
        at_least_zero("optimizer", weight_decay=self.weight_decay)
        fractions("optimizer", momentum=self.momentum)
        if self.nesterov and self.momentum == 0:
            raise config_error("optimizer.nesterov", True, "needs optimizer.momentum above 0")


@register("optimizer", "adam", builds="core.training.optimizers:adam")
class AdamConfig(OptimizerConfig):
    """Adam (Kingma and Ba 2015), weight decay as an L2 penalty in the gradient."""

    lr: float = field(1e-3, help=_LR)
    beta1: float = field(0.9, help=_BETA1)
    beta2: float = field(0.999, help=_BETA2)
    eps: float = field(1e-8, help=_EPS)
    weight_decay: float = field(0.0, help=_L2)

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, with the key."""
        _check_adam(self.lr, self.beta1, self.beta2, self.eps, self.weight_decay)


@register("optimizer", "adamw", builds="core.training.optimizers:adamw")
class AdamWConfig(OptimizerConfig):
    """AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    lr: float = field(1e-3, help=_LR)
    beta1: float = field(0.9, help=_BETA1)
    beta2: float = field(0.999, help=_BETA2)
    eps: float = field(1e-8, help=_EPS)
    weight_decay: float = field(0.01, help=_DECOUPLED)

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, with the key."""
        _check_adam(self.lr, self.beta1, self.beta2, self.eps, self.weight_decay)


@register("optimizer", "muon", builds="core.training.optimizers:muon")
class MuonConfig(OptimizerConfig):
    """Muon (Jordan et al. 2024) for the 2-D weights of hidden layers, AdamW for all others."""

    lr: float = field(1e-3, help=f"{_LR} of both (Muon's update is scaled to the size of AdamW's)")
    momentum: float = field(0.95, help="momentum factor of Muon")
    nesterov: bool = field(True, help="Nesterov momentum in Muon")
    beta1: float = field(0.9, help=f"AdamW: {_BETA1}")
    beta2: float = field(0.999, help=f"AdamW: {_BETA2}")
    eps: float = field(1e-8, help=f"AdamW: {_EPS}")
    weight_decay: float = field(0.01, help=_DECOUPLED)

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, with the key."""
        _check_adam(self.lr, self.beta1, self.beta2, self.eps, self.weight_decay)
        fractions("optimizer", momentum=self.momentum)


def _check_warmup(warmup: float) -> None:
    if not 0 <= warmup < inf:
        raise config_error(
            "schedule.warmup", warmup, "a fraction of the run below 1, or a number of steps from 1 on"
        )


def _check_ratio(key: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise config_error(f"schedule.{key}", value, "must be between 0 and 1")


@register("schedule", "constant", builds="core.training.schedules:constant")
class ConstantSchedule(ScheduleConfig):
    """A constant learning rate after a linear warm-up."""

    warmup: float = field(0.0, help=_WARMUP)

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, with the key."""
        _check_warmup(self.warmup)


@register("schedule", "cosine", builds="core.training.schedules:cosine")
class CosineSchedule(ScheduleConfig):
    """Cosine annealing (Loshchilov and Hutter 2017) after a linear warm-up."""

    warmup: float = field(0.05, help=_WARMUP)
    min_lr_ratio: float = field(0.0, help=_MIN_LR)

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, with the key."""
        _check_warmup(self.warmup)
        _check_ratio("min_lr_ratio", self.min_lr_ratio)


@register("schedule", "linear", builds="core.training.schedules:linear")
class LinearSchedule(ScheduleConfig):
    """Linear decay after a linear warm-up."""

    warmup: float = field(0.05, help=_WARMUP)
    min_lr_ratio: float = field(0.0, help=_MIN_LR)

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, with the key."""
        _check_warmup(self.warmup)
        _check_ratio("min_lr_ratio", self.min_lr_ratio)


@register("schedule", "onecycle", builds="core.training.schedules:onecycle")
class OneCycleSchedule(ScheduleConfig):
    """One-cycle policy: cosine rise, then cosine decay (Smith and Topin 2018)."""

    warmup: float = field(0.3, help="where the peak lies: a fraction of the run below 1, or steps from 1 on")
    start_lr_ratio: float = field(0.04, help="initial learning rate as a fraction of the peak")
    min_lr_ratio: float = field(4e-6, help=_MIN_LR)

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, with the key."""
        _check_warmup(self.warmup)
        _check_ratio("start_lr_ratio", self.start_lr_ratio)
        _check_ratio("min_lr_ratio", self.min_lr_ratio)


@register("schedule", "multistep", builds="core.training.schedules:multistep")
class MultiStepSchedule(ScheduleConfig):
    """Step decay: the learning rate is multiplied by ``gamma`` at each milestone, after a linear warm-up."""

    warmup: float = field(0.0, help=_WARMUP)
    milestones: list[float] = field(
        [0.5, 0.75], help="fractions of the run at which the learning rate is reduced"
    )
    gamma: float = field(0.1, help="multiplicative factor at each milestone")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, with the key."""
        _check_warmup(self.warmup)
        _check_ratio("gamma", self.gamma)
        if any(not 0 < milestone < 1 for milestone in self.milestones):
            raise config_error(
                "schedule.milestones",
                list(self.milestones),
                "each must be a fraction of the run, between 0 and 1",
            )


PRECISIONS = ("auto", "fp32", "bf16", "fp16")
BF16_MIN_SPEEDUP = 1.15
"""precision=auto: how many times faster bf16 must be to be chosen: below, a measurement's variance would decide."""
BF16_MIN_STEPS = 200
"""precision=auto: runs of fewer steps than this take fp32 unmeasured."""
SAMPLINGS = ("uniform", "class_balanced", "group_balanced", "group_class_balanced")
PROGRESS = ("auto", "bar", "lines", "none")
TTA_VIEWS = (1, 2, 4, 8)
MAY_CHANGE_ON_RESUME = (
    "checkpoint_every_steps",
    "checkpoint_every_minutes",
    "keep_checkpoints",
    "progress",
)
"""Keys of ``training`` that do not change the weights a run ends with: they may differ on resume."""


@register("training", "standard")
class StandardTraining(TrainingConfig):
    """Epochs, batches, precision, checkpoints and stopping."""

    epochs: int = field(10, help="epochs over the training set; ignored where steps is given")
    steps: int = field(0, help="optimizer steps of the whole run; 0: count epochs instead")
    train_fraction: float = field(
        1.0,
        help="fraction of the training set that is used (whole units, stratified by label, another draw for each "
        "seed): what fewer labels would give",
    )
    batch_size: int = field(64, help="examples per optimizer step")
    micro_batch_size: int = field(
        0, help="examples per forward pass, gradients accumulated; 0: the whole batch at once"
    )
    drop_last: bool = field(
        True,
        help="drop the incomplete last batch of an epoch (other rows each epoch): all batches have one size",
    )
    sampling: str = field(
        "uniform",
        help="uniform (each row once an epoch), or weighted: class_balanced, group_balanced, group_class_balanced",
    )
    sampling_power: float = field(
        1.0,
        help="weighted sampling in proportion to 1 / count^power: 1 is balanced, 0.5 square-root sampling",
    )
    precision: str = field(
        "auto", help="auto (bf16 where native and measured faster), fp32, bf16, fp16 (CUDA)"
    )
    channels_last: bool = field(False, help="channels-last memory format of images; often faster for CNNs")
    compile: bool = field(False, help="compile the network with torch.compile before the first step")
    feature_cache_mib: float = field(
        4096.0,
        help="memory for the features of frozen layers, computed once where no augmentation changes the rows; "
        "0: compute them in each step",
    )
    max_grad_norm: float = field(1.0, help="gradient clipping by global norm; 0: none")
    ema: float | None = field(
        None,
        help="decay of an exponential moving average of the weights that is validated and kept, e.g. 0.999",
    )
    validate_every_epochs: int = field(1, help="epochs between validations; 0: only at the end")
    monitor: str = field(
        "auto", help="validation metric that selects the weights: auto (the target's first), loss, ..."
    )
    patience: int = field(
        0, help="early stopping: validations without improvement before training stops; 0: none"
    )
    restore_best: bool = field(True, help="end with the weights that were best on validation, not the last")
    validation_batch_size: int = field(256, help="examples per forward pass in validation and prediction")
    tta_views: int = field(
        1, help="test-time augmentation: views of an image averaged in prediction: 1, 2 (mirrored), 4 or 8"
    )
    checkpoint_every_steps: int = field(0, help="steps between checkpoints; 0: by the clock alone")
    checkpoint_every_minutes: float = field(2.0, help="minutes between checkpoints; 0: by steps alone")
    keep_checkpoints: int = field(2, help="number of checkpoints kept")
    max_minutes: float = field(0.0, help="time limit of training in minutes; 0: none")
    progress: str = field("auto", help="auto (bar on a terminal, lines elsewhere), bar, lines, none")

    def __post_init__(self) -> None:
        """Raise ValueError for the first value that can't be right, with the key."""
        one_of("training.precision", self.precision, PRECISIONS)
        one_of("training.sampling", self.sampling, SAMPLINGS)
        one_of("training.progress", self.progress, PROGRESS)
        one_of("training.tta_views", self.tta_views, TTA_VIEWS)
        for key in ("batch_size", "validation_batch_size", "keep_checkpoints"):
            if getattr(self, key) < 1:
                raise config_error(f"training.{key}", getattr(self, key), "must be 1 or more")
        at_least_zero(
            "training",
            steps=self.steps,
            micro_batch_size=self.micro_batch_size,
            validate_every_epochs=self.validate_every_epochs,
            patience=self.patience,
            checkpoint_every_steps=self.checkpoint_every_steps,
            sampling_power=self.sampling_power,
            max_grad_norm=self.max_grad_norm,
            checkpoint_every_minutes=self.checkpoint_every_minutes,
            max_minutes=self.max_minutes,
            feature_cache_mib=self.feature_cache_mib,
        )
        if not 0 < self.train_fraction <= 1:
            raise config_error(
                "training.train_fraction",
                self.train_fraction,
                "above 0, at most 1: 0.1 trains on a tenth of the labels",
            )
        if self.steps == 0 and self.epochs < 1:
            raise config_error("training.epochs", self.epochs, "must be 1 or more, or give training.steps")
        if self.ema is not None and not 0 < self.ema < 1:
            raise config_error(
                "training.ema", self.ema, "the decay must lie between 0 and 1, e.g. 0.999; null for none"
            )

    def epoch_steps(self, examples: int) -> int:
        """Return the number of optimizer steps of one epoch over so many training examples, at least 1."""
        whole, odd = divmod(examples, min(self.batch_size, examples))
        return whole + (1 if odd and not self.drop_last else 0)

    def total_steps(self, examples: int) -> int:
        """Return the number of optimizer steps of the whole run over so many training examples."""
        return self.steps or self.epochs * self.epoch_steps(examples)


def standard(training: TrainingConfig) -> StandardTraining:
    """Return the option as what it is: ``training=`` has but one."""
    assert isinstance(training, StandardTraining)
    return training
