"""What watches the energy of training: a forecast from the first steps, the energy of a resumed run, a budget."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.energy.meter import JOULES_PER_WH, Meter, Reading

if TYPE_CHECKING:
    from core.energy.carbon import Grid
    from core.training.types import StepEvent

Say = Callable[[dict[str, Any]], None]

WARM, SAMPLE = 3, 20
"""Steps that are not counted, and those that the forecast is made from."""
EVERY = 0.5
"""Seconds between two looks at the budget."""


class TrainingEnergy:
    """A probe and a stop of the loop: what training used, earlier processes of the same run included."""

    def __init__(
        self,
        meter: Meter,
        steps: int,
        budget_wh: float,
        grid: Grid | None,
        pue: float,
        say: Say | None,
    ) -> None:
        """Watch a training of so many steps; ``say`` is given the forecast."""
        self.meter, self.steps, self.budget = meter, steps, budget_wh * JOULES_PER_WH
        self.grid, self.pue, self.say = grid, pue, say
        self.before = Reading()
        """Used by earlier processes that trained in the same folder."""
        self._start = meter.now()
        self._seen = 0
        self._sample: Reading | None = None
        self.forecast: dict[str, Any] | None = None
        self._looked, self._last = time.monotonic(), 0.0

    def on_step(self, event: StepEvent) -> None:
        """Make the forecast once enough steps were seen."""
        if self.forecast is not None or not self.meter.sources:
            return
        self._seen += 1
        if self._seen == WARM:
            self._sample = self.meter.now()
        if self._seen == WARM + SAMPLE and self._sample is not None:
            used = self.meter.now() - self._sample
            share = (self.steps - event.step) / SAMPLE
            done = self.meter.now() - self._start + self.before
            joules = done.total + share * used.total
            self.forecast = {
                "after_step": event.step,
                "seconds": done.seconds + share * used.seconds,
                "joules": joules,
                "grams": None if self.grid is None else self.grid.emitted(joules, self.pue),
            }
            if self.say is not None:
                self.say(self.forecast)

    def on_end(self) -> None:
        """Have nothing to do."""

    def findings(self) -> dict[str, Any]:
        """Give the forecast, to be compared with what came."""
        return {"energy_forecast": self.forecast}

    def exhausted(self) -> str | None:
        """Say that the budget is used up, if it is."""
        if not self.budget:
            return None
        if time.monotonic() - self._looked >= EVERY or not self._last:
            self._looked = time.monotonic()
            self._last = (self.meter.now() - self._start + self.before).total
        if self._last < self.budget:
            return None
        return f"the energy budget of {self.budget / JOULES_PER_WH:g} Wh (energy.budget_wh) was used up"

    def state_dict(self) -> dict[str, Any]:
        """Give what was used."""
        used = self.meter.now() - self._start + self.before
        return {"seconds": used.seconds, "processor_seconds": used.processor_seconds, "joules": used.joules}

    def missing(self) -> str:
        """Say what a checkpoint without this part costs."""
        return "the energy used before it is not counted"

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Add what earlier processes used."""
        self.before = Reading(
            float(state["seconds"]),
            float(state["processor_seconds"]),
            {k: float(v) for k, v in state["joules"].items()},
        )
        self._start = self.meter.now()
