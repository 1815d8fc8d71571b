"""What an evaluation yields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.evaluation.section import (
    BaselineSection,
    CalibrationSection,
    CurvesSection,
    DecisionCurveSection,
    GroupTableSection,
    IntervalsSection,
    Metrics,
    ThresholdsSection,
)

if TYPE_CHECKING:
    from core.targets.types import Array, Predictions


@dataclass
class Evaluation:
    """Metrics of held-out predictions and what belongs to them, each as it stands in the record."""

    kind: str
    metrics: Metrics
    """On test, the monitored metric first."""
    validation_metrics: Metrics
    """Without intervals: validation has chosen thresholds and recalibration."""
    thresholds: ThresholdsSection
    calibration: CalibrationSection
    decision_curve: DecisionCurveSection | None
    groups: dict[str, GroupTableSection]
    """Attribute, or pair of attributes, -> table."""
    curves: CurvesSection
    intervals: IntervalsSection
    parts: dict[str, Predictions] = field(repr=False)
    """Validation and test with recalibrated scores and thresholded labels: what predictions.parquet holds."""
    samples: dict[str, Array] = field(repr=False, default_factory=dict)
    """Metric -> (R,) resampled values, for paired comparisons; not in the record."""

    @property
    def decisions(self) -> dict[str, float]:
        """Class -> threshold, as ``Target.labels`` takes them; empty where none are used."""
        return self.thresholds.values

    def sections(self) -> dict[str, Any]:
        """Return the sections of the record, by their top-level key."""
        return {
            "metrics": self.metrics,
            "validation_metrics": self.validation_metrics,
            "thresholds": self.thresholds,
            "calibration": self.calibration,
            "decision_curve": self.decision_curve,
            "curves": self.curves,
            "groups": self.groups,
            "intervals": self.intervals,
        }


@dataclass
class Comparison:
    """The baseline beside the model."""

    section: BaselineSection
    """As it stands in the record."""
    evaluation: Evaluation = field(repr=False)
    """Of the baseline."""
