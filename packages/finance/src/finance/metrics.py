"""Metrics of risk management: recall at fixed false positive rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from core.targets.types import Metric, Predictions


def recall_at(rate: float) -> Metric:
    """Return the metric recall at a false positive rate of at most ``rate``.

    It is the largest true positive rate of the ROC curve up to that false positive rate; NaN where only one class
    occurs.
    """

    def recall(p: Predictions) -> float:
        ranks, truth = p.ranks()[:, 1], np.asarray(p.targets == 1)
        both = np.bincount(ranks)
        positive = np.bincount(ranks[truth], minlength=len(both))
        positives, negatives = int(positive.sum()), int(both.sum() - positive.sum())
        if not positives or not negatives:
            return float("nan")
        found = np.cumsum(positive[::-1])
        false = np.cumsum((both - positive)[::-1])
        allowed = found[false <= rate * negatives]
        return float(allowed[-1] / positives) if len(allowed) else 0.0

    return recall
