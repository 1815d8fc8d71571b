"""One training run put together: precision settled, probes and checkpoints set up, the loop, the best weights."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from core.training.budget import TimeBudget
from core.training.checkpoint import Checkpoints
from core.training.determinism import choose_deterministic_kernels
from core.training.loop import fit
from core.training.parallel import ALONE, ProcessGroup
from core.training.precision import choose_precision
from core.training.prediction import as_predictions, outputs
from core.training.callbacks import LearningCurve, StepTimes, progress
from core.training.types import Stateful
from core.training.step import TrainStep, microbatches, to_device
from core.training.validator import Validator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import nn
    from torch.optim import Optimizer

    from core.targets.types import Target
    from core.training.config import Schedule, StandardTraining
    from core.training.ema import Ema
    from core.training.precision import PrecisionDecision
    from core.training.types import Batches, HeldOut, Objective, Callback, StoppingCriterion, Step


@dataclass
class TrainingResult:
    """How a training run went; the model holds the weights it ended with."""

    steps: int
    """Steps taken in all, those before a resume included."""
    reason: str
    """Why it ended, in a sentence."""
    weights: str
    """Which weights were kept: best on validation, average or last."""
    findings: dict[str, Any] = field(default_factory=dict)
    """What the probes saw, as JSON: curve, validation, times, and what other probes gave."""
    spent: dict[str, float] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    """What the resume had to say (a damaged checkpoint passed over, another torch), and several processes."""


def settle_precision(
    config: StandardTraining,
    model: nn.Module,
    target: Target,
    batches: Batches,
    folder: Path,
    parallel: ProcessGroup = ALONE,
) -> PrecisionDecision:
    """Decide the precision of the run on its first batch, without touching weights or random streams.

    The main process decides for all.
    """
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        batch = next(iter(batches.from_step(0)))
    if config.channels_last:
        model.to(memory_format=torch.channels_last)
    first = next(microbatches(to_device(batch, device, config.channels_last), config.micro_batch))
    return parallel.broadcast_from_main(
        lambda: choose_precision(config.precision, model, target, first, batches.steps, folder, device=device)
    )


def plain_update(
    config: StandardTraining,
    optimizers: Sequence[Optimizer],
    schedule: Schedule,
    model: nn.Module,
    target: Target,
    precision: str,
    *,
    objective: Objective | None = None,
    parallel: ProcessGroup = ALONE,
) -> TrainStep:
    """Make the update of ``privacy=none`` with the settings of ``training=``."""
    return TrainStep(
        model,
        target,
        optimizers,
        schedule,
        objective=objective,
        precision=precision,
        micro_batch=config.micro_batch,
        max_grad_norm=config.max_grad_norm,
        ema=config.ema,
        channels_last=config.channels_last,
        compile=config.compile,
        parallel=parallel,
    )


def train(
    config: StandardTraining,
    model: nn.Module,
    target: Target,
    batches: Batches,
    update: Step,
    validation: HeldOut | None,
    folder: Path,
    fingerprint: Mapping[str, Any],
    *,
    seed: int,
    epoch_steps: int,
    precision: str = "fp32",
    ema: Ema | None = None,
    probes: Sequence[Callback] = (),
    stops: Sequence[StoppingCriterion] = (),
    parallel: ProcessGroup = ALONE,
) -> TrainingResult:
    """Train, or go on training, in ``folder``, and leave the weights that were best on validation in the model.

    ``fingerprint`` holds what decides the outcome besides the code: configuration and data hashes. Probes and
    stops that have ``state_dict`` are carried over a resume. Raises ``Stopped`` when interrupted and ValueError
    for a folder of another run, a damaged one, a full disk, or a loss that is no longer finite.
    """
    choose_deterministic_kernels(next(model.parameters()).device)
    curve, clock = LearningCurve(batches.steps), TimeBudget(config.max_minutes)
    own_stops: list[StoppingCriterion] = [clock, *stops]
    parts: dict[str, Any] = {"update": update, "curve": curve, "clock": clock}
    watching: list[Callback] = [StepTimes(), curve]
    judged: Validator | None = None
    if validation is not None:
        judge = Judge(model, target, validation, config.validation_batch_size, precision)
        judged = Validator(
            model,
            lambda: parallel.broadcast_from_main(judge),  # one verdict for all, so that all keep and stop alike
            resolve_monitor(config.metric, target),
            every=config.evaluate_every * epoch_steps,
            steps=batches.steps,
            patience=config.patience,
            keep_best=config.restore_best,
            weights=nullcontext if ema is None else ema.applied,
        )
        parts["validation"] = judged
        own_stops.append(judged)
        watching.append(judged)
    others = {id(other): other for other in [*probes, *stops]}  # one object may be both
    for number, other in enumerate(others.values()):
        if isinstance(other, Stateful):
            parts[f"{type(other).__name__}{number}"] = other
    checkpoints = Checkpoints(
        folder,
        parts,
        fingerprint,
        every=config.checkpoint_every,
        minutes=config.checkpoint_minutes,
        keep=config.keep,
    )
    start = checkpoints.resume()
    if parallel.reduce_sum(start) != start * parallel.world:
        raise ValueError(
            f"{folder} is not the same in all processes: it must lie where all of them can read it"
        )
    model.train()
    with progress(config.progress if parallel.is_main else "none", batches.steps, start) as shown:
        reason = fit(
            update,
            batches,
            seed=seed,
            probes=[*shown, *watching, *probes],
            checkpoints=checkpoints,
            stops=own_stops,
            start=start,
            parallel=parallel,
        )
    findings: dict[str, Any] = {}
    for probe in (*watching, *probes):
        findings |= probe.findings()
    if judged is not None and judged.restore_best():
        weights = f"best on validation ({judged.metric}, after step {judged.best_step})"
    elif ema is not None:
        ema.keep()
        weights = "the average of the last steps"
    else:
        weights = "those of the last step"
    messages = [*checkpoints.messages, *_apart(model, parallel)]
    return TrainingResult(curve.step, reason, weights, findings, update.spent(), messages)


def _apart(model: nn.Module, parallel: ProcessGroup) -> list[str]:
    """Say what several processes do otherwise than one."""
    normalised = any(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in model.modules())
    if parallel.world == 1 or not normalised:
        return []
    return [
        f"batch normalisation took each of {parallel.world} processes' share of a batch by itself, and its running "
        "figures are the main process's: not the same as one process with whole batches"
    ]


class Judge:
    """Gives the figures of the validation part: its mean loss and the target's metrics."""

    def __init__(
        self, model: nn.Module, target: Target, part: HeldOut, batch_size: int, precision: str
    ) -> None:
        """Hold what a look needs."""
        self.model, self.target, self.part = model, target, part
        self.batch_size, self.precision = batch_size, precision

    def __call__(self) -> dict[str, float]:
        """Predict the part once and judge it."""
        raw = outputs(self.model, self.part.encoded, batch_size=self.batch_size, precision=self.precision)
        loss = float(self.target.losses(raw, self.part.targets).double().mean())
        found = as_predictions(self.target.scores(raw).double().numpy(), self.target, self.part)
        return {"loss": loss} | {name: metric(found) for name, metric in self.target.metrics().items()}


def resolve_monitor(asked: str, target: Target) -> str:
    """Resolve ``training.monitor``: auto is the target's first, raising ValueError for a name it doesn't have."""
    names = list(target.metrics())
    if asked == "auto":
        return names[0]
    if asked != "loss" and asked not in names:
        raise ValueError(f"training.monitor={asked!r}: this target has loss, {', '.join(names)}")
    return asked
