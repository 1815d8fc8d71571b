"""Figures of held-out predictions, written to be called a thousand times by a bootstrap.

Curves are computed from counts per rank (``Predictions.ranks`` sorts once), labels from a confusion table. Every
figure equals scikit-learn's on the same numbers (tests), and is NaN where it is undefined. Averages over classes
leave out classes for which the figure is undefined, as resamples of rare classes need.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.targets.types import Metric, Predictions

LOWER_IS_BETTER = frozenset({"log_loss", "brier", "rmse", "mae"})
"""The metrics of which less is better; all others are better when higher."""

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def _nan_mean(values: Floats) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _by_rank(ranks: NDArray[np.int32], truth: NDArray[np.bool_]) -> tuple[Counts, Counts]:
    """Count positives and negatives at each rank."""
    both = np.bincount(ranks)
    positive = np.bincount(ranks[truth], minlength=len(both))
    return positive, both - positive


def _area_roc(ranks: NDArray[np.int32], truth: NDArray[np.bool_]) -> float:
    positives = int(np.count_nonzero(truth))
    negatives = len(truth) - positives
    if not positives or not negatives:
        return float("nan")
    positive, negative = _by_rank(ranks, truth)
    below = np.cumsum(negative) - 0.5 * negative
    return float(positive @ below / (positives * negatives))


def _average_precision(ranks: NDArray[np.int32], truth: NDArray[np.bool_]) -> float:
    positives = int(np.count_nonzero(truth))
    if not positives:
        return float("nan")
    positive, negative = _by_rank(ranks, truth)
    positive, both = positive[::-1], (positive + negative)[::-1]
    precision = np.cumsum(positive) / np.maximum(np.cumsum(both), 1)
    return float(positive @ precision / positives)


def _truth(p: Predictions, k: int) -> NDArray[np.bool_]:
    """Say of each row whether it is of class k (has label k)."""
    answers: NDArray[np.bool_] = (p.targets[:, k] == 1) if p.kind == "multilabel" else (p.targets == k)
    return answers


def auroc(p: Predictions) -> float:
    """Area under the ROC curve of the positive class (Mann and Whitney 1947; ties count half)."""
    return _area_roc(p.ranks()[:, 1], _truth(p, 1))


def auprc(p: Predictions) -> float:
    """Average precision of the positive class: sum over thresholds of recall gained times precision."""
    return _average_precision(p.ranks()[:, 1], _truth(p, 1))


def class_auroc(k: int) -> Metric:
    """Make the metric: area under the ROC curve of class k against the rest."""

    def one_against_rest(p: Predictions) -> float:
        return _area_roc(p.ranks()[:, k], _truth(p, k))

    return one_against_rest


def macro_auroc(p: Predictions) -> float:
    """Mean over classes of the area under the ROC curve against the rest."""
    ranks = p.ranks()
    return _nan_mean(np.array([_area_roc(ranks[:, k], _truth(p, k)) for k in range(ranks.shape[1])]))


def macro_auprc(p: Predictions) -> float:
    """Mean over classes of the average precision against the rest."""
    ranks = p.ranks()
    return _nan_mean(np.array([_average_precision(ranks[:, k], _truth(p, k)) for k in range(ranks.shape[1])]))


def confusion(p: Predictions) -> Counts:
    """Count (true class, decided class) pairs, shape (K, K)."""
    size = max(len(p.classes), p.scores.shape[1])
    pairs = p.targets.astype(np.int64) * size + p.labels.astype(np.int64)
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def accuracy(p: Predictions) -> float:
    """Share of rows decided right."""
    return float(np.mean(p.targets == p.labels)) if len(p) else float("nan")


def _recalls(table: Counts) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        recalls: Floats = np.diag(table) / table.sum(axis=1)
    return recalls


def balanced_accuracy(p: Predictions) -> float:
    """Mean over classes of the share of the class's rows decided right."""
    return _nan_mean(_recalls(confusion(p)))


def _f1(hits: Counts, true: Counts, decided: Counts) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        scores: Floats = 2 * hits / (true + decided)
    return scores


def macro_f1(p: Predictions) -> float:
    """Mean over the classes that occur (in truth or decisions) of F1, the harmonic mean of precision and recall."""
    if p.kind == "multilabel":
        return _nan_mean(_f1(*_label_counts(p)))
    table = confusion(p)
    return _nan_mean(_f1(np.diag(table), table.sum(axis=1), table.sum(axis=0)))


def micro_f1(p: Predictions) -> float:
    """F1 of all label decisions taken together (multilabel)."""
    hits, true, decided = _label_counts(p)
    return _nan_mean(_f1(hits.sum(keepdims=True), true.sum(keepdims=True), decided.sum(keepdims=True)))


def _label_counts(p: Predictions) -> tuple[Counts, Counts, Counts]:
    true, decided = p.targets == 1, p.labels == 1
    return (true & decided).sum(axis=0), true.sum(axis=0), decided.sum(axis=0)


