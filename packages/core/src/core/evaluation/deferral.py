"""Which answers go to a human: a threshold of confidence chosen on validation, never on test.

Below it the model abstains (Chow 1970). A human's answer is taken to be right and to cost a fixed share of a wrong one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.oversight.decision_rule import DEFER_ALL
from core.targets.slot_metrics import all_right
from core.targets.types import Array, Predictions

Json = Any
FEWEST = 10
"""Answers left to the model that a share of right ones may be read from."""


def losses(part: Predictions, unit: float = 1.0) -> Array:
    """Give what each row's answer loses, (N,): 1 where it is wrong.

    Multilabel and tokens: wrong unless all labels, or intent and slots, are right. Masks: the share of wrong pixels.
    Numbers: the absolute error in steps of ``unit``.
    """
    if part.kind == "regression":
        return np.asarray(np.abs(part.labels - part.targets) / unit)
    if part.kind == "tokens":
        return 1.0 - all_right(part)
    if part.kind == "multilabel":
        return np.asarray((part.labels != part.targets).any(axis=1), np.float64)
    if part.kind == "mask":
        counts = part.counts()
        total, right = counts.sum(axis=(1, 2)), np.trace(counts, axis1=1, axis2=2)
        return np.asarray(np.where(total > 0, 1.0 - right / np.maximum(total, 1), 0.0))
    return np.asarray(part.labels != part.targets, np.float64)


def error_unit(validation: Predictions) -> float:
    """Give the mean absolute error of always saying validation's median; 1 for other targets than numbers."""
    if validation.kind != "regression":
        return 1.0
    return float(np.abs(validation.targets - np.median(validation.targets)).mean()) or 1.0


def by_cost(sure: Array, loss: Array, cost: float) -> float:
    """Choose the threshold of least total cost, the one that defers least among equals; both (N,)."""
    order = np.argsort(sure, kind="stable")
    kept_loss = loss.sum() - np.append(0.0, np.cumsum(loss[order]))
    total = kept_loss + cost * np.arange(len(sure) + 1)
    return _between(sure[order], _ends(sure[order]), total)


def by_share(sure: Array, share: float) -> float:
    """Choose the threshold that defers as near to a share as ties allow, and not more."""
    order = np.sort(sure)
    ends = _ends(order)
    count = np.arange(len(sure) + 1)
    return _between(order, ends & (count <= share * len(sure)), -count.astype(np.float64))


def by_agreement(sure: Array, right: NDArray[np.bool_], wanted: float) -> float:
    """Choose the lowest threshold with a share of right answers of at least ``wanted`` at or above it.

    ``NOBODY_IS_SURE`` where none reaches it with ten answers or more. Both (N,).
    """
    order = np.argsort(-sure, kind="stable")
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    ends = np.append(sure[order][1:] < sure[order][:-1], True)  # ties stay together
    fits = np.flatnonzero(ends & (share >= wanted) & (np.arange(len(order)) >= FEWEST - 1))
    return float(sure[order][fits[-1]]) if len(fits) else DEFER_ALL


def _ends(rising: Array) -> NDArray[np.bool_]:
    """Tell which numbers 0 .. N of least sure rows leave no tie apart."""
    return np.concatenate([[True], rising[1:] > rising[:-1], [True]])


def _between(rising: Array, allowed: NDArray[np.bool_], worth: Array) -> float:
    """Give the threshold that defers the allowed number of least ``worth``; the first of equals."""
    worth = np.where(allowed, worth, np.inf)
    count = int(np.argmin(worth))
    if count == 0:
        return 0.0
    if count == len(rising):
        return DEFER_ALL
    return float((rising[count - 1] + rising[count]) / 2)
