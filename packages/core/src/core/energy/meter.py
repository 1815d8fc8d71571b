"""The meter of a run: time and energy of each phase; what is measured inside a phase does not count in it again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from core.energy.config import MeasuredEnergy, NoEnergy
from core.energy.section import EnergySource, EnergyUse
from core.energy.sources import Source, detect_sources, processor_seconds

JOULES_PER_WH = 3600.0


@dataclass
class EnergyUsage:
    """Time and energy used so far, or between two readings.

    >>> used = EnergyUsage(2.0, 1.5, {"processor": 9.0}) - EnergyUsage(1.0, 0.5, {"processor": 4.0})
    >>> used.seconds, used.total
    (1.0, 5.0)
    """

    seconds: float = 0.0
    processor_seconds: float = 0.0
    joules: dict[str, float] = field(default_factory=dict)
    """Component -> joules."""

    def __add__(self, other: EnergyUsage) -> EnergyUsage:
        names = [*self.joules, *(name for name in other.joules if name not in self.joules)]
        return EnergyUsage(
            self.seconds + other.seconds,
            self.processor_seconds + other.processor_seconds,
            {name: self.joules.get(name, 0.0) + other.joules.get(name, 0.0) for name in names},
        )

    def __sub__(self, other: EnergyUsage) -> EnergyUsage:
        return EnergyUsage(
            self.seconds - other.seconds,
            self.processor_seconds - other.processor_seconds,
            {name: joules - other.joules.get(name, 0.0) for name, joules in self.joules.items()},
        )

    @property
    def total(self) -> float:
        """Joules of all components."""
        return sum(self.joules.values())

    def section(self) -> EnergyUse:
        """Return it for the record."""
        return EnergyUse(
            seconds=self.seconds,
            processor_seconds=self.processor_seconds,
            joules=self.total,
            components=self.joules,
        )


class Meter:
    """Reads the sources at the borders of phases. Phases may be nested.

    >>> meter = Meter([])  # no sources: it only times
    >>> with meter.phase("outer"), meter.phase("inner"):
    ...     pass
    >>> list(meter.phases)
    ['inner', 'outer']
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        """Start with nothing used."""
        self.sources = list(sources)
        self.phases: dict[str, EnergyUsage] = {}
        self._open: list[EnergyUsage] = []

    @classmethod
    def of_machine(cls, config: MeasuredEnergy) -> Meter:
        """Return a meter of this process, of the counters and power models that this machine has."""
        return cls(detect_sources(config.watts_per_core))

    @classmethod
    def time_only(cls, config: NoEnergy) -> Meter:
        """Return a meter without sources: it only times."""
        return cls([])

    def now(self) -> EnergyUsage:
        """Return what was used since the meter started."""
        joules: dict[str, float] = {}
        for source in self.sources:
            joules[source.component] = joules.get(source.component, 0.0) + source.joules()
        return EnergyUsage(time.perf_counter(), processor_seconds(), joules)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the body of a ``with``; a phase entered again adds up."""
        before = self.now()
        self._open.append(EnergyUsage())
        try:
            yield
        finally:
            whole = self.now() - before
            inner = self._open.pop()
            self.add(name, whole - inner)
            if self._open:
                self._open[-1] += whole

    def add(self, name: str, used: EnergyUsage) -> None:
        """Add to a phase, such as what other processes of the run used in it."""
        self.phases[name] = self.phases.get(name, EnergyUsage()) + used

    def source_sections(self) -> list[EnergySource]:
        """Return the record's entry of each source, with what it used in all phases."""
        joules = self.used.joules
        return [
            EnergySource(
                component=source.component,
                method=source.method,
                parameters=source.parameters,
                measured=source.measured,
                relative_uncertainty=source.relative_uncertainty,
                joules=joules[source.component],
            )
            for source in self.sources
        ]

    @property
    def used(self) -> EnergyUsage:
        """All phases together."""
        total = EnergyUsage()
        for usage in self.phases.values():
            total += usage
        return total
