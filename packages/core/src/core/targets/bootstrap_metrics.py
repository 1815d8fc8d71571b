"""Default metrics in weighted form: ratios of weighted sums and areas under curves, each as a ``Statistic``.

The bootstrap computes them for thousands of resamples at once. Each equals the scalar metric of its name in
``core.targets.metrics`` on the resampled rows (tests compare them).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from core.targets.roc import RocCurve
from core.targets.types import Array, Predictions, Statistic, Weighted


def ratio(above: Array, below: Array) -> Array:
    """Divide, NaN where the divisor is 0.

    >>> ratio(np.array([1.0, 1.0]), np.array([2.0, 0.0]))
    array([0.5, nan])
    """
    out: Array = np.full(np.broadcast(above, below).shape, np.nan)
    np.divide(above, below, out=out, where=below != 0)
    return out


def summed(
    names: Sequence[str],
    columns: Callable[[Predictions], Array],
    combine: Callable[[Array], Array],
) -> Statistic:
    """Return a statistic that needs only the weighted sums of some columns.

    ``columns`` gives (N, C) once; ``combine`` turns sums (R, C) into values (R, k).
    """

    def prepare(predictions: Predictions) -> Weighted:
        columns_NC = columns(predictions)
        return lambda weights_RN: combine(weights_RN @ columns_NC)

    return Statistic(tuple(names), prepare)


def means(rows: Mapping[str, Callable[[Predictions], Array]]) -> Statistic:
    """Return a statistic of weighted means: name -> what is averaged, (N,)."""
    return summed(
        tuple(rows),
        lambda p: np.column_stack([np.ones(len(p)), *(each(p) for each in rows.values())]),
        lambda sums: ratio(sums[:, 1:], sums[:, :1]),
    )


def auroc_auprc(names: tuple[str, str], column: int) -> Statistic:
    """Return AUROC and average precision of one score column against its class."""

    def prepare(p: Predictions) -> Weighted:
        return RocCurve(p.scores[:, column], truths(p)[:, column]).auroc_auprc

    return Statistic(names, prepare)


def macro_auroc_auprc(classes: Sequence[str]) -> Statistic:
    """Return one-vs-rest AUROC and average precision: the mean over classes, then each class's own.

    A class that a resample lacks is left out of that resample's mean.
    """
    names = ["macro_auroc", "macro_auprc"]
    names += [f"{metric}_{name}" for name in classes for metric in ("auroc", "auprc")]

    def prepare(p: Predictions) -> Weighted:
        curves = [RocCurve(p.scores[:, k], truth) for k, truth in enumerate(truths(p).T)]

        def weighted(weights_RN: Array) -> Array:
            each_RK2 = np.stack([curve.auroc_auprc(weights_RN) for curve in curves], axis=1)
            means = [mean_defined(each_RK2[:, :, metric]) for metric in (0, 1)]
            return np.column_stack([*means, each_RK2.reshape(len(each_RK2), -1)])

        return weighted

    return Statistic(tuple(names), prepare)


def truths(p: Predictions) -> NDArray[np.bool_]:
    """Return ground truth as (N, K) bool, one column a class."""
    return p.type.indicators(p.targets, p.scores.shape[1])


def predicted(p: Predictions) -> NDArray[np.bool_]:
    """Return predicted labels as (N, K) bool, one column a class."""
    return p.type.indicators(p.labels, p.scores.shape[1])


def probability_scores() -> Statistic:
    """Return log loss and Brier score."""
    return means({"log_loss": lambda p: p.type.log_losses(p), "brier": lambda p: p.type.brier_scores(p)})


def calibration_error(bins: int) -> Statistic:
    """Return the expected calibration error (ECE) with bins of equal width (Guo et al. 2017).

    Of the probabilities that the kind of target names (``Target.forecasts``).
    """

    def columns(p: Predictions) -> Array:
        forecasts = p.type.forecasts(p)
        assert forecasts is not None, f"a {p.kind} target has no probabilities"
        probability, true = forecasts
        code = np.clip((probability * bins).astype(np.int64), 0, bins - 1)
        error = probability - true
        inside = [(code == b) for b in range(bins)]
        return np.column_stack(
            [np.full(len(p), float(probability.shape[1])), *((error * b).sum(axis=1) for b in inside)]
        )

    return summed(("ece",), columns, lambda sums: ratio(np.abs(sums[:, 1:]).sum(axis=1), sums[:, 0])[:, None])


def per_class(classes: Sequence[str], *, exclusive: bool) -> Statistic:
    """Return precision, recall and F1 from predicted labels: averages over classes, and each class's own.

    Macro averages run over the classes that occur in truth or labels (recall: in the truth). ``exclusive``: a row has
    one class, and balanced accuracy comes first; else micro F1.
    """
    k = len(classes)
    names = ["balanced_accuracy"] if exclusive else ["micro_f1"]
    names += ["macro_f1", *(f"{f}_{c}" for f in ("recall", "precision", "f1") for c in classes)]

    def columns(p: Predictions) -> Array:
        truth, call = truths(p), predicted(p)
        return np.concatenate([truth & call, truth, call], axis=1).astype(np.float64)

    def combine(sums: Array) -> Array:
        hit, truth, call = sums[:, :k], sums[:, k : 2 * k], sums[:, 2 * k :]
        recall, precision = ratio(hit, truth), ratio(hit, call)
        f1 = ratio(2 * hit, truth + call)
        if exclusive:
            first = mean_defined(recall)
        else:
            first = ratio(2 * hit.sum(axis=1), truth.sum(axis=1) + call.sum(axis=1))
        return np.column_stack([first, mean_defined(f1), recall, precision, f1])

    return summed(names, columns, combine)


def mean_defined(each_RK: Array) -> Array:
    """Return the mean over columns of what is defined, (R,)."""
    defined = ~np.isnan(each_RK)
    return ratio(np.where(defined, each_RK, 0.0).sum(axis=1), defined.sum(axis=1).astype(np.float64))
