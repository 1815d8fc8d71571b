"""A number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from core.targets import metrics as m
from core.targets.bootstrap_metrics import ratio, summed
from core.targets.fairness_metrics import FairnessMetric
from core.targets.labels import refuse_unlabelled, require_columns, single_column
from core.targets.prediction_sets import (
    CalibrationScores,
    ConformalRule,
    IntervalRegion,
    link,
    prediction_interval,
)
from core.targets.types import Array, MetricSettings, Predictions, Statistic, TableColumn, Target

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from core.data.types import ColumnRoles
    from core.targets.config import RegressionOption
    from core.targets.types import Labels, Metric


@dataclass
class RegressionTarget(Target):
    """A number, learnt on a scale of mean 0 and deviation 1 and returned in its own units."""

    kind: ClassVar[str] = "regression"
    decided_by: ClassVar[str] = "none"
    conformal_methods: ClassVar[tuple[str, ...]] = ("absolute", "normalized")
    deferrals: ClassVar[tuple[str, ...]] = ("none", "fraction")
    deferred_by: ClassVar[str] = "none"
    estimates_numbers: ClassVar[bool] = True
    item: ClassVar[str] = "number"

    column: str
    mean: float = 0.0
    deviation: float = 1.0
    log: bool = False
    loss: str = "squared"
    explanation: str = ""
    classes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """One output."""
        return 1

    @classmethod
    def fit(cls, config: RegressionOption, frame: pd.DataFrame, roles: ColumnRoles) -> RegressionTarget:
        """Fit the scale to training rows, raising ValueError for texts, constants, or negatives on a log scale."""
        column = single_column(frame, roles, "regression")
        values = _numbers(frame.dropna(subset=[column]), column)
        if len(values) < 2 or values.min() == values.max():
            raise ValueError(
                f"target column {column!r} is constant in the training rows; there is nothing to learn"
            )
        log = config.scale == "log"
        if log and values.min() < 0:
            raise ValueError(f"target.scale='log': column {column!r} has negative values; use standard")
        scaled = np.log1p(values) if log else values
        kept = config.scale == "none"
        return cls(
            column,
            0.0 if kept else float(scaled.mean()),
            1.0 if kept else float(scaled.std()),
            log,
            config.loss,
            f"Column {column!r} runs from {values.min():g} to {values.max():g} in the training rows.",
        )

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Return each row's number in its own units, float32 (B,); ValueError names column, row and value."""
        require_columns(frame, (self.column,))
        refuse_unlabelled(frame, self.column, frame[self.column].isna().to_numpy())
        return torch.from_numpy(_numbers(frame, self.column).astype(np.float32))

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute each example's loss (B,) on the learnt scale; squared is halved, so that Huber joins it near 0."""
        raw_B = torch.log1p(targets) if self.log else targets
        truth_B = (raw_B - self.mean) / self.deviation
        outputs_B = outputs.float().squeeze(-1)
        if self.loss == "absolute":
            return functional.l1_loss(outputs_B, truth_B, reduction="none")
        if self.loss == "huber":
            return functional.huber_loss(outputs_B, truth_B, reduction="none")
        return 0.5 * functional.mse_loss(outputs_B, truth_B, reduction="none")

    def scores(self, outputs: Tensor) -> Tensor:
        """Return numbers (B, 1) in the target's units from outputs (B, 1)."""
        values_B1 = outputs.float() * self.deviation + self.mean
        return torch.expm1(values_B1) if self.log else values_B1

    def labels(self, scores: Array, thresholds: Mapping[str, float] | None = None) -> Labels:
        """Return the numbers (N,); a regression has no thresholds."""
        assert not thresholds, "a regression has no thresholds"
        return scores[:, 0]

    def truth(self, targets: Tensor) -> Labels:
        """Return encoded targets in the shape of ``labels``, (N,) float64."""
        return targets.cpu().numpy().astype(np.float64)

    def log_scale(self) -> bool:
        """Return whether numbers are learnt as log(1 + number)."""
        return self.log

    # Metrics

    def metrics(self) -> dict[str, Metric]:
        """Return the scalar metrics; the first selects models by default."""
        return {"rmse": m.rmse, "mae": m.mae, "r2": m.r2}

    @classmethod
    def statistics(cls, classes: Sequence[str], settings: MetricSettings) -> list[Statistic]:
        """Return errors, correlation and the calibration line."""
        return [_errors()]

    @classmethod
    def residuals(cls, p: Predictions) -> tuple[Array, Array]:
        """Return predicted and true numbers."""
        return p.scores[:, 0], np.asarray(p.targets, np.float64)

    # Uncertainty

    @classmethod
    def calibration_scores(cls, p: Predictions, rule: ConformalRule) -> CalibrationScores:
        """Return each row's absolute residual on the learnt scale, divided by the residual scale."""
        n, predicted = len(p), link(p.scores[:, 0], rule.log)
        residual = np.abs(link(p.targets, rule.log) - predicted) / rule.scale.of(predicted)
        return CalibrationScores(residual, np.arange(n), np.zeros(n, np.int64), np.zeros(n, bool), n)

    @classmethod
    def region(
        cls, scores: Array, limits: Array, rule: ConformalRule, classes: Sequence[str]
    ) -> IntervalRegion:
        """Return each row's interval."""
        return IntervalRegion(*prediction_interval(scores[:, 0], limits[:, 0], rule.scale, rule.log))

    @classmethod
    def confidence(cls, scores: Array, labels: Labels, sure: Array | None, rule: ConformalRule) -> Array:
        """Return how narrow each interval is beside the others', 0 to 1."""
        wide = rule.scale.of(link(scores[:, 0], rule.log))
        return np.asarray(1.0 / (1.0 + wide / np.mean(rule.scale.sizes)))

    @classmethod
    def confidence_varies(cls, method: str) -> bool:
        """Return whether intervals differ in width."""
        return method == "normalized"

    @classmethod
    def row_losses(cls, p: Predictions, unit: float = 1.0) -> Array:
        """Compute each row's absolute error in steps of ``unit``."""
        return np.asarray(np.abs(p.labels - p.targets) / unit)

    @classmethod
    def error_unit(cls, p: Predictions) -> float:
        """Compute the mean absolute error of always predicting the median."""
        return float(np.abs(p.targets - np.median(p.targets)).mean()) or 1.0

    # Fairness

    @classmethod
    def fairness_metrics(cls, p: Predictions) -> list[FairnessMetric]:
        """Return mean error, mean absolute error and mean prediction."""
        ones = np.ones(len(p))
        value, error = np.asarray(p.labels, np.float64), np.asarray(p.labels - p.targets, np.float64)
        return [
            FairnessMetric(
                "mean error", "calibration by group: none is over- or underestimated", error, ones
            ),
            FairnessMetric("mean absolute error", "equal accuracy", np.abs(error), ones, better=-1),
            FairnessMetric("mean prediction", "demographic parity", value, ones),
        ]

    # Columns and words

    @classmethod
    def describe(cls, label: Any, classes: Sequence[str]) -> str:
        """Return the number, with three digits."""
        return f"{float(label):.3g}"

    @classmethod
    def label_names(cls, labels: Labels, classes: Sequence[str]) -> list[Any]:
        """Return the numbers."""
        return [float(value) for value in labels]

    @classmethod
    def label_column(cls, labels: Labels, classes: Sequence[str]) -> TableColumn:
        """Return the numbers."""
        return TableColumn(labels.astype(np.float64))

    @classmethod
    def read_labels(cls, cells: Sequence[Any], classes: Sequence[str]) -> Labels:
        """Return the numbers (N,)."""
        return np.asarray(cells, np.float64)

    @classmethod
    def score_names(cls, classes: Sequence[str]) -> tuple[str, ...]:
        """Return ``value``."""
        return ("value",)

    def served_scores(self, scores: Array) -> dict[str, Array]:
        """Return nothing: the prediction is the score."""
        return {}

    # Baseline

    def estimated_scores(self, estimates: Sequence[Array], known: Sequence[Labels]) -> Array:
        """Return the estimates (N, 1)."""
        return np.asarray(estimates[0], np.float64).reshape(-1, 1)

    @classmethod
    def estimator_loss(cls, p: Predictions) -> float:
        """Compute the mean squared error."""
        return float(np.mean((p.scores[:, 0] - p.targets) ** 2))


