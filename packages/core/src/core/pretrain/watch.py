"""Looks at what is held out, along a pretraining, with the seconds trained until then."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from core.pretrain.job import Job
    from core.training.types import StepEvent
    from core.training.step import TrainStep


class Looks:
    """A probe that judges the averaged weights now and then; looking does not count as training time."""

    def __init__(self, job: Job, update: TrainStep, steps: int) -> None:
        """Look at the job's held-out part every so many of the steps, and at the end."""
        self.job, self.update, self.steps = job, update, steps
        self.points: list[dict[str, float]] = []
        self.seconds = 0.0
        """Spent on training so far, earlier processes of the run included."""
        self._last = time.perf_counter()

    def on_step(self, event: StepEvent) -> None:
        """Count the time and look where it is due."""
        due = event.step == self.steps or (self.job.judge_every and event.step % self.job.judge_every == 0)
        if due and torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds += now - self._last
        self._last = now
        if not due:
            return
        average = nullcontext() if self.update.ema is None else self.update.ema.average_parameters()
        with average:
            found = self.job.judge()
        assert all(math.isfinite(value) for value in found.values())
        units = event.step * self.job.units_per_step
        self.points.append({"step": event.step, self.job.unit: units, "seconds": self.seconds, **found})
        shown = "  ".join(f"{key} {value:.4f}" for key, value in found.items())
        print(f"step {event.step}  {self.seconds:.0f} s  {shown}", flush=True)
        self._last = time.perf_counter()

    def on_end(self) -> None:
        """Have nothing to do."""

    def findings(self) -> dict[str, Any]:
        """Give the looks."""
        return {"looks": self.points}

    def state_dict(self) -> dict[str, Any]:
        """Give the looks and the seconds."""
        return {"points": self.points, "seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what an earlier process saw."""
        self.points, self.seconds = list(state["points"]), float(state["seconds"])
        self._last = time.perf_counter()
