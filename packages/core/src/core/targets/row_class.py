"""What kinds have in common whose rows have exactly one class each: binary, multiclass and ordinal targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from core.targets.bootstrap_metrics import ratio
from core.targets.prediction_sets import (
    CalibrationScores,
    ConformalRule,
    SetRegion,
    nonconformity,
    prediction_sets,
)
from core.targets.recalibration import Recalibration, temper
from core.targets.types import HeadlineMetric, Predictions, TableColumn, Target

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from core.data.types import Json
    from core.targets.types import Array, Flags, Labels, OneVsRest

TINY = float(np.finfo(np.float64).eps)


def correct_rows(p: Predictions) -> Array:
    """Return 1 for each correct row, else 0; (N,)."""
    return np.equal(p.labels, p.targets).astype(np.float64)


class RowClassTarget(Target):
    """A probability for each class, labels and truth (N,) int64."""

    has_row_class: ClassVar[bool] = True
    recalibrations: ClassVar[tuple[str, ...]] = ("temperature",)
    conformal_methods: ClassVar[tuple[str, ...]] = ("lac", "aps")
    explained_output: ClassVar[str] = "class_log_odds"

    def truth(self, targets: Tensor) -> Labels:
        """Return encoded targets in the shape of ``labels``, (N,) int64."""
        return targets.cpu().numpy().astype(np.int64)

    @classmethod
    def precompute(cls, p: Predictions) -> None:
        """Sort the scores once."""
        p.ranks()

    @classmethod
    def headline_metric(cls) -> HeadlineMetric:
        """Return accuracy."""
        return HeadlineMetric(
            "accuracy",
            "accuracy",
            lambda p: np.column_stack([correct_rows(p), np.ones(len(p))]),
            lambda sums: ratio(sums[:, 0], sums[:, 1]),
        )

    # Probabilities

    @classmethod
    def recalibrate(cls, scores: Array, recalibration: Recalibration) -> Array:
        """Return probabilities (N, K) at the fitted temperature."""
        if recalibration.method == "none":
            return scores
        return temper(scores, recalibration.temperature)

    @classmethod
    def log_losses(cls, p: Predictions) -> Array:
        """Compute each row's negative log-likelihood in nats, (N,)."""
        own = p.scores[np.arange(len(p)), np.asarray(p.targets, np.int64)]
        return np.asarray(-np.log(np.clip(own, TINY, 1 - TINY)))

    @classmethod
    def brier_scores(cls, p: Predictions) -> Array:
        """Compute each row's squared error of probabilities, summed over classes, (N,)."""
        return np.asarray(((p.scores - cls.indicators(p.targets, p.scores.shape[1])) ** 2).sum(axis=1))

    @classmethod
    def one_vs_rest(cls, p: Predictions) -> OneVsRest:
        """Return each class against all others."""
        return {name: (p.scores[:, k], np.asarray(p.targets == k)) for k, name in enumerate(p.classes)}

    @classmethod
    def forecasts(cls, p: Predictions) -> tuple[Array, Flags]:
        """Return the likeliest class's probability and whether it is the true one, (N, 1) each."""
        top = p.scores.argmax(axis=1)
        return p.scores[np.arange(len(p)), top][:, None], (top == np.asarray(p.targets))[:, None]

    @classmethod
    def confusion(cls, p: Predictions) -> dict[str, Json]:
        """Return the counts of (true, predicted) class."""
        k = len(p.classes)
        flat = np.asarray(p.targets, np.int64) * k + np.asarray(p.labels, np.int64)
        return {
            "labels": list(p.classes),
            "counts": np.bincount(flat, minlength=k * k).reshape(k, k).tolist(),
        }

    # Uncertainty

    @classmethod
    def calibration_scores(cls, p: Predictions, rule: ConformalRule) -> CalibrationScores:
        """Return the nonconformity of each row's true class."""
        row, code = np.arange(len(p)), np.asarray(p.targets, np.int64)
        misfit = nonconformity(rule.method, p.scores)[row, code]
        return CalibrationScores(misfit, row, code, p.scores.argmax(axis=1) == code, len(p))

    @classmethod
    def region(cls, scores: Array, limits: Array, rule: ConformalRule, classes: Sequence[str]) -> SetRegion:
        """Return each row's set of classes."""
        return SetRegion(prediction_sets(rule.method, scores, limits))

    @classmethod
    def confidence(cls, scores: Array, labels: Labels, sure: Array | None, rule: ConformalRule) -> Array:
        """Return the probability of the predicted class, which thresholds may have made another than the likeliest."""
        return np.asarray(scores[np.arange(len(scores)), labels.astype(np.int64)])

    # Explanation

    @classmethod
    def stratum(cls, p: Predictions) -> Labels:
        """Return the predicted classes."""
        return p.labels

    def explained_class(self, labels: Labels, outputs: Array) -> NDArray[np.int64]:
        """Return the predicted classes."""
        return np.asarray(labels, np.int64)

    def explained_value(self, outputs: Tensor, explained: Tensor) -> Tensor:
        """Return the log odds (B,) of the explained classes, from logits (B, K)."""
        return class_log_odds(outputs, explained)

    def explained_name(self, explained: int) -> str:
        """Return the class's name."""
        return self.classes[explained]

    @classmethod
    def certainty(cls, p: Predictions) -> Array:
        """Return the probability of the predicted class."""
        return cls.confidence(p.scores, p.labels, None, ConformalRule())

    @classmethod
    def correct(cls, p: Predictions) -> Flags:
        """Return whether the predicted class is the true one."""
        return np.asarray(p.labels == p.targets)

    # Columns and words

    @classmethod
    def describe(cls, label: Any, classes: Sequence[str]) -> str:
        """Return the class's name."""
        return classes[int(label)]

    @classmethod
    def label_names(cls, labels: Labels, classes: Sequence[str]) -> list[Any]:
        """Return class names."""
        return [classes[int(label)] for label in labels]

    @classmethod
    def label_column(cls, labels: Labels, classes: Sequence[str]) -> TableColumn:
        """Return class names."""
        return TableColumn(cls.label_names(labels, classes), "text")

    @classmethod
    def read_labels(cls, cells: Sequence[Any], classes: Sequence[str]) -> Labels:
        """Return the codes of class names, (N,) int64."""
        code = {name: k for k, name in enumerate(classes)}
        return np.asarray([code[name] for name in cells], np.int64)


def class_log_odds(logits: Tensor, explained: Tensor) -> Tensor:
    """Return the log odds (B,) of classes (B,) against all others, from logits (B, K)."""

    own_B = logits.gather(1, explained[:, None]).squeeze(1)
    others_BK = logits.scatter(1, explained[:, None], float("-inf"))
    return own_B - others_BK.logsumexp(dim=1)
