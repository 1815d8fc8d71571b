"""Any number of labels a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from core.targets import metrics as m
from core.targets.bootstrap_metrics import (
    calibration_error,
    macro_auroc_auprc,
    means,
    per_class,
    predicted,
    probability_scores,
    truths,
)
from core.targets.fairness_metrics import FPR, TPR, FairnessMetric
from core.targets.labels import class_name, in_order, listed, refuse_unlabelled, require_columns
from core.targets.prediction_sets import CalibrationScores, ConformalRule, SetRegion, prediction_sets
from core.targets.recalibration import Recalibration, platt, temper_each
from core.targets.row_class import TINY
from core.targets.types import Array, MetricSettings, Predictions, Statistic, TableColumn, Target

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from core.data.types import ColumnRoles, Json
    from core.targets.config import MultilabelOption
    from core.targets.types import Flags, Labels, Metric, OneVsRest

_YES_NO = {"1": 1, "0": 0, "true": 1, "false": 0, "yes": 1, "no": 0}


@dataclass
class MultilabelTarget(Target):
    """Each label's own probability, from one output a label: its log odds."""

    kind: ClassVar[str] = "multilabel"
    recalibrations: ClassVar[tuple[str, ...]] = ("platt", "temperature")
    binary_threshold_rule: ClassVar[str] = "f1"  # rare labels need precision too
    thresholds_by_group: ClassVar[bool] = True
    conformal_methods: ClassVar[tuple[str, ...]] = ("lac",)
    explained_output: ClassVar[str] = "label_log_odds"
    item: ClassVar[str] = "label"

    columns: tuple[str, ...]
    """Several 0/1 columns, which are the labels; or one column of lists or of texts with a separator."""
    classes: tuple[str, ...]
    weights: tuple[tuple[float, float], ...]
    """Each label's (negative, positive) weight."""
    separator: str = ";"
    at_least_one: bool = False
    label_smoothing: float = 0.0
    explanation: str = ""

    @property
    def width(self) -> int:
        """One output a label."""
        return len(self.classes)

    @classmethod
    def fit(cls, config: MultilabelOption, frame: pd.DataFrame, roles: ColumnRoles) -> MultilabelTarget:
        """Fit labels and weights to training rows, raising ValueError where cells can't be read as labels."""
        if not roles.target:
            raise ValueError("no target column is named; set data.target to the column or columns to predict")
        require_columns(frame, roles.target)
        labelled = frame.dropna(subset=list(roles.target))
        if len(roles.target) > 1:
            found = [str(c) for c in roles.target]
        else:
            cells = labelled[roles.target[0]]
            found = in_order(sorted({name for cell in cells for name in _cell_names(cell, config.separator)}))
        unknown = [n for n in found if config.classes and n not in config.classes]
        if unknown:
            raise ValueError(f"target.classes lacks {listed(unknown)}, which the training rows have")
        classes = list(config.classes) or found
        if not classes:
            raise ValueError(f"target column {roles.target[0]!r} has no label in any training row")
        target = cls(
            tuple(roles.target),
            tuple(classes),
            tuple((1.0, 1.0) for _ in classes),
            config.separator,
            config.at_least_one,
            config.label_smoothing,
            f"The labels are {listed(classes)}.",
        )
        if config.class_weights != "none":
            positive_K = target.encode(labelled).sum(dim=0).double().numpy()
            target.weights = _label_weights(positive_K, len(labelled), config.class_weights)
        return target

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Return each row's labels, float32 0/1 (B, K); ValueError names column, row and value it can't read.

        An empty list is a row without labels; a missing cell is an unlabelled row and refused.
        """
        require_columns(frame, self.columns)
        for name in self.columns:
            refuse_unlabelled(frame, name, frame[name].isna().to_numpy())
        if len(self.columns) > 1:
            return torch.from_numpy(np.stack([_yes_no(frame, c) for c in self.columns], axis=1))
        column = self.columns[0]
        position = {name: k for k, name in enumerate(self.classes)}
        labels = np.zeros((len(frame), len(self.classes)), np.float32)
        for row, cell in enumerate(frame[column]):
            for name in _cell_names(cell, self.separator):
                if name not in position:
                    raise ValueError(
                        f"column {column!r}, row {frame.index[row]}: {name!r} is none of the labels learnt "
                        f"({listed(self.classes)}); correct the value, drop the row or train with this label"
                    )
                labels[row, position[name]] = 1.0
        return torch.from_numpy(labels)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute each example's logistic loss (B,) in nats, weighted and averaged over labels."""
        logits_BK = outputs.float()
        smooth_BK = targets * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        losses_BK = functional.binary_cross_entropy_with_logits(logits_BK, smooth_BK, reduction="none")
        if len(set(self.weights)) > 1 or self.weights[0] != (1.0, 1.0):
            weights_K2 = logits_BK.new_tensor(self.weights)
            losses_BK = losses_BK * torch.where(targets > 0.5, weights_K2[:, 1], weights_K2[:, 0])
        return losses_BK.mean(dim=-1)

    def scores(self, outputs: Tensor) -> Tensor:
        """Return each label's probability (B, K) from log odds (B, K)."""
        return torch.sigmoid(outputs.float())

    def labels(self, scores: Array, thresholds: Mapping[str, float] | None = None) -> Labels:
        """Decide each label, 0/1 (N, K), against the threshold under its name; 0.5 without one.

        With ``at_least_one``, a row in which no label is reached gets the one nearest to its threshold by ratio.
        """
        bars = np.array([max((thresholds or {}).get(c, 0.5), 1e-12) for c in self.classes])
        reached = (scores >= bars).astype(np.int64)
        if self.at_least_one:
            without = np.flatnonzero(reached.sum(axis=1) == 0)
            reached[without, (scores[without] / bars).argmax(axis=1)] = 1
        return reached

    def truth(self, targets: Tensor) -> Labels:
        """Return encoded targets in the shape of ``labels``, (N, K) int64."""
        return targets.cpu().numpy().astype(np.int64)

    # Metrics

    def metrics(self) -> dict[str, Metric]:
        """Return the scalar metrics; the first selects models by default."""
        return {
            "macro_f1": m.macro_f1,
            "micro_f1": m.micro_f1,
            "macro_auroc": m.macro_auroc,
            "macro_auprc": m.macro_auprc,
            "exact_match": m.exact_match,
            "log_loss": m.log_loss,
            "brier": m.brier,
            **m.per_class_auroc(self.classes),
        }

    @classmethod
    def statistics(cls, classes: Sequence[str], settings: MetricSettings) -> list[Statistic]:
        """Return ranking, each label's metrics, whole rows, and calibration."""
        return [
            macro_auroc_auprc(classes),
            per_class(classes, exclusive=False),
            means({"exact_match": m.all_labels_right, "hamming_loss": _hamming_rows}),
            probability_scores(),
            calibration_error(settings.bins),
        ]

    @classmethod
    def precompute(cls, p: Predictions) -> None:
        """Sort the scores once."""
        p.ranks()

    # Probabilities

    @classmethod
    def indicators(cls, labels: Labels, count: int) -> Flags:
        """Return which labels each row has, (N, K)."""
        return np.asarray(labels > 0, np.bool_)

    @classmethod
    def recalibrate(cls, scores: Array, recalibration: Recalibration) -> Array:
        """Return corrected probabilities (N, K)."""
        if recalibration.method == "none":
            return scores
        if recalibration.method == "platt":
            return platt(scores, recalibration)
        return temper_each(scores, recalibration.temperature)

    @classmethod
    def log_losses(cls, p: Predictions) -> Array:
        """Compute each row's negative log-likelihood in nats, a mean over labels, (N,)."""
        own: Array = np.where(truths(p), p.scores, 1 - p.scores)
        return np.asarray(-np.log(np.clip(own, TINY, 1 - TINY)).mean(axis=1))

    @classmethod
    def brier_scores(cls, p: Predictions) -> Array:
        """Compute each row's squared error of probabilities, a mean over labels, (N,)."""
        return np.asarray(((p.scores - truths(p)) ** 2).mean(axis=1))

    @classmethod
    def binary_decisions(cls, p: Predictions) -> OneVsRest:
        """Return each label."""
        truth = truths(p)
        return {name: (p.scores[:, k], truth[:, k]) for k, name in enumerate(p.classes)}

    @classmethod
    def forecasts(cls, p: Predictions) -> tuple[Array, Flags]:
        """Return all labels' probabilities and truth."""
        return p.scores, truths(p)

    @classmethod
    def confusion(cls, p: Predictions) -> dict[str, Json]:
        """Return each label's true positives, false positives and false negatives."""
        truth, label = truths(p), predicted(p)
        pairs = {
            "true_positive": truth & label,
            "false_positive": ~truth & label,
            "false_negative": truth & ~label,
        }
        return {
            "labels": list(p.classes),
            **{k: v.sum(axis=0).astype(int).tolist() for k, v in pairs.items()},
        }

    # Uncertainty

    @classmethod
    def calibration_scores(cls, p: Predictions, rule: ConformalRule) -> CalibrationScores:
        """Return the nonconformity of each label that applies."""
        row, code = np.nonzero(p.targets > 0)
        return CalibrationScores(1.0 - p.scores[row, code], row, code, np.zeros(len(row), bool), len(p))

    @classmethod
    def region(cls, scores: Array, limits: Array, rule: ConformalRule, classes: Sequence[str]) -> SetRegion:
        """Return each row's set of labels, which may be empty."""
        return SetRegion(prediction_sets(rule.method, scores, limits, empty=True))

    @classmethod
    def confidence(cls, scores: Array, labels: Labels, sure: Array | None, rule: ConformalRule) -> Array:
        """Return the probability that all labels are right, if they err independently."""
        return np.asarray(np.where(labels > 0, scores, 1.0 - scores).prod(axis=1))

    @classmethod
    def row_losses(cls, p: Predictions, unit: float = 1.0) -> Array:
        """Return 1 for each row unless all its labels are right."""
        return np.asarray((p.labels != p.targets).any(axis=1), np.float64)

    @classmethod
    def includes(cls, labels: Labels, codes: Sequence[int]) -> Flags:
        """Return whether a row has any of the labels."""
        return np.asarray((labels[:, list(codes)] > 0).any(axis=1))

    # Fairness

    @classmethod
    def fairness_metrics(cls, p: Predictions) -> list[FairnessMetric]:
        """Return the rates over all labels."""
        ones = np.ones(len(p))
        truth, label = (np.asarray(x, np.float64) for x in (p.targets, p.labels))
        applies, misses = truth.sum(1), (1 - truth).sum(1)
        hits, false = (label * truth).sum(1), (label * (1 - truth)).sum(1)
        whole = (label == truth).all(1).astype(np.float64)
        return [
            FairnessMetric(
                "true positive rate of labels", "equal opportunity over all labels", hits, applies, TPR
            ),
            FairnessMetric(
                "false positive rate of labels", "predictive equality over all labels", false, misses, FPR
            ),
            FairnessMetric("labels per row", "demographic parity over all labels", label.sum(1), ones),
            FairnessMetric("exact match", "equal accuracy", whole, ones, better=1),
            FairnessMetric("calibration gap", "calibration by group", (p.scores - truth).mean(1), ones),
        ]

    @classmethod
    def decision_utility(cls, hits: Array, false: Array, true: Array, rest: Array) -> float:
        """Compute macro F1."""
        return float(np.mean(2 * hits / np.maximum(hits + false + true, 1)))

    # Explanation

    def explained_class(self, labels: Labels, outputs: Array) -> NDArray[np.int64]:
        """Return the likeliest label of each row."""
        return np.asarray(outputs.argmax(axis=1), np.int64)

    def explained_value(self, outputs: Tensor, explained: Tensor) -> Tensor:
        """Return the log odds (B,) of the explained labels."""
        return outputs.gather(1, explained[:, None]).squeeze(1)

    def explained_name(self, explained: int) -> str:
        """Return the label's name."""
        return self.classes[explained]

    @classmethod
    def certainty(cls, p: Predictions) -> Array:
        """Return how sure the least sure label of each row is."""
        return np.asarray(np.abs(p.scores - 0.5).min(axis=1) + 0.5)

    @classmethod
    def correct(cls, p: Predictions) -> Flags:
        """Return whether all labels are right."""
        return np.asarray((p.labels == p.targets).all(axis=1))

    # Columns and words

    @classmethod
    def describe(cls, label: Any, classes: Sequence[str]) -> str:
        """Return the names of a row's labels."""
        return ", ".join(_names(label, classes)) or "none"

    @classmethod
    def label_names(cls, labels: Labels, classes: Sequence[str]) -> list[Any]:
        """Return ``a;b`` for each row."""
        return [";".join(_names(row, classes)) for row in labels]

    @classmethod
    def label_column(cls, labels: Labels, classes: Sequence[str]) -> TableColumn:
        """Return lists of names."""
        return TableColumn([_names(row, classes) for row in labels], "texts")

    @classmethod
    def read_labels(cls, cells: Sequence[Any], classes: Sequence[str]) -> Labels:
        """Return 0/1 labels (N, K) of lists of names."""
        code = {name: k for k, name in enumerate(classes)}
        labels = np.zeros((len(cells), len(classes)), np.int64)
        for row, names in enumerate(cells):
            labels[row, [code[name] for name in names]] = 1
        return labels

    # Baseline

    @classmethod
    def estimated_columns(cls, truth: Labels) -> list[Labels]:
        """Return each label's truth: one estimator a label."""
        return list(truth.T)

    def estimated_scores(self, estimates: Sequence[Array], known: Sequence[Labels]) -> Array:
        """Return each estimator's probability that its label applies, (N, K)."""
        return np.column_stack(
            [
                each[:, list(classes).index(1)] if 1 in classes else np.zeros(len(each))
                for each, classes in zip(estimates, known, strict=True)
            ]
        )


