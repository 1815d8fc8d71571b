"""What energy is read from. Each source counts joules from its start and says how, and how far it may be off."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Protocol

import psutil

POWERCAP = Path("/sys/class/powercap")
WATTS_PER_CORE = 12.0
"""Of a busy core of an unknown processor: the default of Green Algorithms (Lannelongue, Grealey and Inouye 2021)."""
WATTS_PER_GIB = 0.3725
"""Of memory in use (Lannelongue, Grealey and Inouye 2021)."""


class Source(Protocol):
    """One component's energy."""

    component: str
    """processor, memory, graphics card ..."""
    method: str
    measured: bool
    """Whether a counter was read; else a model computed it."""
    band: float
    """Half the width of the error band, as a share of the figure."""

    def joules(self) -> float:
        """Give the joules since the source was made; never less than before."""


class ProcessorModel:
    """Processor time of this process and its ended children, times the power of a busy core; idle power is left out."""

    component, measured, band = "processor", False, 0.5

    def __init__(self, watts_per_core: float | None) -> None:
        """Count from now; ``watts_per_core`` is the user's own figure."""
        self.threads_per_core = max(1, round((os.cpu_count() or 1) / (psutil.cpu_count(logical=False) or 1)))
        self.watts = (watts_per_core or WATTS_PER_CORE) / self.threads_per_core
        given = "as given" if watts_per_core else "default of Green Algorithms 2021"
        self.method = (
            f"processor time x {self.watts:g} W a busy thread ({watts_per_core or WATTS_PER_CORE:g} W a core, {given}, "
            f"{self.threads_per_core} threads a core)"
        )
        self._start = processor_seconds()

    def joules(self) -> float:
        """Give the joules since the source was made."""
        return (processor_seconds() - self._start) * self.watts


class MemoryModel:
    """Resident memory of this process times 0.3725 W a GiB, by its mean between two readings."""

    component, measured, band = "memory", False, 0.5
    method = f"resident memory x {WATTS_PER_GIB} W a GiB (Green Algorithms 2021)"

    def __init__(self) -> None:
        """Count from now."""
        self._process = psutil.Process()
        self._seen = (time.monotonic(), self._gib())
        self._joules = 0.0

    def joules(self) -> float:
        """Give the joules since the source was made."""
        now, held = time.monotonic(), self._gib()
        before, had = self._seen
        self._joules += (now - before) * (held + had) / 2 * WATTS_PER_GIB
        self._seen = (now, held)
        return self._joules

    def _gib(self) -> float:
        return float(self._process.memory_info().rss) / 2**30


class Rapl:
    """The processor's own counters (Intel and AMD, RAPL): this process's share of the machine's busy time.

    Packages, and memory where it has a counter of its own. The counters wrap around at a value they name.
    """

    component, measured, band = "processor", True, 0.1

    def __init__(self, domains: list[Path]) -> None:
        """Count from now."""
        self.domains = domains
        names = ", ".join(sorted((domain / "name").read_text().strip() for domain in domains))
        self.method = f"RAPL counters ({names}) x this process's share of the machine's processor time"
        self._most = [int((domain / "max_energy_range_uj").read_text()) for domain in domains]
        self._seen = [self._counter(domain) for domain in domains]
        self._busy, self._own = _busy_seconds(), processor_seconds()
        self._joules = 0.0

    def joules(self) -> float:
        """Give the joules since the source was made."""
        counters = [self._counter(domain) for domain in self.domains]
        moved = sum(
            (now - before) % most for now, before, most in zip(counters, self._seen, self._most, strict=True)
        )
        busy, own = _busy_seconds(), processor_seconds()
        all_seconds = max(busy - self._busy, own - self._own)
        if all_seconds > 0:
            self._joules += moved / 1e6 * (own - self._own) / all_seconds
            self._seen, self._busy, self._own = counters, busy, own
        return self._joules

    @staticmethod
    def _counter(domain: Path) -> int:
        return int((domain / "energy_uj").read_text())


class Nvml:
    """The graphics card's own counter (NVML, since Volta): the whole board, whoever uses it."""

    component, measured, band = "graphics card", True, 0.05
    method = "NVML's energy counter of the whole board"

    def __init__(self, library: Any, handle: Any) -> None:
        """Count from now."""
        self._library, self._handle = library, handle
        self._start = self._millijoules()

    def joules(self) -> float:
        """Give the joules since the source was made."""
        return (self._millijoules() - self._start) / 1e3

    def _millijoules(self) -> int:
        return int(self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle))


def processor_seconds() -> float:
    """Give the processor time of this process and of its ended children."""
    children = os.times()  # in hundredths of a second, too coarse for a phase of this process
    return time.process_time() + children.children_user + children.children_system


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def rapl_domains(root: Path = POWERCAP) -> list[Path]:
    """Find the counters of packages, and of memory beside them, that this user may read."""
    domains = []
    for domain in sorted(root.glob("intel-rapl:*")):
        named = domain / "name"
        wanted = named.is_file() and named.read_text().strip().startswith(("package", "dram"))
        if wanted and os.access(domain / "energy_uj", os.R_OK):
            domains.append(domain)
    return domains if any((d / "name").read_text().startswith("package") for d in domains) else []


def found(watts_per_core: float | None) -> list[Source]:
    """Give the sources that this machine has."""
    domains = rapl_domains()
    sources: list[Source] = []
    if domains:
        sources.append(Rapl(domains))
    else:
        sources.append(ProcessorModel(watts_per_core))
    if not any((domain / "name").read_text().startswith("dram") for domain in domains):
        sources.append(MemoryModel())
    return [*sources, *_cards()]


def _cards() -> list[Source]:
    """Give the card that torch computes on, where it has a counter."""
    import torch

    if not torch.cuda.is_available():
        return []
    try:
        import pynvml  # type: ignore[import-not-found,import-untyped,unused-ignore]

        pynvml.nvmlInit()
        uuid = torch.cuda.get_device_properties(torch.cuda.current_device()).uuid
        return [Nvml(pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))]
    except (ImportError, AttributeError) as error:
        return [Unread(f"not counted: {error}")]
    except Exception as error:
        if type(error).__module__ != "pynvml":
            raise
        return [Unread(f"not counted: NVML says {error}")]


class Unread:
    """A graphics card that can't be read: said in the record, not passed over."""

    component, measured, band = "graphics card", False, 0.0

    def __init__(self, why: str) -> None:
        """Keep why."""
        self.method = why

    def joules(self) -> float:
        """Have none to give."""
        return 0.0
