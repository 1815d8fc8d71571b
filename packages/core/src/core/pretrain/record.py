"""The record of a pretraining: ``record.json`` in its folder, from which its page and closing lines are made."""

from __future__ import annotations

from pydantic import Field

from core.config.section import Section
from core.energy.section import EnergySource
from core.training.section import HistoryPoint, StepTimings


class Utilization(Section):
    """Model FLOPs utilization: operations of the network a second, against the processor's peak."""

    flops_per_second: float
    peak: float | None = None
    """Dense bf16 operations a second, as the maker states them; null where no peak is known."""
    mfu: float | None = None


class PretrainingEnergy(Section):
    """What the training steps used."""

    wh: float
    grams_co2e: float
    joules: dict[str, float]
    """Component -> joules."""
    sources: list[EnergySource]


class ExportedWeights(Section):
    """The file of weights that was written."""

    file: str
    format: str
    """fp32 or fp16"""
    sha256: str
    bytes: int
    max_output_change: float | None = None
    """Largest change of an output by rounding to half precision."""
    prediction_change_rate: float | None = None
    """Fraction of held-out predictions that rounding changes."""


class PretrainingRecord(Section):
    """One pretraining."""

    recipe: str
    settings: dict[str, object]
    seed: int
    files: dict[str, str]
    """File name -> SHA-256 of what was read."""
    data: dict[str, dict[str, float | int | str]]
    """Source -> sizes of its sets."""
    parameters: int
    steps: int
    stop_reason: str
    device: str
    threads: int
    torch: str
    precision: str
    compile: bool
    training_seconds: float
    """Of the steps alone: validations do not count."""
    unit: str
    """What throughput counts: images, tokens."""
    units_per_second: float
    flops_per_step: float
    utilization: Utilization
    energy: PretrainingEnergy
    history: list[HistoryPoint]
    """Smoothed training loss, and the validations with ``seconds`` of training until then."""
    final: dict[str, float]
    """The last validation."""
    step_timings: StepTimings
    warnings: list[str] = Field(default_factory=list)
    weights: ExportedWeights | None = None

    def validations(self) -> list[tuple[int, dict[str, float]]]:
        """Return step and metrics of each validation; ``seconds`` among them."""
        return [
            (point.step, {name: float("nan") if v is None else v for name, v in point.validation.items()})
            for point in self.history
            if point.validation is not None
        ]

    def metrics(self) -> list[str]:
        """Return the names of the validation metrics, losses first."""
        names = [name for name in self.final if name != "seconds"]
        return sorted(names, key=lambda n: (not n.endswith("loss"), names.index(n)))