def _names(label: Labels, classes: Sequence[str]) -> list[str]:
    return [name for name, has in zip(classes, label, strict=True) if has]


def _hamming_rows(p: Predictions) -> Array:
    return np.asarray(np.not_equal(p.labels, p.targets).mean(axis=1))


def _cell_names(cell: object, separator: str) -> list[str]:
    parts = list(cell) if isinstance(cell, list | tuple | set | np.ndarray) else str(cell).split(separator)
    return [name for name in (class_name(p) for p in parts) if name]


def _yes_no(frame: pd.DataFrame, column: str) -> NDArray[np.float32]:
    values = [_YES_NO.get(class_name(v).lower(), -1) for v in frame[column]]
    found = np.array(values, np.float32)
    if (found < 0).any():
        row = int(np.argmax(found < 0))
        raise ValueError(
            f"column {column!r}, row {frame.index[row]}: {str(frame[column].iloc[row])!r} is neither 0 nor 1; several "
            "target columns must hold 0/1, true/false or yes/no"
        )
    return found


def _label_weights(positive_K: NDArray[np.float64], rows: int, how: str) -> tuple[tuple[float, float], ...]:
    """Return each label's two weights, of mean 1 over rows: balanced (1/n) or sqrt (1/sqrt n)."""
    power = 1.0 if how == "balanced" else 0.5
    weights = []
    for positive in positive_K:
        sides = np.maximum(np.array([rows - positive, positive]), 1.0) ** (1.0 - power)
        raw = np.maximum(np.array([rows - positive, positive]), 1.0) ** -power
        weights.append(tuple(raw * rows / sides.sum()))
    return tuple((float(w[0]), float(w[1])) for w in weights)