def exact_match(p: Predictions) -> float:
    """Share of rows with every label decided right (multilabel)."""
    return float(np.mean((p.targets == p.labels).all(axis=1))) if len(p) else float("nan")


def f1(p: Predictions) -> float:
    """F1 of the positive class."""
    table = confusion(p)
    return _nan_mean(_f1(np.diag(table), table.sum(axis=1), table.sum(axis=0))[1:2])


def sensitivity(p: Predictions) -> float:
    """Share of positive rows decided positive."""
    return float(_recalls(confusion(p))[1])


def specificity(p: Predictions) -> float:
    """Share of negative rows decided negative."""
    return float(_recalls(confusion(p))[0])


def log_loss(p: Predictions) -> float:
    """Mean negative log-likelihood in nats; for multilabel, the mean over labels too."""
    if not len(p):
        return float("nan")
    smallest = np.finfo(np.float64).eps
    if p.kind == "multilabel":
        right = np.where(p.targets == 1, p.scores, 1.0 - p.scores)
    else:
        right = p.scores[np.arange(len(p)), p.targets.astype(np.int64)]
    return float(-np.log(np.clip(right, smallest, 1.0 - smallest)).mean())


def brier(p: Predictions) -> float:
    """Mean squared distance of probabilities from the truth (Brier 1950).

    Binary: of the positive class, 0 to 1. Several classes: summed over them, 0 to 2. Multilabel: mean over labels.
    """
    if not len(p):
        return float("nan")
    if p.kind == "multilabel":
        return float(np.mean((p.scores - p.targets) ** 2))
    if p.scores.shape[1] == 2:
        return float(np.mean((p.scores[:, 1] - p.targets) ** 2))
    right = p.scores[np.arange(len(p)), p.targets.astype(np.int64)]
    return float(np.mean((p.scores**2).sum(axis=1) - 2.0 * right + 1.0))


def qwk(p: Predictions) -> float:
    """Cohen's kappa with quadratic weights (Cohen 1968)."""
    table = confusion(p)
    steps = np.arange(len(table))
    distance = (steps[:, None] - steps[None, :]) ** 2
    total = table.sum()
    if not total:
        return float("nan")
    chance = float((np.outer(table.sum(axis=1), table.sum(axis=0)) * distance).sum()) / float(total)
    return 1.0 - float((table * distance).sum()) / chance if chance else float("nan")


def adjacent(p: Predictions) -> float:
    """Share of rows decided within one step of the truth."""
    return float(np.mean(np.abs(p.targets - p.labels) <= 1)) if len(p) else float("nan")


def mae(p: Predictions) -> float:
    """Mean absolute error: in units of the answer, for ordinal classes in steps."""
    return float(np.mean(np.abs(p.targets - p.labels))) if len(p) else float("nan")


def rmse(p: Predictions) -> float:
    """Root of the mean squared error, in units of the answer."""
    return float(np.sqrt(np.mean((p.targets - p.labels) ** 2))) if len(p) else float("nan")


def r2(p: Predictions) -> float:
    """Share of the truth's variance explained."""
    if len(p) < 2:
        return float("nan")
    variance = float(np.var(p.targets.astype(np.float64)))
    return 1.0 - float(np.mean((p.targets - p.labels) ** 2)) / variance if variance else float("nan")


def ious(counts: Counts) -> Floats:
    """Give each class's intersection over union from (true, decided) counts of pixels (..., K, K)."""
    hit = np.diagonal(counts, axis1=-2, axis2=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: Floats = hit / (counts.sum(axis=-1) + counts.sum(axis=-2) - hit)
    return shares


def miou(p: Predictions) -> float:
    """Mean over the classes that occur of the intersection over union of all pixels of the part (masks)."""
    return _nan_mean(ious(p.counts().sum(axis=0)))


def iou_of(k: int) -> Metric:
    """Make the metric: intersection over union of class k."""

    def of_class(p: Predictions) -> float:
        return float(ious(p.counts().sum(axis=0))[k])

    return of_class


def pixel_accuracy(p: Predictions) -> float:
    """Share of the pixels with a class that are decided right (masks)."""
    table = p.counts().sum(axis=0)
    return float(np.trace(table) / table.sum()) if table.any() else float("nan")


def per_class(classes: Sequence[str]) -> dict[str, Metric]:
    """Name each class's ``auroc_<class>``."""
    return {f"auroc_{name}": class_auroc(k) for k, name in enumerate(classes)}


def selected_first(metrics: dict[str, Metric], select: str | None) -> dict[str, Metric]:
    """Bring the metric that selects models to the front, raising ValueError for one this kind lacks."""
    if select is None:
        return metrics
    if select not in metrics:
        raise ValueError(f"target.select={select!r}: this kind of target has {', '.join(metrics)}")
    return {select: metrics[select]} | metrics
