"""One training: callbacks, validation, limits and checkpoints around the loop; the best weights at its end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import torch

from core.targets.metrics import monitored
from core.training.callbacks import LearningCurve, StepTimer, progress
from core.training.checkpoint import Checkpoints
from core.training.determinism import choose_deterministic_kernels
from core.training.loop import fit
from core.training.parallel import ALONE, ProcessGroup
from core.training.prediction import as_predictions, outputs
from core.training.section import HistoryPoint
from core.training.types import Stateful
from core.training.validator import Validator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from core.data.encoded_split import EncodedSplit
    from core.targets.types import Target
    from core.training.config import StandardTraining
    from core.training.section import BestValidation, StepTimings, StopReason
    from core.training.setup import TrainingSetup
    from core.training.types import Callback, StoppingCriterion


@dataclass
class TrainingResult:
    """How a training went; the model holds the weights it ended with."""

    steps: int
    """Steps taken in all, those before a resume included."""
    stop_reason: StopReason
    weights: Literal["best", "average", "last"]
    """Which weights were kept."""
    history: list[HistoryPoint]
    """The learning curve and the validations, by step."""
    timings: StepTimings
    best: BestValidation | None = None
    findings: dict[str, Any] = field(default_factory=dict)
    """What further callbacks found, by name."""
    warnings: list[str] = field(default_factory=list)
    """What the resume warned of: a damaged checkpoint that was skipped, another version of torch."""
    processes: int = 1
    unsynchronized_batch_norm: bool = False
    """Batch normalization took each process's share of a batch by itself."""


class TimeLimit:
    """Ends training after so many minutes, those before a resume included.

    A run that it ends depends on the machine's pace, so it is the one thing that isn't repeatable bit for bit.
    """

    def __init__(self, minutes: float) -> None:
        """Start the clock; 0 minutes set no limit."""
        self.minutes = minutes
        self._before = 0.0
        self._since = time.monotonic()

    def should_stop(self) -> str | None:
        """Return "time_limit" once the time is over."""
        return "time_limit" if 0 < self.minutes * 60 <= self._spent() else None

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds spent."""
        return {"seconds": self._spent()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Add the seconds that an earlier process spent."""
        self._before = float(state["seconds"])

    def _spent(self) -> float:
        return self._before + time.monotonic() - self._since


def train(
    config: StandardTraining,
    setup: TrainingSetup,
    validator: Validator | None,
    folder: Path,
    fingerprint: Mapping[str, Any],
    *,
    callbacks: Sequence[Callback] = (),
    stopping: Sequence[StoppingCriterion] = (),
    parallel: ProcessGroup = ALONE,
    deterministic: bool = True,
) -> TrainingResult:
    """Train, or resume a run of the same fingerprint in ``folder``, to the end; return how it went.

    ``validator`` (see ``run_validator``) None trains without validation. ``fingerprint`` (JSON) is what a resumed
    run must share: configuration and data hashes. Callbacks and criteria that have ``state_dict`` are kept in the
    checkpoints.
    ``deterministic`` selects CUDA kernels that repeat bit for bit, at a cost of speed.
    Raises ``TrainingInterrupted`` when interrupted and ValueError for a folder of another run, a damaged one, a full
    disk, an unknown ``training.monitor``, or a loss that is no longer finite.
    """
    step, batches = setup.step, setup.batches
    if deterministic:
        choose_deterministic_kernels(next(step.model.parameters()).device)
    curve, timer, limit = LearningCurve(batches.steps), StepTimer(), TimeLimit(config.max_minutes)
    states: dict[str, Stateful] = {"step": step, "curve": curve, "time_limit": limit}
    criteria: list[StoppingCriterion] = [limit, *stopping]
    if validator is not None:
        states["validator"] = validator
        criteria.append(validator)
    others = {id(other): other for other in [*callbacks, *stopping]}  # one object may be both
    for number, other in enumerate(others.values()):
        if isinstance(other, Stateful):
            states[f"{type(other).__name__}{number}"] = other
    checkpoints = Checkpoints(
        folder,
        states,
        fingerprint,
        every=config.checkpoint_every_steps,
        minutes=config.checkpoint_every_minutes,
        keep=config.keep_checkpoints,
    )
    start = checkpoints.resume()
    if parallel.reduce_sum(start) != start * parallel.world:
        raise ValueError(
            f"{folder} is not the same in all processes: it must lie where all of them can read it"
        )
    step.model.train()
    with progress(config.progress if parallel.is_main else "none", batches.steps, start) as display:
        reason = fit(
            step,
            batches,
            seed=setup.seed,
            callbacks=[*display, timer, curve, *callbacks],
            validator=validator,
            checkpoints=checkpoints,
            stopping=criteria,
            start=start,
            parallel=parallel,
        )
    weights: Literal["best", "average", "last"] = "last"
    if validator is not None and validator.restore_best():
        weights = "best"
    elif step.ema is not None:
        step.ema.copy_to_model()
        weights = "average"
    findings: dict[str, Any] = {}
    for callback in callbacks:
        findings |= callback.findings()
    has_batch_norm = any(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in step.model.modules())
    return TrainingResult(
        steps=curve.step,
        stop_reason=cast("StopReason", reason),
        weights=weights,
        history=_joined(curve.points, validator.history if validator else []),
        timings=timer.timings(),
        best=validator.best() if validator else None,
        findings=findings,
        warnings=checkpoints.warnings,
        processes=parallel.world,
        unsynchronized_batch_norm=parallel.world > 1 and has_batch_norm,
    )


def run_validator(
    config: StandardTraining,
    setup: TrainingSetup,
    target: Target,
    validation: EncodedSplit,
    parallel: ProcessGroup = ALONE,
) -> Validator:
    """Return the validator of a run: the target's metrics on the validation set, raising ValueError for the monitor."""
    step = setup.step

    def evaluate() -> dict[str, float]:
        """Return the mean loss and the target's metrics on the validation set, from one prediction."""
        raw = outputs(
            step.model,
            validation.encoded,
            batch_size=config.validation_batch_size,
            precision=setup.precision.precision,
        )
        loss = float(target.losses(raw, validation.targets).double().mean())
        found = as_predictions(target.scores(raw).double().numpy(), target, validation)
        return {"loss": loss} | {name: metric(found) for name, metric in target.metrics().items()}

    return Validator(
        step.model,
        lambda: parallel.broadcast_from_main(evaluate),  # one result for all, so that all keep and stop alike
        monitored(target, config.monitor),
        every=config.validate_every_epochs * setup.epoch_steps,
        steps=setup.batches.steps,
        patience=config.patience,
        keep_best=config.restore_best,
        ema=step.ema,
    )


def _joined(curve: Sequence[HistoryPoint], validations: Sequence[HistoryPoint]) -> list[HistoryPoint]:
    """Return the points of the learning curve and of the validations, those of one step as one."""
    points = {point.step: point for point in curve}
    for found in validations:
        point = points.get(found.step, HistoryPoint(step=found.step))
        points[found.step] = point.model_copy(update={"validation": found.validation})
    return [points[step] for step in sorted(points)]
