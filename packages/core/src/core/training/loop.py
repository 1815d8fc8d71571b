"""The training loop: an update per batch, probes that watch, checkpoints, reasons to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.training.determinism import seeded
from core.training.shutdown import Interrupts, Stopped
from core.training.parallel import ALONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.training.checkpoint import Checkpoints
    from core.training.parallel import Parallel
    from core.training.types import Batches, Probe, Stop, Update


def fit(
    update: Update,
    batches: Batches,
    *,
    seed: int,
    probes: Sequence[Probe] = (),
    checkpoints: Checkpoints | None = None,
    stops: Sequence[Stop] = (),
    start: int = 0,
    parallel: Parallel = ALONE,
) -> str:
    """Train from step ``start`` (as ``checkpoints.resume()`` gave it) to the end, and say in a sentence why it ended.

    A run that was killed anywhere and resumed ends with the same bits as a straight one: each step's random
    streams are seeded from (seed, step), and all else that a step reads is in the checkpoint.
    Raises ``Stopped`` after Ctrl-C or SIGTERM, the checkpoint written.
    """
    step = start
    reason = _exhausted(stops, parallel)
    stream = seeded(batches, seed, start)
    with Interrupts() as interrupts:
        while step < batches.steps and reason is None:
            event = update(next(stream))
            step += 1
            for probe in probes:
                probe.on_step(event)
            reason = _exhausted(stops, parallel)
            if parallel.any(interrupts.asked):
                if checkpoints is not None and parallel.main:
                    checkpoints.save(step)
                parallel.wait()  # or the end of another process would end the main one in the middle of its write
                raise Stopped(step, batches.steps, checkpoints is not None)
            if checkpoints is not None and parallel.main:
                checkpoints.after(step, last=step == batches.steps or reason is not None)
    for probe in probes:
        probe.on_end()
    return reason or f"all {batches.steps} steps were taken"


def _exhausted(stops: Sequence[Stop], parallel: Parallel) -> str | None:
    """Give the first reason to stop; under several processes, one process's reason stops all."""
    reason = next((why for stop in stops if (why := stop.exhausted()) is not None), None)
    return parallel.first(reason) if parallel.any(reason is not None) else None
