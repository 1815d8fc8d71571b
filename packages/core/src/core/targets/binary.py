"""One of two classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch.nn import functional

from core.targets import metrics as m
from core.targets.bootstrap_metrics import (
    auroc_auprc,
    calibration_error,
    mean_defined,
    probability_scores,
    ratio,
    summed,
    truths,
)
from core.targets.fairness_metrics import FPR, TPR, FairnessMetric, accuracy_metric
from core.targets.labels import (
    count_classes,
    encode_classes,
    in_order,
    listed,
    names_of,
    single_column,
    weights_of,
)
from core.targets.recalibration import Recalibration, logistic_recalibration, logit, platt, temper
from core.targets.row_class import RowClassTarget
from core.targets.types import Array, MetricSettings, Predictions, Statistic, Weighted

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from core.data.types import ColumnRoles
    from core.targets.config import BinaryOption
    from core.targets.types import Flags, Labels, Metric, OneVsRest

AFFIRMATIVE = frozenset({"1", "true", "yes", "y", "t", "positive", "pos"})


@dataclass
class BinaryTarget(RowClassTarget):
    """The probability of the positive class, from one output: its log odds."""

    kind: ClassVar[str] = "binary"
    recalibrations: ClassVar[tuple[str, ...]] = ("platt", "temperature")
    mondrian: ClassVar[str] = "classes"
    thresholds_by_group: ClassVar[bool] = True
    explained_output: ClassVar[str] = "class_log_odds"

    column: str
    classes: tuple[str, ...]
    """(negative, positive)"""
    rest: bool = False
    """Every value but the positive one is negative."""
    weights: tuple[float, float] = (1.0, 1.0)
    label_smoothing: float = 0.0
    focal: float = 0.0
    explanation: str = ""

    @property
    def width(self) -> int:
        """One output."""
        return 1

    @classmethod
    def fit(cls, config: BinaryOption, frame: pd.DataFrame, roles: ColumnRoles) -> BinaryTarget:
        """Fit classes and weights to training rows, raising ValueError unless there are two (or a positive one).

        >>> import pandas as pd
        >>> from core.data.types import ColumnRoles
        >>> from core.targets.config import BinaryOption
        >>> rows = pd.DataFrame({"ill": ["no", "yes", "no"]})
        >>> target = BinaryTarget.fit(BinaryOption(), rows, ColumnRoles(target=("ill",)))
        >>> target.classes, target.encode(rows).tolist()
        (('no', 'yes'), [0, 1, 0])
        """
        column = single_column(frame, roles, "binary")
        names = in_order(names_of(frame[column])[1])
        counts = dict(zip(names, count_classes(frame, column, names), strict=True))
        if len(names) < 2:
            raise ValueError(
                f"target column {column!r} has only the value {listed(names)!r} in the training rows; two are needed"
            )
        positive = config.positive
        if positive is None:
            if len(names) > 2:
                raise ValueError(
                    f"target column {column!r} has {len(names)} values ({listed(names)}); name the positive one with "
                    "target.positive, or set target=multiclass"
                )
            affirmative = [n for n in names if n.lower() in AFFIRMATIVE]
            rarer = min(reversed(names), key=lambda n: counts[n])
            positive = affirmative[0] if len(affirmative) == 1 else rarer
            why = "means yes" if len(affirmative) == 1 else "is the rarer"
            explanation = f"{positive!r} counts as positive because it {why}."
        elif positive not in names:
            raise ValueError(
                f"target.positive={positive!r}: column {column!r} has {listed(names)} in the training rows"
            )
        else:
            explanation = f"{positive!r} counts as positive, as asked."
        others = [n for n in names if n != positive]
        rest = len(others) > 1
        if rest:
            explanation += f" All other values ({listed(others)}) count as negative."
        hits = int(counts[positive])
        weights = weights_of(np.array([sum(counts.values()) - hits, hits]), config.class_weights)
        return cls(
            column,
            (f"not {positive}" if rest else others[0], positive),
            rest,
            (weights[0], weights[1]),
            config.label_smoothing,
            config.focal,
            explanation,
        )

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Return each row's class, 1 = positive, int64 (B,); ValueError names column, row and value it can't read."""
        return encode_classes(frame, self.column, self.classes, rest=0 if self.rest else None)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Compute each example's weighted logistic loss (B,) in nats.

        With ``focal`` = g the loss is scaled by (1 - p of the true class)^g (Lin et al. 2017, arXiv:1708.02002, eq. 4).
        """
        logits_B = outputs.float().squeeze(-1)
        truth_B = targets.to(logits_B.dtype)
        smooth_B = truth_B * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        losses_B = functional.binary_cross_entropy_with_logits(logits_B, smooth_B, reduction="none")
        if self.focal:
            losses_B = losses_B * torch.sigmoid(-logits_B * (2.0 * truth_B - 1.0)) ** self.focal
        return losses_B * (self.weights[0] + (self.weights[1] - self.weights[0]) * truth_B)

    def scores(self, outputs: Tensor) -> Tensor:
        """Return probabilities (B, 2) from log odds (B, 1)."""
        logits_B1 = outputs.float()
        return torch.cat([torch.sigmoid(-logits_B1), torch.sigmoid(logits_B1)], dim=-1)

    def labels(self, scores: Array, thresholds: Mapping[str, float] | None = None) -> Labels:
        """Decide positive (1) where its probability reaches the threshold given under its name; 0.5 without one."""
        threshold = 0.5 if thresholds is None else thresholds.get(self.classes[1], 0.5)
        return (scores[:, 1] >= threshold).astype(np.int64)

    # Metrics

    def metrics(self) -> dict[str, Metric]:
        """Return the scalar metrics; the first selects models by default."""
        return {
            "auroc": m.auroc,
            "auprc": m.auprc,
            "accuracy": m.accuracy,
            "balanced_accuracy": m.balanced_accuracy,
            "f1": m.f1,
            "macro_f1": m.macro_f1,
            "sensitivity": m.sensitivity,
            "specificity": m.specificity,
            "log_loss": m.log_loss,
            "brier": m.brier,
        }

    @classmethod
    def statistics(cls, classes: Sequence[str], settings: MetricSettings) -> list[Statistic]:
        """Return ranking, operating points set on validation, and calibration."""
        return [
            auroc_auprc(("auroc", "auprc"), 1),
            _at_fixed_points(settings),
            probability_scores(),
            calibration_error(settings.bins),
            _slope_and_intercept(),
        ]

    @classmethod
    def brier_scores(cls, p: Predictions) -> Array:
        """Compute each row's squared error of the positive class's probability, (N,)."""
        return np.asarray((p.scores[:, 1] - truths(p)[:, 1]) ** 2)

    # Probabilities

    @classmethod
    def recalibrate(cls, scores: Array, recalibration: Recalibration) -> Array:
        """Return corrected probabilities (N, 2)."""
        if recalibration.method == "none":
            return scores
        if recalibration.method == "platt":
            positive = platt(scores[:, 1:], recalibration)
            return np.column_stack([1 - positive, positive])
        return temper(scores, recalibration.temperature)

    @classmethod
    def binary_decisions(cls, p: Predictions) -> OneVsRest:
        """Return the positive class."""
        return {p.classes[1]: (p.scores[:, 1], truths(p)[:, 1])}

    @classmethod
    def one_vs_rest(cls, p: Predictions) -> OneVsRest:
        """Return the positive class."""
        return cls.binary_decisions(p)

    @classmethod
    def outcome(cls, p: Predictions) -> tuple[Array, Flags]:
        """Return the positive class's probability and truth."""
        return p.scores[:, 1], truths(p)[:, 1]

    @classmethod
    def forecasts(cls, p: Predictions) -> tuple[Array, Flags]:
        """Return the positive class's probability and truth, (N, 1) each."""
        return p.scores[:, 1:2], truths(p)[:, 1:2]

    # Fairness

    @classmethod
    def fairness_metrics(cls, p: Predictions) -> list[FairnessMetric]:
        """Return the rates of equal opportunity, predictive equality, demographic parity, accuracy and calibration."""
        ones = np.ones(len(p))
        truth, predicted, score = (np.asarray(x, np.float64) for x in (p.targets, p.labels, p.scores[:, 1]))
        false = predicted * (1 - truth)
        return [
            FairnessMetric("true positive rate", "equal opportunity", predicted * truth, truth, TPR),
            FairnessMetric("false positive rate", "predictive equality", false, 1 - truth, FPR),
            FairnessMetric("selection rate", "demographic parity", predicted, ones),
            accuracy_metric((predicted == truth).astype(np.float64)),
            FairnessMetric("calibration gap", "calibration by group", score - truth, ones),
        ]

    @classmethod
    def judged_classes(cls, classes: Sequence[str]) -> tuple[str, ...]:
        """Return the positive class."""
        return tuple(classes[1:])

    @classmethod
    def decision_utility(cls, hits: Array, false: Array, true: Array, rest: Array) -> float:
        """Compute balanced accuracy."""
        recall = hits / np.maximum(true, 1)
        return float((recall + 1 - false / np.maximum(rest, 1))[0] / 2)

    # Explanation

    def explained_value(self, outputs: Tensor, explained: Tensor) -> Tensor:
        """Return the log odds (B,) of the explained class."""
        return outputs[:, 0] * (2.0 * explained - 1.0)


