"""The private engine's self-tests on the training of a task, and what its statement says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from core.privacy.sampling import PoissonBatches
from core.privacy.section import DPSection
from core.privacy.self_test import (
    SelfTest,
    batches_are_poisson,
    contributions_are_bounded,
    noise_is_gaussian,
)
from core.regression.measurement import Check
from core.training.dp_sgd import DPGradient
from core.training.step import to_device

if TYPE_CHECKING:
    from torch import Tensor

    from core.report.record import Record
    from core.run.state import ModelAndData, PreparedData

ROWS = 4
"""Validation rows whose contribution is measured."""
REASONS = {
    "contribution": "one row adds more than the clip norm to a step, so epsilon does not hold",
    "distinct_units": "a unit is twice in a batch, so it adds twice the clip norm",
    "batch_mean": "batches are larger or smaller than the sampling rate that epsilon was computed with",
    "batch_variance": "batch sizes do not vary as under Poisson sampling, which epsilon assumes",
    "unit_variance": "units are not drawn independently: the same ones too often, or each once an epoch",
    "noise_mean": "the noise has a mean",
    "noise_variance": "the noise is weaker or stronger than the noise multiplier that epsilon was computed with",
    "noise_correlation": "the noise of a step is that of another one: it cancels between steps",
}
NAMES = {
    "contribution": "largest contribution in clip norms",
    "distinct_units": "units twice in a batch",
    "batch_mean": "p of the mean batch size",
    "batch_variance": "p of the variance of batch sizes",
    "unit_variance": "p of how often units are drawn",
    "noise_mean": "p of the mean of the noise",
    "noise_variance": "p of the variance of the noise",
    "noise_correlation": "p of the correlation of successive noise",
}


def statement_values(record: Record) -> dict[str, float]:
    """Return the numbers of a private run's statement; none of a run without a guarantee."""
    privacy = record.privacy
    if not isinstance(privacy, DPSection):
        return {}
    return {
        "epsilon": privacy.epsilon,
        "delta": privacy.delta,
        "noise multiplier": privacy.noise_multiplier,
        "clip norm": privacy.l2_clip_norm,
        "sampling rate": privacy.sampling_rate,
        "training steps": float(privacy.steps),
    }


def privacy_checks(designed: ModelAndData, data: PreparedData) -> list[Check]:
    """Return the self-tests of a private training; none of a plain one."""
    setup = designed.setup
    gradient, batches = setup.step.gradient, setup.batches
    if not isinstance(gradient, DPGradient):
        return []
    assert isinstance(batches, PoissonBatches)
    clipper, plan = gradient.clipper, gradient.mechanism.plan
    validation, target = data.splits["validation"], data.target
    probe = to_device(validation.batch(torch.arange(min(ROWS, len(validation)))), designed.device, False)

    def losses(index: Tensor) -> Tensor:
        inputs = {name: tensor[index] for name, tensor in probe.inputs.items()}
        return target.losses(clipper.model(inputs).float(), probe.targets[index])

    tests = [
        contributions_are_bounded(clipper, losses, len(probe.targets), plan.l2_clip_norm),
        *batches_are_poisson(batches),
        *noise_is_gaussian(gradient.mechanism, plan.l2_clip_norm),
    ]
    return [_check(test) for test in tests]


def _check(test: SelfTest) -> Check:
    return Check(NAMES[test.name], test.value, test.bound, test.at_least, REASONS[test.name])
