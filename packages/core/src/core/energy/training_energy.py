"""The energy of training: a forecast from the first steps, the usage of a resumed run, a budget that ends it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from core.energy.carbon import Grid
from core.energy.config import MeasuredEnergy
from core.energy.meter import JOULES_PER_WH, EnergyUsage, Meter
from core.energy.section import EnergyForecast

if TYPE_CHECKING:
    from core.config import EnergyConfig

WARM_UP, SAMPLE = 3, 20
"""Steps that are not counted, and those that the forecast extrapolates."""
CHECK_EVERY = 0.5
"""Seconds between two checks of the budget."""


class StepNumber(Protocol):
    """What a step of training reports, as far as its energy needs it."""

    @property
    def step(self) -> int:
        """Steps done so far."""


class TrainingEnergy:
    """A callback and a stopping criterion: what training used, earlier processes of the same run included."""

    def __init__(
        self,
        meter: Meter,
        steps: int,
        budget_wh: float,
        grid: Grid | None,
        on_forecast: Callable[[EnergyForecast], None] | None,
    ) -> None:
        """Watch a training of ``steps`` steps; ``on_forecast`` is called once with the forecast."""
        self.meter, self.steps, self.budget = meter, steps, budget_wh * JOULES_PER_WH
        self.grid, self.on_forecast = grid, on_forecast
        self.before = EnergyUsage()
        """Used by earlier processes that trained in the same folder."""
        self._start = meter.now()
        self._seen = 0
        self._sample: EnergyUsage | None = None
        self.forecast: EnergyForecast | None = None
        self._checked, self._joules = time.monotonic(), 0.0

    @classmethod
    def of(
        cls,
        config: EnergyConfig,
        meter: Meter,
        steps: int,
        on_forecast: Callable[[EnergyForecast], None] | None = None,
    ) -> TrainingEnergy:
        """Return what watches a training under an option of ``energy=``; with ``energy=none`` it only times."""
        budget_wh = config.budget_wh if isinstance(config, MeasuredEnergy) else 0.0
        return cls(meter, steps, budget_wh, Grid.if_measured(config), on_forecast)

    def on_step(self, event: StepNumber) -> None:
        """Compute the forecast once enough steps were measured."""
        if self.forecast is not None or not self.meter.sources:
            return
        self._seen += 1
        if self._seen == WARM_UP:
            self._sample = self.meter.now()
        if self._seen == WARM_UP + SAMPLE and self._sample is not None:
            used = self.meter.now() - self._sample
            times = (self.steps - event.step) / SAMPLE
            done = self.meter.now() - self._start + self.before
            joules = done.total + times * used.total
            self.forecast = EnergyForecast(
                after_step=event.step,
                seconds=done.seconds + times * used.seconds,
                joules=joules,
                grams=None if self.grid is None else self.grid.emissions(joules),
            )
            if self.on_forecast is not None:
                self.on_forecast(self.forecast)

    def on_end(self) -> None:
        """Do nothing."""

    def findings(self) -> dict[str, Any]:
        """Return the forecast, to be compared with what training used."""
        return {"energy_forecast": self.forecast}

    def should_stop(self) -> str | None:
        """Return "energy_budget" once the budget is used up; None before."""
        if not self.budget:
            return None
        if time.monotonic() - self._checked >= CHECK_EVERY or not self._joules:
            self._checked = time.monotonic()
            self._joules = (self.meter.now() - self._start + self.before).total
        if self._joules < self.budget:
            return None
        return "energy_budget"

    def state_dict(self) -> dict[str, Any]:
        """Return what was used so far."""
        used = self.meter.now() - self._start + self.before
        return {"seconds": used.seconds, "processor_seconds": used.processor_seconds, "joules": used.joules}

    def missing(self) -> str:
        """Return what a checkpoint without this state costs."""
        return "the energy used before it is not counted"

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Add what earlier processes used."""
        self.before = EnergyUsage(
            float(state["seconds"]),
            float(state["processor_seconds"]),
            {k: float(v) for k, v in state["joules"].items()},
        )
        self._start = self.meter.now()
