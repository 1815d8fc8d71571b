"""A training set up: its batches, its optimizer step, its precision and what it guarantees about privacy.

``build(config.privacy, inputs)`` does it: without differential privacy here, with it in ``core.training.dp_setup``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from core.config import build, derive_seed
from core.data.batches import ShuffledBatches
from core.privacy.guarantee import NoGuarantee
from core.training.parallel import ALONE, ProcessGroup
from core.training.precision import PrecisionDecision, choose_precision
from core.training.step import ExampleLosses, MeanGradient, TrainStep, microbatches, to_device

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from core.config import OptimizerConfig, ScheduleConfig
    from core.data.augmentation import Augmentation
    from core.data.encoded_split import EncodedSplit
    from core.privacy.config import NoPrivacy
    from core.privacy.guarantee import Guarantee
    from core.targets.types import Target
    from core.training.config import StandardTraining
    from core.training.step import Gradient
    from core.training.types import Batches, Objective


@dataclass(frozen=True)
class TrainingInputs:
    """What a training is set up from."""

    training: StandardTraining
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    model: nn.Module
    """On its device, its batch normalization converted (``converted_layers``)."""
    target: Target
    train: EncodedSplit
    validation: EncodedSplit
    seed: int
    folder: Path | None = None
    """The run's: ``precision.json`` is kept there."""
    checkpoints: Path | None = None
    """A private run's key is kept there until the run ends."""
    unit_name: str = "row"
    augmentation: Augmentation | None = None
    objective: Objective | None = None
    converted_layers: tuple[str, ...] = ()
    parallel: ProcessGroup = ALONE

    def example_losses(self, precision: str) -> ExampleLosses:
        """Return the forward pass in a precision, as ``training=`` asks for it."""
        return ExampleLosses(
            self.model,
            self.target,
            objective=self.objective,
            precision=precision,
            micro_batch_size=self.training.micro_batch_size,
            channels_last=self.training.channels_last,
            compile=self.training.compile,
        )

    def train_step(self, gradient: Gradient, steps: int, *, max_grad_norm: float) -> TrainStep:
        """Return the optimizer step along a gradient, in a run of so many steps."""
        return TrainStep(
            gradient,
            build(self.optimizer, self.model),
            build(self.schedule, steps),
            max_grad_norm=max_grad_norm,
            ema=self.training.ema,
        )


@dataclass(frozen=True)
class TrainingSetup:
    """A training that can start."""

    step: TrainStep
    batches: Batches
    precision: PrecisionDecision
    epoch_steps: int
    """Steps of one epoch; under Poisson sampling, in which as many units are drawn as there are."""
    seed: int
    """What each step's random state (dropout) derives from."""
    guarantee: Guarantee


def set_up_without_privacy(config: NoPrivacy, inputs: TrainingInputs) -> TrainingSetup:
    """Return a training on shuffled batches along the gradient of their mean loss."""
    training, parallel = inputs.training, inputs.parallel
    batches = shuffled_batches(training, inputs.train, inputs.augmentation, inputs.seed, parallel)
    precision = measure_precision(inputs, batches)
    gradient = MeanGradient(inputs.example_losses(precision.precision), parallel)
    step = inputs.train_step(gradient, batches.steps, max_grad_norm=training.max_grad_norm)
    # Each process drops out for itself: two that drew alike would drop the same units of all their rows.
    seed = inputs.seed if parallel.is_main else derive_seed(inputs.seed, "rank", parallel.rank)
    return TrainingSetup(
        step, batches, precision, training.epoch_steps(len(inputs.train)), seed, NoGuarantee()
    )


def shuffled_batches(
    training: StandardTraining,
    split: EncodedSplit,
    augmentation: Augmentation | None,
    seed: int,
    parallel: ProcessGroup = ALONE,
) -> ShuffledBatches:
    """Return the batches of a split that ``training=`` asks for."""
    return ShuffledBatches(
        split,
        training.batch_size,
        seed=derive_seed(seed, "batches"),
        steps=training.total_steps(len(split)),
        sampling=training.sampling,
        sampling_power=training.sampling_power,
        augmentation=augmentation,
        drop_last=training.drop_last,
        rank=parallel.rank,
        world=parallel.world,
    )


def measure_precision(inputs: TrainingInputs, batches: Batches) -> PrecisionDecision:
    """Return the precision of the run, measured on its first batch, without changing weights or random states.

    The main process measures for all.
    """
    training, model = inputs.training, inputs.model
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        batch = next(iter(batches.from_step(0)))
    if training.channels_last:
        model.to(memory_format=torch.channels_last)
    first = next(microbatches(to_device(batch, device, training.channels_last), training.micro_batch_size))
    return inputs.parallel.broadcast_from_main(
        lambda: choose_precision(
            training.precision, model, inputs.target, first, batches.steps, inputs.folder, device=device
        )
    )
