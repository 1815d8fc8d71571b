"""What an evaluation is made of, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.targets.types import Predictions

Array = NDArray[np.float64]
Json = Any

Weighted = Callable[[Array], Array]
"""Weights (R, N), one row of counts a resample -> figures (R, k); NaN where a figure is undefined."""


@dataclass(frozen=True)
class Statistic:
    """One or more figures in a form that takes thousands of weightings of the same rows at once."""

    names: tuple[str, ...]
    prepare: Callable[[Predictions], Weighted]
    """Do once what does not depend on the weights (sorting, errors), and give the rest as a function."""


@dataclass
class Evaluation:
    """What held-out predictions say: every member but the predictions and samples is ready for JSON."""

    kind: str
    metrics: dict[str, dict[str, Json]]
    """name -> {value, low, high, resamples, undefined}, on the test part."""
    validation_metrics: dict[str, dict[str, Json]]
    """name -> {value, low, high}: low and high are null, validation has chosen thresholds and scaling."""
    thresholds: dict[str, Json]
    """rule, values {class: threshold}, points {name: threshold and its figures on validation and test}."""
    calibration: dict[str, Json]
    """scaling (see Scaling.state), its reason, and slope, intercept, brier, ece where the kind has them."""
    decision_curve: dict[str, Json] | None
    groups: dict[str, Json]
    """attribute -> {minimum, groups {name: {rows, units, metrics}}, suppressed [names]}."""
    curves: dict[str, Json]
    """roc, pr, reliability, confusion, residuals: whichever the kind has."""
    intervals: dict[str, Json]
    """How the intervals were made: method, resampled (the unit or row), resamples, confidence."""
    parts: dict[str, Predictions] = field(repr=False)
    """validation and test with recalibrated scores and thresholded labels: what predictions.parquet holds."""
    samples: dict[str, Array] = field(repr=False, default_factory=dict)
    """metric -> (R,) resampled figures, for paired comparisons; not in the record."""

    @property
    def decisions(self) -> dict[str, float]:
        """Class -> threshold, as ``Target.labels`` takes them; empty where none are used."""
        values: dict[str, float] = self.thresholds.get("values", {})
        return values

    def json(self) -> dict[str, Json]:
        """Give the pieces for the record, by their top-level key."""
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
class BaselineResult:
    """A classical model's predictions on the same split."""

    name: str
    validation: Predictions
    test: Predictions
    details: dict[str, Json]
    """Estimator, settings, features, rows it was fitted on, seconds: for the record."""


@dataclass
class Comparison:
    """The baseline beside the model: ready for JSON."""

    name: str
    metrics: dict[str, dict[str, Json]]
    difference: dict[str, dict[str, Json]]
    """Model minus baseline, {value, low, high}, paired: both seen on the same resamples."""
    details: Mapping[str, Json]
    evaluation: Evaluation = field(repr=False)

    def json(self) -> dict[str, Json]:
        """Give the record's ``baseline``."""
        return {
            "name": self.name,
            "metrics": self.metrics,
            "difference": self.difference,
            "thresholds": self.evaluation.thresholds,
            "calibration": self.evaluation.calibration,
            "curves": {k: v for k, v in self.evaluation.curves.items() if k in ("roc", "pr", "reliability")},
            "decision_curve": self.evaluation.decision_curve,
            "details": dict(self.details),
        }
