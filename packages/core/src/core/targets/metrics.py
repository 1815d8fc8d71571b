"""Metrics of held-out predictions, written to be called a thousand times by a bootstrap.

Curves are computed from counts per rank (``Predictions.ranks`` sorts once), labels from a confusion matrix. Every
metric equals scikit-learn's on the same numbers (tests), and is NaN where it is undefined. Averages over classes
leave out classes for which the metric is undefined, as resamples of rare classes need. Many have a weighted form of
the same name in ``core.targets.bootstrap_metrics`` or beside their kind of target.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.targets.types import LOWER_IS_BETTER as LOWER_IS_BETTER
from core.targets.types import Flags, Metric, Predictions, Target

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def monitored(target: Target, monitor: str) -> str:
    """Return the metric that selects checkpoints: ``auto`` is the target's first.

    Raises ``ValueError`` for a name that this target does not have; ``loss`` always exists.
    """
    names = list(target.metrics())
    if monitor == "auto":
        return names[0]
    if monitor != "loss" and monitor not in names:
        raise ValueError(f"training.monitor={monitor!r}: this target has loss, {', '.join(names)}")
    return monitor


def monitored_first(target: Target, monitor: str) -> dict[str, Metric]:
    """Return the target's metrics, the one that selects checkpoints before all others."""
    metrics = target.metrics()
    return {monitor: metrics[monitor], **metrics} if monitor in metrics else metrics


# Metrics of arrays


def auroc_of(scores: NDArray[Any], truth: Flags) -> float:
    """Compute the area under the ROC curve of scores (N,) (Mann and Whitney 1947; ties count half).

    >>> auroc_of(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    return _area_roc(np.unique(scores, return_inverse=True)[1].astype(np.int32), truth)


def quadratic_kappa(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Compute Cohen's kappa with quadratic weights (Cohen 1968) of two gradings (N,), of whole grades or numbers.

    From moments: 1 - E[(a - b)^2] / E[(a - b')^2] with b' independent of a, which equals the confusion matrix's
    kappa for whole grades.

    >>> quadratic_kappa(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 1]))
    0.8
    """
    if not len(a):
        return float("nan")
    a, b = a - a[0], b - a[0]  # the same for shifted grades, and exact for constant ones
    n = len(a)
    chance = float(n * ((a * a).sum() + (b * b).sum()) - 2 * a.sum() * b.sum()) / float(n)
    return 1.0 - float(((a - b) ** 2).sum()) / chance if chance else float("nan")


