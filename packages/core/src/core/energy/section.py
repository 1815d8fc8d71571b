"""The record's ``energy`` and ``performance``: what a run used, phase by phase, and how fast its model predicts."""

from __future__ import annotations

from pydantic import Field

from core.config.section import Section


class EnergyUse(Section):
    """Time and energy of one phase of the run; what was measured inside another phase does not count again."""

    seconds: float
    processor_seconds: float
    joules: float
    components: dict[str, float] = Field(default_factory=dict)
    """Component -> joules."""


class EnergySource(Section):
    """How one component's energy was read."""

    component: str
    """processor, memory, graphics card."""
    method: str
    """processor_model, memory_model, rapl, nvml, unmeasured; ``other`` in runs of older versions."""
    parameters: dict[str, float | str] = Field(default_factory=dict)
    """What the method was computed with: watts_per_core, threads_per_core, counters, reason ..."""
    measured: bool
    """A hardware counter was read; else a power model computed it."""
    relative_uncertainty: float
    """Half-width of the uncertainty, as a share of the value."""
    joules: float


class PredictionEnergy(Section):
    """Energy of one prediction, over the held-out rows."""

    joules: float
    low: float
    high: float
    rows: int


class Carbon(Section):
    """Emissions of the run and what they were computed with."""

    grams: float
    """g CO2e."""
    grams_per_kwh: float
    region: str
    year: int | None
    source: str
    pue: float
    """Power usage effectiveness."""


class EnergyForecast(Section):
    """What training was expected to use, extrapolated from its first steps."""

    after_step: int
    seconds: float
    joules: float
    grams: float | None = None


class EnergySection(Section):
    """The whole run: joules with their uncertainty, by phase and by component, and their carbon."""

    joules: float
    low: float
    high: float
    measured_share: float
    """Share of the joules that hardware counters measured."""
    phases: dict[str, EnergyUse]
    sources: list[EnergySource]
    per_prediction: PredictionEnergy
    carbon: Carbon
    forecast: EnergyForecast | None = None
    budget_wh: float | None = None


class Latency(Section):
    """Milliseconds from one encoded row to its recalibrated scores."""

    p50: float
    p99: float
    batch: int
    calls: int


class PerformanceSection(Section):
    """Throughput, latency, memory and operations on the machine of the run."""

    train_rows_per_second: float | None = None
    """Null where it would reveal batch sizes that are private."""
    train_steps: int | None = None
    """Steps behind the training throughput."""
    predict_rows_per_second: float | None = None
    latency_ms: Latency | None = None
    flops_per_row: float | None = None
    """Floating-point operations of one row's forward pass: matrix products and convolutions, as torch counts them."""
    peak_memory_bytes: int | None = None
    """Peak resident memory of the process."""
    peak_device_memory_bytes: int | None = None
    parameters: int | None = None
    device: str | None = None
    threads: int | None = None
