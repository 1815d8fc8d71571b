"""One of several classes without an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch.nn import functional

from core.targets import metrics as m
from core.targets.bootstrap_metrics import (
    calibration_error,
    macro_auroc_auprc,
    means,
    per_class,
    probability_scores,
)
from core.targets.class_fairness import calibration_metric, class_metrics
from core.targets.fairness_metrics import FairnessMetric, accuracy_metric
from core.targets.labels import (
    count_classes,
    encode_classes,
    in_order,
    listed,
    names_of,
    single_column,
    weights_of,
)
from core.targets.row_class import RowClassTarget, correct_rows
from core.targets.types import Array, MetricSettings, Predictions, Statistic

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from core.data.types import ColumnRoles
    from core.targets.config import MulticlassOption
    from core.targets.types import Labels, Metric


@dataclass
class MulticlassTarget(RowClassTarget):
    """A probability for each class, from as many outputs: softmax logits."""

    kind: ClassVar[str] = "multiclass"
    balances_classes: ClassVar[bool] = True
    thresholds_by_group: ClassVar[bool] = True

    column: str
    classes: tuple[str, ...]
    weights: tuple[float, ...]
    prior: tuple[float, ...]
    """Added to the logits in training only: ``logit_adjustment`` times the log frequencies; empty for none."""
    label_smoothing: float = 0.0
    focal: float = 0.0
    explanation: str = ""

    @property
    def width(self) -> int:
        """One output a class."""
        return len(self.classes)

    @classmethod
    def fit(cls, config: MulticlassOption, frame: pd.DataFrame, roles: ColumnRoles) -> MulticlassTarget:
        """Fit classes and weights to training rows, raising ValueError when there are fewer than two classes."""
        column = single_column(frame, roles, "multiclass")
        classes = class_list(frame, column, config.classes)
        counts = count_classes(frame, column, classes)
        prior: tuple[float, ...] = ()
        if config.logit_adjustment:
            frequencies = np.maximum(counts, 0.5) / counts.sum()
            prior = tuple(float(p) for p in config.logit_adjustment * np.log(frequencies))
        return cls(
            column,
            tuple(classes),
            tuple(weights_of(counts, config.class_weights)),
            prior,
            config.label_smoothing,
            config.focal,
            f"The classes are {listed(classes)}.",
        )

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Return each row's class, int64 (B,); ValueError names column, row and value it can't read."""
        return encode_classes(frame, self.column, self.classes)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute each example's weighted cross-entropy (B,) in nats.

        ``focal`` as in Lin et al. 2017 (arXiv:1708.02002); ``logit_adjustment`` as in Menon et al. 2021
        (arXiv:2007.07314, eq. 10): the log prior is added in training, so that the plain logits are balanced.
        """
        logits_BK = outputs.float()
        if self.prior:
            logits_BK = logits_BK + logits_BK.new_tensor(self.prior)
        log_BK = functional.log_softmax(logits_BK, dim=-1)
        right_B = log_BK.gather(1, targets[:, None]).squeeze(1)
        losses_B = -(1.0 - self.label_smoothing) * right_B - self.label_smoothing * log_BK.mean(dim=-1)
        if self.focal:
            losses_B = losses_B * (1.0 - right_B.exp()) ** self.focal
        if len(set(self.weights)) > 1:
            losses_B = losses_B * logits_BK.new_tensor(self.weights)[targets]
        return losses_B

    def scores(self, outputs: Tensor) -> Tensor:
        """Return probabilities (B, K) from logits (B, K)."""
        return torch.softmax(outputs.float(), dim=-1)

    def labels(self, scores: Array, thresholds: Mapping[str, float] | None = None) -> Labels:
        """Decide the class whose probability is largest against its threshold (all equal without thresholds)."""
        equal = 1.0 / len(self.classes)
        bars = np.array([max((thresholds or {}).get(c, equal), 1e-12) for c in self.classes])
        decided: Labels = np.argmax(scores / bars, axis=1)
        return decided

    # Metrics

    def metrics(self) -> dict[str, Metric]:
        """Return the scalar metrics; the first selects models by default."""
        return {
            "macro_auroc": m.macro_auroc,
            "macro_auprc": m.macro_auprc,
            "accuracy": m.accuracy,
            "balanced_accuracy": m.balanced_accuracy,
            "macro_f1": m.macro_f1,
            "log_loss": m.log_loss,
            "brier": m.brier,
            **m.per_class_auroc(self.classes),
        }

    @classmethod
    def statistics(cls, classes: Sequence[str], settings: MetricSettings) -> list[Statistic]:
        """Return accuracy, ranking, each class's metrics, and calibration."""
        return [
            means({"accuracy": correct_rows}),
            macro_auroc_auprc(classes),
            per_class(classes, exclusive=True),
            probability_scores(),
            calibration_error(settings.bins),
        ]

    # Fairness

    @classmethod
    def fairness_metrics(cls, p: Predictions) -> list[FairnessMetric]:
        """Return accuracy, calibration, and the rates of each class."""
        correct = correct_rows(p)
        return [accuracy_metric(correct), calibration_metric(p, correct), *class_metrics(p)]

    @classmethod
    def neutral_threshold(cls, classes: Sequence[str]) -> float:
        """Return the equal share: the largest ratio of probability to threshold decides."""
        return 1 / len(classes)

    # Baseline

    @classmethod
    def mean_columns(cls, truth: Labels, count: int) -> Array:
        """Return one column a class."""
        return cls.indicators(truth, count).astype(np.float64)


def class_list(frame: pd.DataFrame, column: str, asked: list[str]) -> list[str]:
    """Return the classes asked for, else those of the rows in order; ValueError when they do not fit the rows."""
    found = in_order(names_of(frame[column])[1])
    if asked:
        unknown = [n for n in found if n not in asked]
        if unknown:
            raise ValueError(
                f"target.classes lacks {listed(unknown)}, which column {column!r} has in the training rows"
            )
        if len(set(asked)) < len(asked):
            raise ValueError(f"target.classes={asked!r}: a class occurs twice")
        found = list(asked)
    if len(found) < 2:
        raise ValueError(
            f"target column {column!r} has only the value {listed(found)!r} in the training rows; two are needed"
        )
    return found