def _errors() -> Statistic:
    """Return RMSE, MAE, mean error, R2, Pearson's r, and the line truth = a + b * prediction."""
    names = ("rmse", "mae", "bias", "r2", "pearson", "calibration_intercept", "calibration_slope")

    def columns(p: Predictions) -> Array:
        # Centered on the truth's mean: sums of squares of large values would cancel badly otherwise.
        center = float(np.mean(p.targets)) if len(p) else 0.0
        t = np.asarray(p.targets, np.float64) - center
        y = p.scores[:, 0] - center
        return np.column_stack(
            [np.ones(len(p)), t, y, t * t, y * y, t * y, np.abs(y - t), np.full(len(p), center)]
        )

    def combine(sums: Array) -> Array:
        t, y, tt, yy, ty, absolute, center = ratio(sums[:, 1:], sums[:, :1]).T
        square = np.maximum(tt + yy - 2 * ty, 0.0)
        var_t, var_y, cov = tt - t * t, yy - y * y, ty - t * y
        var_t, var_y = _positive(var_t, tt), _positive(var_y, yy)
        slope = ratio(cov, var_y)
        return np.column_stack(
            [
                np.sqrt(square),
                absolute,
                y - t,
                1 - ratio(square, var_t),
                ratio(cov, np.sqrt(var_t * var_y)),
                (t + center) - slope * (y + center),
                slope,
            ]
        )

    return summed(names, columns, combine)


def _positive(variance: Array, scale: Array) -> Array:
    """Return a variance, 0 where it is only rounding."""
    return np.where(variance > 1e-12 * scale, variance, 0.0)


def _numbers(frame: pd.DataFrame, column: str) -> NDArray[np.float64]:
    read = pd.to_numeric(frame[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    bad = ~np.isfinite(read)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"column {column!r}, row {frame.index[row]}: {str(frame[column].iloc[row])!r} is no finite "
            "number; a regression needs numbers"
        )
    return read
