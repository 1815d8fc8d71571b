"""The meter of a run: time and energy of each phase; what is measured inside a phase does not count in it again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from core.energy.sources import Source, processor_seconds

JOULES_PER_WH = 3600.0


@dataclass
class Reading:
    """What was used so far, or in a stretch of it."""

    seconds: float = 0.0
    processor_seconds: float = 0.0
    joules: dict[str, float] = field(default_factory=dict)
    """Component -> joules."""

    def __add__(self, other: Reading) -> Reading:
        names = [*self.joules, *(name for name in other.joules if name not in self.joules)]
        return Reading(
            self.seconds + other.seconds,
            self.processor_seconds + other.processor_seconds,
            {name: self.joules.get(name, 0.0) + other.joules.get(name, 0.0) for name in names},
        )

    def __sub__(self, other: Reading) -> Reading:
        return Reading(
            self.seconds - other.seconds,
            self.processor_seconds - other.processor_seconds,
            {name: joules - other.joules.get(name, 0.0) for name, joules in self.joules.items()},
        )

    @property
    def total(self) -> float:
        """Joules of all components."""
        return sum(self.joules.values())

    def json(self) -> dict[str, Any]:
        """Give it for the record."""
        return {
            "seconds": self.seconds,
            "processor_seconds": self.processor_seconds,
            "joules": self.total,
            "components": self.joules,
        }


class Meter:
    """Reads the sources at the borders of phases. Phases may lie within one another."""

    def __init__(self, sources: Sequence[Source]) -> None:
        """Start with nothing used."""
        self.sources = list(sources)
        self.phases: dict[str, Reading] = {}
        self._open: list[Reading] = []

    def now(self) -> Reading:
        """Read what was used since the meter was made."""
        joules: dict[str, float] = {}
        for source in self.sources:
            joules[source.component] = joules.get(source.component, 0.0) + source.joules()
        return Reading(time.perf_counter(), processor_seconds(), joules)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure what is done inside; a phase that comes again adds up."""
        before = self.now()
        self._open.append(Reading())
        try:
            yield
        finally:
            whole = self.now() - before
            inner = self._open.pop()
            self.add(name, whole - inner)
            if self._open:
                self._open[-1] += whole

    def add(self, name: str, used: Reading) -> None:
        """Add to a phase, such as what other processes of the run used in it."""
        self.phases[name] = self.phases.get(name, Reading()) + used

    @property
    def used(self) -> Reading:
        """All phases together."""
        total = Reading()
        for reading in self.phases.values():
            total += reading
        return total
