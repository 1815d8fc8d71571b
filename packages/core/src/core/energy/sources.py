"""What energy is read from. Each source counts joules from its start, with its method and relative uncertainty."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Protocol

import psutil

POWERCAP = Path("/sys/class/powercap")
WATTS_PER_CORE = 12.0
"""Power of a busy core of an unknown processor: the default of Green Algorithms (Lannelongue, Grealey, Inouye 2021)."""
WATTS_PER_GIB = 0.3725
"""Of memory in use (Lannelongue, Grealey and Inouye 2021)."""


class Source(Protocol):
    """One component's energy."""

    component: str
    """processor, memory, graphics card ..."""
    method: str
    """processor_model, memory_model, rapl, nvml or unmeasured."""
    parameters: dict[str, float | str]
    """What the method computes with, for the record."""
    measured: bool
    """Whether a hardware counter is read; else a power model computes it."""
    relative_uncertainty: float
    """Half-width of the uncertainty, as a share of the value."""

    def joules(self) -> float:
        """Return the joules since the source was created; never less than before."""


class ProcessorModel:
    """Processor time of this process and its ended children, times the power of a busy core; idle power is left out."""

    component, method, measured, relative_uncertainty = "processor", "processor_model", False, 0.5

    def __init__(self, watts_per_core: float | None) -> None:
        """Count from now; ``watts_per_core`` is the user's own value."""
        threads_per_core = max(1, round((os.cpu_count() or 1) / (psutil.cpu_count(logical=False) or 1)))
        per_core = watts_per_core or WATTS_PER_CORE
        self.watts = per_core / threads_per_core
        """Of one busy thread."""
        self.parameters: dict[str, float | str] = {
            "watts_per_thread": self.watts,
            "watts_per_core": per_core,
            "threads_per_core": threads_per_core,
            "power_from": "energy.watts_per_core" if watts_per_core else "Green Algorithms 2021",
        }
        self._start = processor_seconds()

    def joules(self) -> float:
        """Return the joules since the source was created."""
        return (processor_seconds() - self._start) * self.watts


class MemoryModel:
    """Resident memory of this process times 0.3725 W per GiB, by its mean between two readings."""

    component, method, measured, relative_uncertainty = "memory", "memory_model", False, 0.5

    def __init__(self) -> None:
        """Count from now."""
        self.parameters: dict[str, float | str] = {
            "watts_per_gib": WATTS_PER_GIB,
            "power_from": "Green Algorithms 2021",
        }
        self._process = psutil.Process()
        self._seen = (time.monotonic(), self._gib())
        self._joules = 0.0

    def joules(self) -> float:
        """Return the joules since the source was created."""
        now, held = time.monotonic(), self._gib()
        before, held_before = self._seen
        self._joules += (now - before) * (held + held_before) / 2 * WATTS_PER_GIB
        self._seen = (now, held)
        return self._joules

    def _gib(self) -> float:
        return float(self._process.memory_info().rss) / 2**30


class Rapl:
    """The processor's own counters (Intel and AMD, RAPL): this process's share of the machine's busy time.

    Packages, and memory where it has a counter of its own. The counters wrap around at a value they name.
    """

    component, method, measured, relative_uncertainty = "processor", "rapl", True, 0.1

    def __init__(self, domains: list[Path]) -> None:
        """Count from now."""
        self.domains = domains
        names = ", ".join(sorted((domain / "name").read_text().strip() for domain in domains))
        self.parameters: dict[str, float | str] = {"counters": names}
        self._ranges = [int((domain / "max_energy_range_uj").read_text()) for domain in domains]
        self._seen = [self._counter(domain) for domain in domains]
        self._busy, self._own = _busy_seconds(), processor_seconds()
        self._joules = 0.0

    def joules(self) -> float:
        """Return the joules since the source was created."""
        counters = [self._counter(domain) for domain in self.domains]
        moved = sum(
            (now - before) % range_
            for now, before, range_ in zip(counters, self._seen, self._ranges, strict=True)
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

    component, method, measured, relative_uncertainty = "graphics card", "nvml", True, 0.05

    def __init__(self, library: Any, handle: Any) -> None:
        """Count from now."""
        self._library, self._handle = library, handle
        self.parameters: dict[str, float | str] = {}
        self._start = self._millijoules()

    def joules(self) -> float:
        """Return the joules since the source was created."""
        return (self._millijoules() - self._start) / 1e3

    def _millijoules(self) -> int:
        return int(self._library.nvmlDeviceGetTotalEnergyConsumption(self._handle))


def processor_seconds() -> float:
    """Return the processor time of this process and of its ended children."""
    children = os.times()  # in hundredths of a second, too coarse for a phase of this process
    return time.process_time() + children.children_user + children.children_system


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def rapl_domains(root: Path = POWERCAP) -> list[Path]:
    """Return the counters of packages, and of memory beside them, that this user may read."""
    domains = []
    for domain in sorted(root.glob("intel-rapl:*")):
        named = domain / "name"
        wanted = named.is_file() and named.read_text().strip().startswith(("package", "dram"))
        if wanted and os.access(domain / "energy_uj", os.R_OK):
            domains.append(domain)
    return domains if any((d / "name").read_text().startswith("package") for d in domains) else []


def detect_sources(watts_per_core: float | None) -> list[Source]:
    """Return the sources that this machine has: counters where they can be read, else power models."""
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
    """Return the card that torch computes on; what can't be read is in the record as unmeasured."""
    import torch

    if not torch.cuda.is_available():
        return []
    try:
        import pynvml  # type: ignore[import-not-found,import-untyped,unused-ignore]

        pynvml.nvmlInit()
        uuid = torch.cuda.get_device_properties(torch.cuda.current_device()).uuid
        return [Nvml(pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))]
    except (ImportError, AttributeError) as error:
        return [UnmeasuredComponent(str(error))]
    except Exception as error:
        if type(error).__module__ != "pynvml":
            raise
        return [UnmeasuredComponent(f"NVML: {error}")]


class UnmeasuredComponent:
    """A graphics card that can't be read: listed in the record, not passed over."""

    component, method, measured, relative_uncertainty = "graphics card", "unmeasured", False, 0.0

    def __init__(self, reason: str) -> None:
        """Keep the reason for the record."""
        self.parameters: dict[str, float | str] = {"reason": reason}

    def joules(self) -> float:
        """Return 0."""
        return 0.0