def percent_name(fraction: float) -> str:
    """Return a fraction as it stands in a metric's name.

    >>> percent_name(0.9), percent_name(0.975)
    ('90', '97.5')
    """
    return f"{100 * fraction:.6g}"


def _at_fixed_points(settings: MetricSettings) -> Statistic:
    """Return metrics that need a decision; every threshold comes from validation."""
    cuts = {}
    for rule in ("specificity", "sensitivity"):
        known = settings.cuts.get(rule)
        cuts[rule] = float("nan") if known is None else float(known)
    prevalence, cost_cut = settings.prevalence, settings.cost_threshold
    names = (
        f"sensitivity_at_{percent_name(settings.target_specificity)}_specificity",
        f"specificity_at_{percent_name(settings.target_sensitivity)}_sensitivity",
        "sensitivity",
        "specificity",
        "ppv",
        "npv",
        "f1",
        "macro_f1",
        "accuracy",
        "balanced_accuracy",
        "net_benefit",
    )

    def columns(p: Predictions) -> Array:
        truth, scores = truths(p)[:, 1], p.scores[:, 1]
        positive = np.asarray(p.labels) == 1
        tests = (positive, scores >= cuts["specificity"], scores >= cuts["sensitivity"], scores >= cost_cut)
        hits = [side for test in tests for side in (truth & test, ~truth & test)]
        return np.column_stack([truth, ~truth, *hits]).astype(np.float64)

    def combine(sums: Array) -> Array:
        yes, no, tp, fp, tp_spec, _, _, fp_sens, tp_cost, fp_cost = sums.T
        sensitivity, specificity = ratio(tp, yes), 1 - ratio(fp, no)
        found, spared = sensitivity * prevalence, specificity * (1 - prevalence)
        f1 = ratio(2 * tp, yes + tp + fp)
        at_spec, at_sens = ratio(tp_spec, yes), 1 - ratio(fp_sens, no)
        return np.column_stack(
            [
                at_spec if np.isfinite(cuts["specificity"]) else np.full_like(yes, np.nan),
                at_sens if np.isfinite(cuts["sensitivity"]) else np.full_like(yes, np.nan),
                sensitivity,
                specificity,
                ratio(found, found + (1 - specificity) * (1 - prevalence)),
                ratio(spared, spared + (1 - sensitivity) * prevalence),
                f1,
                mean_defined(np.column_stack([f1, ratio(2 * (no - fp), yes - tp + 2 * no - fp)])),
                ratio(tp + no - fp, yes + no),
                mean_defined(np.column_stack([sensitivity, specificity])),
                ratio(tp_cost - fp_cost * cost_cut / (1 - cost_cut), yes + no),
            ]
        )

    return summed(names, columns, combine)


def _slope_and_intercept() -> Statistic:
    """Return the calibration slope and intercept of the positive class's log odds (Cox 1958)."""

    def prepare(p: Predictions) -> Weighted:
        odds, truth = logit(p.scores[:, 1]), truths(p)[:, 1].astype(np.float64)
        return lambda weights_RN: logistic_recalibration(odds, truth, weights_RN)

    return Statistic(("calibration_intercept", "calibration_slope"), prepare)