def exact_agreement(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Compute the share of equal grades (N,)."""
    return float(np.mean(a == b)) if len(a) else float("nan")


def adjacent_agreement(a: NDArray[Any], b: NDArray[Any], step: float = 1.0) -> float:
    """Compute the share of grades (N,) at most one step apart."""
    return float(np.mean(np.abs(a - b) <= step + 1e-9)) if len(a) else float("nan")


def _nan_mean(values: Floats) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _by_rank(ranks: NDArray[np.int32], truth: Flags) -> tuple[Counts, Counts]:
    """Count positives and negatives at each rank."""
    both = np.bincount(ranks)
    positive = np.bincount(ranks[truth], minlength=len(both))
    return positive, both - positive


def _area_roc(ranks: NDArray[np.int32], truth: Flags) -> float:
    positives = int(np.count_nonzero(truth))
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    positive, negative = _by_rank(ranks, truth)
    below = np.cumsum(negative) - 0.5 * negative
    return float(positive @ below / (positives * negatives))


def _average_precision(ranks: NDArray[np.int32], truth: Flags) -> float:
    positives = int(np.count_nonzero(truth))
    if not positives:
        return float("nan")
    positive, negative = _by_rank(ranks, truth)
    positive, both = positive[::-1], (positive + negative)[::-1]
    precision = np.cumsum(positive) / np.maximum(np.cumsum(both), 1)
    return float(positive @ precision / positives)


# Metrics of predictions


def _truth(p: Predictions, k: int) -> Flags:
    """Return whether each row is of class k (has label k)."""
    true: Flags = (p.targets[:, k] == 1) if p.targets.ndim == 2 else (p.targets == k)
    return true


def auroc(p: Predictions) -> float:
    """Compute the area under the ROC curve of the positive class (ties count half)."""
    return _area_roc(p.ranks()[:, 1], _truth(p, 1))


def auprc(p: Predictions) -> float:
    """Compute the average precision of the positive class: sum over thresholds of recall gained times precision."""
    return _average_precision(p.ranks()[:, 1], _truth(p, 1))


def class_auroc(k: int) -> Metric:
    """Return the metric: area under the ROC curve of class k against the rest."""

    def one_vs_rest(p: Predictions) -> float:
        return _area_roc(p.ranks()[:, k], _truth(p, k))

    return one_vs_rest


def macro_auroc(p: Predictions) -> float:
    """Compute the mean over classes of the area under the ROC curve against the rest."""
    ranks = p.ranks()
    return _nan_mean(np.array([_area_roc(ranks[:, k], _truth(p, k)) for k in range(ranks.shape[1])]))


def macro_auprc(p: Predictions) -> float:
    """Compute the mean over classes of the average precision against the rest."""
    ranks = p.ranks()
    return _nan_mean(np.array([_average_precision(ranks[:, k], _truth(p, k)) for k in range(ranks.shape[1])]))


def confusion(p: Predictions) -> Counts:
    """Count (true class, predicted class) pairs, shape (K, K)."""
    size = max(len(p.classes), p.scores.shape[1])
    pairs = p.targets.astype(np.int64) * size + p.labels.astype(np.int64)
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def accuracy(p: Predictions) -> float:
    """Compute the share of correct rows."""
    return exact_agreement(p.targets, p.labels)


def _recalls(table: Counts) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        recalls: Floats = np.diag(table) / table.sum(axis=1)
    return recalls


def balanced_accuracy(p: Predictions) -> float:
    """Compute the mean over classes of recall."""
    return _nan_mean(_recalls(confusion(p)))


def _f1(hits: Counts, true: Counts, predicted: Counts) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        scores: Floats = 2 * hits / (true + predicted)
    return scores


def macro_f1(p: Predictions) -> float:
    """Compute the mean over the classes that occur (in truth or labels) of F1."""
    if p.targets.ndim == 2:
        return _nan_mean(_f1(*_label_counts(p)))
    table = confusion(p)
    return _nan_mean(_f1(np.diag(table), table.sum(axis=1), table.sum(axis=0)))


def micro_f1(p: Predictions) -> float:
    """Compute F1 of all label decisions taken together (multilabel)."""
    hits, true, predicted = _label_counts(p)
    return _nan_mean(_f1(hits.sum(keepdims=True), true.sum(keepdims=True), predicted.sum(keepdims=True)))


def _label_counts(p: Predictions) -> tuple[Counts, Counts, Counts]:
    true, predicted = p.targets == 1, p.labels == 1
    return (true & predicted).sum(axis=0), true.sum(axis=0), predicted.sum(axis=0)


def all_labels_right(p: Predictions) -> Floats:
    """Return 1 for each row with every label right, else 0; (N,)."""
    return np.asarray(np.equal(p.labels, p.targets).all(axis=1), np.float64)


def exact_match(p: Predictions) -> float:
    """Compute the share of rows with every label right (multilabel)."""
    return float(all_labels_right(p).mean()) if len(p) else float("nan")


def f1(p: Predictions) -> float:
    """Compute F1 of the positive class."""
    table = confusion(p)
    return _nan_mean(_f1(np.diag(table), table.sum(axis=1), table.sum(axis=0))[1:2])


def sensitivity(p: Predictions) -> float:
    """Compute the recall of the positive class (true positive rate)."""
    return float(_recalls(confusion(p))[1])


def specificity(p: Predictions) -> float:
    """Compute the recall of the negative class (true negative rate)."""
    return float(_recalls(confusion(p))[0])


def log_loss(p: Predictions) -> float:
    """Compute the mean negative log-likelihood in nats; for multilabel, the mean over labels too."""
    return float(p.type.log_losses(p).mean()) if len(p) else float("nan")


def brier(p: Predictions) -> float:
    """Compute the mean squared distance of probabilities from the truth (Brier 1950).

    Binary: of the positive class, 0 to 1. Several classes: summed over them, 0 to 2. Multilabel: mean over labels.
    """
    return float(p.type.brier_scores(p).mean()) if len(p) else float("nan")


def qwk(p: Predictions) -> float:
    """Compute Cohen's kappa with quadratic weights of labels and truth (QWK)."""
    return quadratic_kappa(p.targets.astype(np.int64), p.labels.astype(np.int64))


def adjacent(p: Predictions) -> float:
    """Compute the share of rows predicted within one step of the truth."""
    return adjacent_agreement(p.targets, p.labels)


def absolute_errors(p: Predictions) -> Floats:
    """Return |label - truth| of each row, (N,)."""
    return np.abs(np.asarray(p.targets, np.float64) - np.asarray(p.labels, np.float64))


def mae(p: Predictions) -> float:
    """Compute the mean absolute error: in units of the target, for ordinal classes in steps."""
    return float(absolute_errors(p).mean()) if len(p) else float("nan")


def rmse(p: Predictions) -> float:
    """Compute the root of the mean squared error, in units of the target."""
    return float(np.sqrt(np.mean((p.targets - p.labels) ** 2))) if len(p) else float("nan")


def r2(p: Predictions) -> float:
    """Compute the share of the truth's variance explained (coefficient of determination)."""
    if len(p) < 2:
        return float("nan")
    variance = float(np.var(p.targets.astype(np.float64)))
    return 1.0 - float(np.mean((p.targets - p.labels) ** 2)) / variance if variance else float("nan")


def per_class_auroc(classes: Sequence[str]) -> dict[str, Metric]:
    """Return each class's ``auroc_<class>``."""
    return {f"auroc_{name}": class_auroc(k) for k, name in enumerate(classes)}
