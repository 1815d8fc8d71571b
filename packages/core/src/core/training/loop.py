"""The training loop: one optimizer step a batch, callbacks that watch, validation, checkpoints, reasons to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.training.determinism import seeded
from core.training.parallel import ALONE
from core.training.shutdown import GracefulShutdown, TrainingInterrupted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.training.checkpoint import Checkpoints
    from core.training.parallel import ProcessGroup
    from core.training.types import Batches, Callback, Step, StoppingCriterion
    from core.training.validator import Validator

ALL_STEPS = "all_steps"
"""Reason to stop of a training that took all its steps."""


def fit(
    update: Step,
    batches: Batches,
    *,
    seed: int,
    callbacks: Sequence[Callback] = (),
    validator: Validator | None = None,
    checkpoints: Checkpoints | None = None,
    stopping: Sequence[StoppingCriterion] = (),
    start: int = 0,
    parallel: ProcessGroup = ALONE,
) -> str:
    """Train from step ``start`` (as ``checkpoints.resume()`` returned it) to the end; return why it ended, as a code.

    A run that was killed anywhere and resumed ends with the same bits as a straight one: each step's random
    streams are seeded from (seed, step), and all else that a step reads is in the checkpoint.
    Raises ``TrainingInterrupted`` after Ctrl-C or SIGTERM, the checkpoint written.
    """
    step = start
    reason = _reason(stopping, parallel)
    stream = seeded(batches, seed, start)
    with GracefulShutdown() as shutdown:
        while step < batches.steps and reason is None:
            event = update(next(stream))
            step += 1
            for callback in callbacks:
                callback.on_step(event)
            if validator is not None:
                validator.after_step(step)
            reason = _reason(stopping, parallel)
            if parallel.any(shutdown.requested):
                if checkpoints is not None and parallel.is_main:
                    checkpoints.save(step)
                parallel.barrier()  # or the end of another process would end the main one in the middle of its write
                raise TrainingInterrupted(step, batches.steps, checkpoints is not None)
            if checkpoints is not None and parallel.is_main:
                checkpoints.after(step, last=step == batches.steps or reason is not None)
    if validator is not None:
        validator.at_end()
    for callback in callbacks:
        callback.on_end()
    return reason or ALL_STEPS


def _reason(stopping: Sequence[StoppingCriterion], parallel: ProcessGroup) -> str | None:
    """Return the first reason to stop; under several processes, one process's reason stops all."""
    reason = next((code for criterion in stopping if (code := criterion.should_stop()) is not None), None)
    return parallel.first_not_none(reason) if parallel.any(reason is not None) else None
