"""What watches a training run: progress for people, the learning curve and step times for the record."""

from __future__ import annotations

import sys
import time
from array import array
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from core.training.types import Callback, StepEvent

SMOOTHING = 0.95
"""Memory of the smoothed training loss, per step."""
REFRESH = 0.2
"""Seconds between redrawings of the bar."""
LINE_SECONDS = 30.0
LINES = 10
"""Without a terminal: a line each tenth of the run, or every LINE_SECONDS."""
TRAINING = "training"
"""What the display is of, where nothing else is said."""
POINTS = 200
"""Points of the learning curve."""


class SmoothedLoss:
    """Exponential mean of a series, corrected for its start (as Adam's moments are)."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.total = 0.0
        self.weight = 0.0

    def add(self, value: float) -> float:
        """See a value and give the mean so far."""
        self.total = SMOOTHING * self.total + (1 - SMOOTHING) * value
        self.weight = SMOOTHING * self.weight + (1 - SMOOTHING)
        return self.total / self.weight


class LearningCurve:
    """The smoothed training loss along the run; it stays empty where the loss is private."""

    def __init__(self, steps: int) -> None:
        """Keep about POINTS points of a run of so many steps."""
        self.every = max(steps // POINTS, 1)
        self.points: list[dict[str, float]] = []
        self.step = 0
        """The last step seen."""
        self._loss = SmoothedLoss()

    def on_step(self, event: StepEvent) -> None:
        """Take up the loss."""
        self.step = event.step
        if event.loss is None:
            return
        smoothed = self._loss.add(event.loss)
        if event.step == 1 or event.step % self.every == 0:
            assert event.rate is not None, "training has a rate"
            self.points.append({"step": event.step, "loss": smoothed, "rate": event.rate})

    def on_end(self) -> None:
        """Have nothing to do."""

    def findings(self) -> dict[str, Any]:
        """Give the points: step, smoothed loss, learning rate."""
        return {"curve": self.points}

    def state_dict(self) -> dict[str, Any]:
        """Give the points and the running mean."""
        return {
            "step": self.step,
            "points": self.points,
            "total": self._loss.total,
            "weight": self._loss.weight,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved curve."""
        self.step, self.points = state["step"], list(state["points"])
        self._loss.total, self._loss.weight = state["total"], state["weight"]


class StepTimes:
    """How long steps took since this process started; not carried over a resume."""

    def __init__(self) -> None:
        """Start the clock."""
        self._last = time.perf_counter()
        self._seconds = array("d")
        self._examples: int | None = 0

    def on_step(self, event: StepEvent) -> None:
        """Take the time since the last step, its batch, checkpoint and validation included."""
        now = time.perf_counter()
        self._seconds.append(now - self._last)
        self._last = now
        if self._examples is not None:
            self._examples = None if event.examples is None else self._examples + event.examples

    def on_end(self) -> None:
        """Have nothing to do."""

    def findings(self) -> dict[str, Any]:
        """Give the total; median and 95th percentile in milliseconds, and throughput, where batch sizes are public.

        A step's time tells its batch's size.
        """
        if not self._seconds:
            return {"times": {"steps": 0}}
        seconds = np.frombuffer(self._seconds)
        times: dict[str, Any] = {
            "steps": len(seconds),
            "seconds": float(seconds.sum()),
        }
        if self._examples is not None:
            times["step_ms_median"] = float(np.median(seconds) * 1e3)
            times["step_ms_p95"] = float(np.quantile(seconds, 0.95) * 1e3)
            times["examples_per_second"] = self._examples / float(seconds.sum())
        return {"times": times}


class ProgressBar:
    """A progress bar on a terminal: loss (where it is public), rate and time left."""

    def __init__(self, steps: int, start: int, stream: TextIO | None = None, what: str = TRAINING) -> None:
        """Open the bar at the first step that is seen."""
        self.steps = steps
        self._left = TimeLeft(steps, start)
        self._loss = SmoothedLoss()
        columns = (
            TextColumn(what),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[says]}"),
        )
        console = Console(file=stream if stream is not None else sys.stderr, force_terminal=True)
        # Drawn from on_step and not from a thread of its own, which would take time from the step's.
        self._bar = Progress(*columns, console=console, auto_refresh=False, transient=True)
        self._task: TaskID | None = None
        self._drawn = 0.0

    def on_step(self, event: StepEvent) -> None:
        """Move the bar, redrawn at most every REFRESH seconds."""
        loss = None if event.loss is None else self._loss.add(event.loss)
        now = time.monotonic()
        if now - self._drawn < REFRESH and event.step < self.steps:
            return
        self._drawn = now
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task("", total=self.steps, says="")
        self._bar.update(self._task, completed=event.step, says=format_progress(event, loss, self._left(event.step)))
        self._bar.refresh()

    def on_end(self) -> None:
        """Clear the bar away."""
        self._bar.stop()

    def findings(self) -> dict[str, Any]:
        """Leave nothing in the record."""
        return {}


class LogProgress:
    """Progress where there is no terminal: a line now and then."""

    def __init__(self, steps: int, start: int, stream: TextIO | None = None, what: str = TRAINING) -> None:
        """Write to ``stream``, the process's error stream by default; of other work than training if it takes long."""
        self.steps = steps
        self._what = "" if what == TRAINING else f"{what}: "
        self.stream = stream if stream is not None else sys.stderr
        self.every = max(steps // LINES, 1)
        self._left = TimeLeft(steps, start)
        self._loss = SmoothedLoss()
        self._written = time.monotonic()

    def on_step(self, event: StepEvent) -> None:
        """Write a line if a tenth of the run or LINE_SECONDS have passed."""
        loss = None if event.loss is None else self._loss.add(event.loss)
        now = time.monotonic()
        due = now - self._written >= LINE_SECONDS
        if not due and (self._what or (event.step % self.every and event.step != self.steps)):
            return
        self._written = now
        text = format_progress(event, loss, self._left(event.step))
        print(f"{self._what}step {event.step}/{self.steps}  {text}", file=self.stream, flush=True)

    def on_end(self) -> None:
        """Have nothing to do."""

    def findings(self) -> dict[str, Any]:
        """Leave nothing in the record."""
        return {}


class TimeLeft:
    """Seconds to the end of the run, from the pace since this process took it up."""

    def __init__(self, steps: int, start: int) -> None:
        """Start the clock at step ``start`` of ``steps``."""
        self.steps = steps
        self.start = start
        self._since = time.monotonic()

    def __call__(self, step: int) -> float:
        """Give the seconds left after ``step``."""
        return (time.monotonic() - self._since) / max(step - self.start, 1) * (self.steps - step)


def format_progress(event: StepEvent, loss: float | None, left: float) -> str:
    """Put a step's figures in words; nothing of the loss where it is private."""
    minutes, seconds = divmod(round(left), 60)
    remaining = f"{minutes} min {seconds:02d} s left" if minutes else f"{seconds} s left"
    figures = [remaining] if event.rate is None else [f"rate {event.rate:.2e}", remaining]
    return "  ".join(figures if loss is None else [f"loss {loss:.4f}", *figures])


@contextmanager
def progress(kind: str, steps: int, start: int, what: str = TRAINING) -> Iterator[list[Callback]]:
    """Give the display of ``training.progress`` (auto: a bar on a terminal, else lines), cleared away on any exit."""
    if kind == "none":
        yield []
    elif kind == "bar" or (kind == "auto" and sys.stderr.isatty()):
        bar = ProgressBar(steps, start, what=what)
        try:
            yield [bar]
        finally:
            bar.on_end()
    else:
        yield [LogProgress(steps, start, what=what)]
