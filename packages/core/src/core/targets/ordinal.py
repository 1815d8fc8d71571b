"""One of several classes in an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import logsigmoid, softplus

from core.targets import metrics as m
from core.targets.bootstrap_metrics import (
    calibration_error,
    macro_auroc_auprc,
    means,
    per_class,
    probability_scores,
    ratio,
    summed,
)
from core.targets.class_fairness import calibration_metric, class_metrics
from core.targets.fairness_metrics import FairnessMetric, accuracy_metric
from core.targets.labels import class_name, count_classes, encode_classes, listed, single_column, weights_of
from core.targets.multiclass import class_list
from core.targets.row_class import RowClassTarget, correct_rows
from core.targets.types import Array, MetricSettings, Predictions, Statistic

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from core.data.types import ColumnRoles, Json
    from core.targets.config import OrdinalOption
    from core.targets.types import Labels, Metric

_LEAST_STEP = 1e-6
"""Between neighbouring cumulative logits, so that no class's probability is zero."""


@dataclass
class OrdinalTarget(RowClassTarget):
    """A probability for each of K ordered classes, from K - 1 outputs."""

    kind: ClassVar[str] = "ordinal"
    conformal_methods: ClassVar[tuple[str, ...]] = ("contiguous",)
    explained_output: ClassVar[str] = "expected_grade"

    column: str
    classes: tuple[str, ...]
    """Lowest first."""
    weights: tuple[float, ...]
    method: str = "cumulative"
    decision_rule: str = "median"
    label_smoothing: float = 0.0
    explanation: str = ""

    @property
    def width(self) -> int:
        """One output a step between classes."""
        return len(self.classes) - 1

    @classmethod
    def fit(cls, config: OrdinalOption, frame: pd.DataFrame, roles: ColumnRoles) -> OrdinalTarget:
        """Fit ordered classes and weights to training rows, raising ValueError where no order is known."""
        column = single_column(frame, roles, "ordinal")
        dtype = frame[column].dtype
        ordered = isinstance(dtype, pd.CategoricalDtype) and dtype.ordered
        if not config.classes and isinstance(dtype, pd.CategoricalDtype) and ordered:
            classes = class_list(frame, column, [class_name(c) for c in dtype.categories])
        else:
            classes = class_list(frame, column, config.classes)
            if not config.classes and pd.to_numeric(pd.Series(classes), errors="coerce").isna().any():
                raise ValueError(
                    f"target column {column!r} holds texts ({listed(classes)}), whose order is not known; list them in "
                    "target.classes, lowest first"
                )
        return cls(
            column,
            tuple(classes),
            tuple(weights_of(count_classes(frame, column, classes), config.class_weights)),
            config.method,
            config.decision_rule,
            config.label_smoothing,
            f"The classes in order are {listed(classes)}.",
        )

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Return each row's class, int64 (B,); ValueError names column, row and value it can't read."""
        return encode_classes(frame, self.column, self.classes)

    def log_probabilities(self, outputs: Tensor) -> Tensor:
        """Return log probabilities (B, K) from outputs (B, K - 1).

        ``cumulative``: the logit of P(y >= k) is a_k with a_1 = o_1 and a_(k+1) = a_k - softplus(o_(k+1)): the
        logits are ordered (the cumulative link model of McCullagh 1980, with thresholds that may depend on the
        input; rank-consistent as CORAL, Cao et al. 2020, arXiv:1901.07884). ``corn``: output k is the logit of
        P(y > k | y >= k) (Shi et al. 2021, arXiv:2111.08851).
        """
        o_BK = outputs.float()
        if self.method == "corn":
            zero_B1 = torch.zeros_like(o_BK[:, :1])
            passed_BK = torch.cat([zero_B1, logsigmoid(o_BK).cumsum(dim=-1)], dim=-1)
            return passed_BK + torch.cat([logsigmoid(-o_BK), zero_B1], dim=-1)
        steps_BK = softplus(o_BK[:, 1:]) + _LEAST_STEP
        a_BK = torch.cat([o_BK[:, :1], o_BK[:, :1] - steps_BK.cumsum(dim=-1)], dim=-1)
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)): no cancellation between near values.
        between_BK = logsigmoid(a_BK[:, :-1]) + logsigmoid(-a_BK[:, 1:]) + torch.log(-torch.expm1(-steps_BK))
        return torch.cat([logsigmoid(-a_BK[:, :1]), between_BK, logsigmoid(a_BK[:, -1:])], dim=-1)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute each example's weighted negative log-likelihood (B,) in nats."""
        log_BK = self.log_probabilities(outputs)
        right_B = log_BK.gather(1, targets[:, None]).squeeze(1)
        losses_B = -(1.0 - self.label_smoothing) * right_B - self.label_smoothing * log_BK.mean(dim=-1)
        if len(set(self.weights)) > 1:
            losses_B = losses_B * log_BK.new_tensor(self.weights)[targets]
        return losses_B

    def scores(self, outputs: Tensor) -> Tensor:
        """Return probabilities (B, K) from outputs (B, K - 1)."""
        return torch.softmax(self.log_probabilities(outputs), dim=-1)

    def labels(self, scores: Array, thresholds: Mapping[str, float] | None = None) -> Labels:
        """Decide the median, mean or mode; with thresholds, the highest class k reached: P(y >= k) against k's."""
        if thresholds is None and self.decision_rule == "mode":
            likeliest: Labels = np.argmax(scores, axis=1)
            return likeliest
        if thresholds is None and self.decision_rule == "mean":
            return np.rint(scores @ np.arange(len(self.classes))).astype(np.int64)
        reached_NK = scores[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
        bars = np.array([(thresholds or {}).get(c, 0.5) for c in self.classes[1:]])
        steps: Labels = np.sum(reached_NK >= bars, axis=1)
        return steps

    @classmethod
    def from_state(cls, state: Mapping[str, Json]) -> Self:
        """Return the target whose ``state()`` this is; version 0.1 said ``decide`` for ``decision_rule``."""
        return super().from_state({"decision_rule": state.get("decide", "median"), **state})

    # Metrics

    def metrics(self) -> dict[str, Metric]:
        """Return the scalar metrics; the first selects models by default. ``mae`` is in steps between classes."""
        return {
            "qwk": m.qwk,
            "mae": m.mae,
            "adjacent": m.adjacent,
            "accuracy": m.accuracy,
            "balanced_accuracy": m.balanced_accuracy,
            "macro_f1": m.macro_f1,
            "macro_auroc": m.macro_auroc,
            "log_loss": m.log_loss,
            "brier": m.brier,
        }

    @classmethod
    def statistics(cls, classes: Sequence[str], settings: MetricSettings) -> list[Statistic]:
        """Return agreement, ranking, each class's metrics, and calibration."""
        return [
            _agreement(),
            means({"accuracy": correct_rows, "adjacent": _adjacent_rows, "mae": m.absolute_errors}),
            macro_auroc_auprc(classes),
            per_class(classes, exclusive=True),
            probability_scores(),
            calibration_error(settings.bins),
        ]

    # Fairness

    @classmethod
    def fairness_metrics(cls, p: Predictions) -> list[FairnessMetric]:
        """Return mean error and mean grade in steps, accuracy, calibration, and the rates of each class."""
        ones, correct = np.ones(len(p)), correct_rows(p)
        grade, truth = np.asarray(p.labels, np.float64), np.asarray(p.targets, np.float64)
        return [
            FairnessMetric("mean error in steps", "no group is marked up or down", grade - truth, ones),
            FairnessMetric("mean predicted step", "demographic parity", grade, ones),
            accuracy_metric(correct),
            calibration_metric(p, correct),
            *class_metrics(p),
        ]

    # Explanation: the expected grade, not the evidence for one

    def explained_class(self, labels: Labels, outputs: Array) -> NDArray[np.int64]:
        """Return 0: the expected grade is explained."""
        return np.zeros(len(outputs), np.int64)

    def explained_value(self, outputs: Tensor, explained: Tensor) -> Tensor:
        """Return the expected grade (B,), in steps from the lowest."""
        scores_BK = self.scores(outputs)
        return scores_BK @ torch.arange(len(self.classes), dtype=scores_BK.dtype, device=scores_BK.device)

    def explained_name(self, explained: int) -> str:
        """Return nothing: no single class is explained."""
        return ""


def _adjacent_rows(p: Predictions) -> Array:
    return (m.absolute_errors(p) <= 1).astype(np.float64)


def _agreement() -> Statistic:
    """Return quadratically weighted kappa (Cohen 1968) of labels and truth, from moments."""

    def columns(p: Predictions) -> Array:
        t, y = np.asarray(p.targets, np.float64), np.asarray(p.labels, np.float64)
        return np.column_stack([np.ones(len(p)), t, y, t * t, y * y, t * y])

    def combine(sums: Array) -> Array:
        t, y, tt, yy, ty = ratio(sums[:, 1:], sums[:, :1]).T
        kappa = 1 - ratio(tt + yy - 2 * ty, tt + yy - 2 * t * y)
        return kappa[:, None]

    return summed(("qwk",), columns, combine)
