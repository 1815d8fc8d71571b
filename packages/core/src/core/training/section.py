"""The part of ``record.json`` on training: numbers and codes; ``core.report.sentences.training`` puts them in words."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.config.section import Section
from core.energy.section import EnergyUse

StopReason = Literal["all_steps", "patience", "time_limit", "energy_budget", "other"]
PrecisionReason = Literal[
    "requested", "private", "no_native_bf16", "short_run", "measured", "measured_before", "other"
]
"""Why the number format: as the key asks; under differential privacy, which times no rows; ..."""


class FeatureCache(Section):
    """Whether the features of frozen layers were computed once, before the first step."""

    status: Literal["cached", "augmentation", "disabled", "too_large"]
    """Cached; or computed in each step: an augmentation changes the rows, the key is 0, the features are too large."""
    mib: float | None = None
    """Memory that the features of all rows take."""
    limit_mib: float | None = None
    """training.feature_cache_mib"""


class LinearProbe(Section):
    """A linear probe trained before the rest (LP-FT, Kumar et al. 2022)."""

    steps: int
    feature_cache: FeatureCache | None = None


class HistoryPoint(Section):
    """A point of the learning curve."""

    step: int
    loss: float | None = None
    """Smoothed training loss; null where it is private or was not recorded at this step."""
    lr: float | None = None
    validation: dict[str, float | None] | None = None
    """Validation metric -> value; null where training was not validated at this step."""


class BestValidation(Section):
    """What selected the weights."""

    monitor: str
    """The validation metric."""
    step: int | None
    value: float | None
    without_improvement: int = 0
    """Validations since."""


class StepTimings(Section):
    """How long steps took since this process started; earlier processes of a resumed run are not counted."""

    steps: int = 0
    seconds: float | None = None
    """Validations and checkpoints included."""
    step_ms_median: float | None = None
    """Null, as all below, where batch sizes are private: a step's time tells its batch's size."""
    step_ms_p95: float | None = None
    examples_per_second: float | None = None


class TrainingSection(Section):
    """How the network was trained."""

    epochs: float | None = None
    steps: int | None = None
    planned_steps: int | None = None
    stopped_early: bool | None = None
    """Before its planned steps."""
    stop_reason: StopReason | None = None
    weights: Literal["best", "average", "last"] | None = None
    """Those kept: best on validation, the average of the last steps, or those of the last step."""
    best: BestValidation | None = None
    precision: str | None = None
    precision_reason: PrecisionReason | None = None
    bf16_speedup: float | None = None
    """fp32's step time over bf16's, where it was measured."""
    time_limit_minutes: float | None = None
    seconds: float | None = None
    device: str | None = None
    processes: int = 1
    unsynchronized_batch_norm: bool = False
    """Batch normalization took each process's share of a batch by itself."""
    feature_cache: FeatureCache | None = None
    """Null where every layer is trained."""
    linear_probe: LinearProbe | None = None
    warnings: list[str] = Field(default_factory=list)
    """What a resume logged: a damaged checkpoint that was skipped, another version of torch."""
    history: list[HistoryPoint] = Field(default_factory=list)
    step_timings: StepTimings | None = None
    phases: dict[str, EnergyUse] = Field(default_factory=dict)
    """Phase of the whole run -> time, and energy where it is measured."""
