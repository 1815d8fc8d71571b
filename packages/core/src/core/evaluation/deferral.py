"""Which predictions go to a human: a threshold of confidence chosen on validation, never on test.

Below it the model abstains (Chow 1970). A human's decision is taken to be right and to cost a fixed share of a wrong
prediction. What an error costs is the kind of target's ``row_losses``.
"""

from __future__ import annotations

import numpy as np

from core.oversight.decision_rule import DEFER_ALL
from core.targets.types import Array, Flags

MIN_KEPT = 10
"""Predictions left to the model that an accuracy may be computed from."""


def cost_threshold(confidence: Array, loss: Array, cost: float) -> float:
    """Choose the threshold of least total cost, the one that defers least among equals; both (N,)."""
    order = np.argsort(confidence, kind="stable")
    kept_loss = loss.sum() - np.append(0.0, np.cumsum(loss[order]))
    total = kept_loss + cost * np.arange(len(confidence) + 1)
    return _between(confidence[order], _ends(confidence[order]), total)


def fraction_threshold(confidence: Array, fraction: float) -> float:
    """Choose the threshold that defers as near to a fraction of rows as ties allow, and not more."""
    order = np.sort(confidence)
    ends = _ends(order)
    count = np.arange(len(confidence) + 1)
    return _between(order, ends & (count <= fraction * len(confidence)), -count.astype(np.float64))


def accuracy_threshold(confidence: Array, correct: Flags, accuracy: float) -> float:
    """Choose the lowest threshold with at least this accuracy at or above it.

    ``DEFER_ALL`` where none reaches it with ten predictions or more. Both (N,).
    """
    order = np.argsort(-confidence, kind="stable")
    share = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    ends = np.append(confidence[order][1:] < confidence[order][:-1], True)  # ties stay together
    fits = np.flatnonzero(ends & (share >= accuracy) & (np.arange(len(order)) >= MIN_KEPT - 1))
    return float(confidence[order][fits[-1]]) if len(fits) else DEFER_ALL


def _ends(rising: Array) -> Flags:
    """Return which numbers 0 .. N of least confident rows leave no tie apart."""
    return np.concatenate([[True], rising[1:] > rising[:-1], [True]])


def _between(rising: Array, allowed: Flags, total: Array) -> float:
    """Return the threshold that defers the allowed number of least ``total``; the first of equals."""
    total = np.where(allowed, total, np.inf)
    count = int(np.argmin(total))
    if count == 0:
        return 0.0
    if count == len(rising):
        return DEFER_ALL
    return float((rising[count - 1] + rising[count]) / 2)
