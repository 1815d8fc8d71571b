"""Figures that are ratios of weighted sums, by kind of target, each as a ``Statistic``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.ranks import Ranking
from core.evaluation.types import Array, Statistic, Weighted
from core.targets.types import Predictions

TINY = float(np.finfo(np.float64).eps)


def ratio(above: Array, below: Array) -> Array:
    """Divide, NaN where the divisor is 0."""
    out: Array = np.full(np.broadcast(above, below).shape, np.nan)
    np.divide(above, below, out=out, where=below != 0)
    return out


def summed(
    names: Sequence[str],
    columns: Callable[[Predictions], Array],
    combine: Callable[[Array], Array],
) -> Statistic:
    """Make a statistic that only needs the weighted sums of some columns.

    ``columns`` gives (N, C) once; ``combine`` turns sums (R, C) into figures (R, k).
    """

    def prepare(predictions: Predictions) -> Weighted:
        columns_NC = columns(predictions)
        return lambda weights_RN: combine(weights_RN @ columns_NC)

    return Statistic(tuple(names), prepare)


def means(figures: dict[str, Callable[[Predictions], Array]]) -> Statistic:
    """Make a statistic of weighted means: name -> what is averaged, (N,)."""
    return summed(
        tuple(figures),
        lambda p: np.column_stack([np.ones(len(p)), *(each(p) for each in figures.values())]),
        lambda sums: ratio(sums[:, 1:], sums[:, :1]),
    )


def areas(names: tuple[str, str], column: int) -> Statistic:
    """AUROC and average precision of one score column against its class."""

    def prepare(p: Predictions) -> Weighted:
        return Ranking(p.scores[:, column], truths(p)[:, column]).areas

    return Statistic(names, prepare)


def macro_areas(classes: Sequence[str]) -> Statistic:
    """One-against-the-rest AUROC and average precision: the mean over classes, then each class's own.

    A class that a resample lacks is left out of that resample's mean.
    """
    names = ["macro_auroc", "macro_auprc"]
    names += [f"{figure}_{name}" for name in classes for figure in ("auroc", "auprc")]

    def prepare(p: Predictions) -> Weighted:
        rankings = [Ranking(p.scores[:, k], truth) for k, truth in enumerate(truths(p).T)]

        def weighted(weights_RN: Array) -> Array:
            each_RK2 = np.stack([ranking.areas(weights_RN) for ranking in rankings], axis=1)
            means = [mean_defined(each_RK2[:, :, figure]) for figure in (0, 1)]
            return np.column_stack([*means, each_RK2.reshape(len(each_RK2), -1)])

        return weighted

    return Statistic(tuple(names), prepare)


def truths(p: Predictions) -> NDArray[np.bool_]:
    """Truth as (N, K) bool, one column a class."""
    return _columns(p.targets, p)


def called(p: Predictions) -> NDArray[np.bool_]:
    """Decided labels as (N, K) bool, one column a class."""
    return _columns(p.labels, p)


def _columns(codes: NDArray[Any], p: Predictions) -> NDArray[np.bool_]:
    if p.kind == "multilabel":
        return np.asarray(codes > 0, np.bool_)
    return np.asarray(codes[:, None] == np.arange(p.scores.shape[1]), np.bool_)


def log_losses(p: Predictions) -> Array:
    """(N,) negative log likelihood; for multilabel the mean over labels."""
    if p.kind == "multilabel":
        right: Array = np.where(truths(p), p.scores, 1 - p.scores)
        return np.asarray(-np.log(np.clip(right, TINY, 1 - TINY)).mean(axis=1))
    right = p.scores[np.arange(len(p)), np.asarray(p.targets, np.int64)]
    return np.asarray(-np.log(np.clip(right, TINY, 1 - TINY)))


def briers(p: Predictions) -> Array:
    """(N,) squared error of the probability of yes (binary), mean over labels (multilabel), sum over classes."""
    squares: Array = (p.scores - truths(p)) ** 2
    if p.kind == "binary":
        return squares[:, 1]
    return np.asarray(squares.mean(axis=1) if p.kind == "multilabel" else squares.sum(axis=1))


def calibration_error(bins: int) -> Statistic:
    """Expected calibration error with bins of equal width (Guo et al. 2017).

    Binary: of the probability of yes. Multiclass and ordinal: of the top class. Multilabel: of all
    label probabilities together.
    """

    def columns(p: Predictions) -> Array:
        if p.kind == "binary":
            chance, hit = p.scores[:, 1:2], truths(p)[:, 1:2]
        elif p.kind == "multilabel":
            chance, hit = p.scores, truths(p)
        else:
            top = p.scores.argmax(axis=1)
            chance = p.scores[np.arange(len(p)), top][:, None]
            hit = (top == np.asarray(p.targets))[:, None]
        code = np.clip((chance * bins).astype(np.int64), 0, bins - 1)
        error = chance - hit
        inside = [(code == b) for b in range(bins)]
        return np.column_stack(
            [np.full(len(p), float(chance.shape[1])), *((error * b).sum(axis=1) for b in inside)]
        )

    return summed(("ece",), columns, lambda sums: ratio(np.abs(sums[:, 1:]).sum(axis=1), sums[:, 0])[:, None])


def per_class(classes: Sequence[str], kind: str) -> Statistic:
    """Precision, recall and F1 from decided labels: averages over classes, and each class's own.

    Macro averages run over the classes that occur in truth or labels (recall: in the truth).
    """
    k = len(classes)
    single = kind != "multilabel"
    names = ["balanced_accuracy"] if single else ["micro_f1"]
    names += ["macro_f1", *(f"{f}_{c}" for f in ("recall", "precision", "f1") for c in classes)]

    def columns(p: Predictions) -> Array:
        truth, call = truths(p), called(p)
        return np.concatenate([truth & call, truth, call], axis=1).astype(np.float64)

    def combine(sums: Array) -> Array:
        hit, truth, call = sums[:, :k], sums[:, k : 2 * k], sums[:, 2 * k :]
        recall, precision = ratio(hit, truth), ratio(hit, call)
        f1 = ratio(2 * hit, truth + call)
        if single:
            first = mean_defined(recall)
        else:
            first = ratio(2 * hit.sum(axis=1), truth.sum(axis=1) + call.sum(axis=1))
        return np.column_stack([first, mean_defined(f1), recall, precision, f1])

    return summed(names, columns, combine)


def mean_defined(each_RK: Array) -> Array:
    """Mean over columns of what is defined, (R,)."""
    defined = ~np.isnan(each_RK)
    return ratio(np.where(defined, each_RK, 0.0).sum(axis=1), defined.sum(axis=1).astype(np.float64))
