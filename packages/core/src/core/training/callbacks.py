"""Callbacks that watch a training: progress for people, the learning curve and step timings for the record."""

from __future__ import annotations

import sys
import time
from array import array
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from core.training.section import HistoryPoint, StepTimings
from core.training.types import Callback

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from core.training.types import StepEvent

SMOOTHING = 0.95
"""Decay of the smoothed training loss, per step."""
REFRESH_SECONDS = 0.2
"""Between redrawings of the progress bar."""
LINE_SECONDS = 30.0
LINES = 10
"""Without a terminal: a line each tenth of the run, or every LINE_SECONDS."""
TRAINING = "training"
"""What the display is of, where nothing else is named."""
CURVE_POINTS = 200


class SmoothedLoss:
    """Exponential moving average of a series with bias correction (as Adam's moments have)."""

    def __init__(self) -> None:
        """Start without a value."""
        self.total = 0.0
        self.weight = 0.0

    def add(self, value: float) -> float:
        """Add a value; return the average so far."""
        self.total = SMOOTHING * self.total + (1 - SMOOTHING) * value
        self.weight = SMOOTHING * self.weight + (1 - SMOOTHING)
        return self.total / self.weight


class LearningCurve(Callback):
    """The smoothed training loss along the run; it stays empty where the loss is private."""

    def __init__(self, steps: int) -> None:
        """Keep about CURVE_POINTS points of a run of so many steps."""
        self.every = max(steps // CURVE_POINTS, 1)
        self.points: list[HistoryPoint] = []
        self.step = 0
        """The last step seen."""
        self._loss = SmoothedLoss()

    def on_step(self, event: StepEvent) -> None:
        """Add the loss of a step."""
        self.step = event.step
        if event.loss is None:
            return
        smoothed = self._loss.add(event.loss)
        if event.step == 1 or event.step % self.every == 0:
            self.points.append(HistoryPoint(step=event.step, loss=smoothed, lr=event.lr))

    def state_dict(self) -> dict[str, Any]:
        """Return the points and the running average."""
        return {
            "step": self.step,
            "points": [[point.step, point.loss, point.lr] for point in self.points],
            "total": self._loss.total,
            "weight": self._loss.weight,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a saved curve."""
        self.step = state["step"]
        self.points = [HistoryPoint(step=step, loss=loss, lr=lr) for step, loss, lr in state["points"]]
        self._loss.total, self._loss.weight = state["total"], state["weight"]


class StepTimer(Callback):
    """Measures how long steps take since this process started."""

    def __init__(self) -> None:
        """Start the clock."""
        self._last = time.perf_counter()
        self._seconds = array("d")
        self._examples: int | None = 0

    def on_step(self, event: StepEvent) -> None:
        """Add the time since the last step, its batch, checkpoint and validation included."""
        now = time.perf_counter()
        self._seconds.append(now - self._last)
        self._last = now
        if self._examples is not None:
            self._examples = None if event.examples is None else self._examples + event.examples

    def timings(self) -> StepTimings:
        """Return the total; median, 95th percentile and throughput only where batch sizes are public."""
        if not self._seconds:
            return StepTimings()
        seconds = np.frombuffer(self._seconds)
        total = float(seconds.sum())
        if self._examples is None:
            return StepTimings(steps=len(seconds), seconds=total)
        return StepTimings(
            steps=len(seconds),
            seconds=total,
            step_ms_median=float(np.median(seconds) * 1e3),
            step_ms_p95=float(np.quantile(seconds, 0.95) * 1e3),
            examples_per_second=self._examples / total,
        )


class ProgressBar(Callback):
    """A progress bar on a terminal: loss (where it is public), learning rate and remaining time."""

    def __init__(self, steps: int, start: int, stream: TextIO | None = None, what: str = TRAINING) -> None:
        """Open the bar at the first step that is seen."""
        self.steps = steps
        self._remaining = RemainingTime(steps, start)
        self._loss = SmoothedLoss()
        columns = (
            TextColumn(what),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[status]}"),
        )
        console = Console(file=stream if stream is not None else sys.stderr, force_terminal=True)
        # Drawn from on_step and not from a thread of its own, which would take time from the step's.
        self._bar = Progress(*columns, console=console, auto_refresh=False, transient=True)
        self._task: TaskID | None = None
        self._drawn = 0.0

    def on_step(self, event: StepEvent) -> None:
        """Move the bar, redrawn at most every REFRESH_SECONDS."""
        loss = None if event.loss is None else self._loss.add(event.loss)
        now = time.monotonic()
        if now - self._drawn < REFRESH_SECONDS and event.step < self.steps:
            return
        self._drawn = now
        if self._task is None:
            self._bar.start()
            self._task = self._bar.add_task("", total=self.steps, status="")
        status = format_progress(event, loss, self._remaining(event.step))
        self._bar.update(self._task, completed=event.step, status=status)
        self._bar.refresh()

    def on_end(self) -> None:
        """Clear the bar."""
        self._bar.stop()


class LogProgress(Callback):
    """Progress where there is no terminal: a line at intervals."""

    def __init__(self, steps: int, start: int, stream: TextIO | None = None, what: str = TRAINING) -> None:
        """Write to ``stream``, by default the standard error; of other work than training only if it takes long."""
        self.steps = steps
        self._what = "" if what == TRAINING else f"{what}: "
        self.stream = stream if stream is not None else sys.stderr
        self.every = max(steps // LINES, 1)
        self._remaining = RemainingTime(steps, start)
        self._loss = SmoothedLoss()
        self._written = time.monotonic()

    def on_step(self, event: StepEvent) -> None:
        """Write a line if one is due."""
        loss = None if event.loss is None else self._loss.add(event.loss)
        now = time.monotonic()
        due = now - self._written >= LINE_SECONDS
        if not due and (self._what or (event.step % self.every and event.step != self.steps)):
            return
        self._written = now
        status = format_progress(event, loss, self._remaining(event.step))
        self.stream.write(f"{self._what}step {event.step}/{self.steps}  {status}\n")
        self.stream.flush()


class RemainingTime:
    """Seconds to the end of the run, from the pace since this process started."""

    def __init__(self, steps: int, start: int) -> None:
        """Start the clock at step ``start`` of ``steps``."""
        self.steps = steps
        self.start = start
        self._since = time.monotonic()

    def __call__(self, step: int) -> float:
        """Return the seconds that remain after ``step``."""
        return (time.monotonic() - self._since) / max(step - self.start, 1) * (self.steps - step)


def format_progress(event: StepEvent, loss: float | None, remaining: float) -> str:
    """Return a step's loss (where it is public), learning rate and remaining time as one line."""
    minutes, seconds = divmod(round(remaining), 60)
    left = f"{minutes} min {seconds:02d} s left" if minutes else f"{seconds} s left"
    values = [left] if event.lr is None else [f"lr {event.lr:.2e}", left]
    return "  ".join(values if loss is None else [f"loss {loss:.4f}", *values])


@contextmanager
def progress(kind: str, steps: int, start: int, what: str = TRAINING) -> Iterator[list[Callback]]:
    """Yield the display of ``training.progress`` (auto: a bar on a terminal, else lines), cleared on any exit."""
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
