"""Group fairness metrics of predictions whose rows have one class each."""

from __future__ import annotations

import numpy as np

from core.targets.fairness_metrics import FPR, TPR, FairnessMetric
from core.targets.types import Array, Predictions

MOST_CLASSES = 12
"""Classes up to which each is compared on its own; beyond, only what they have in common."""


def calibration_metric(p: Predictions, correct: Array) -> FairnessMetric:
    """Return how far the likeliest class's probability exceeds the share of correct predictions."""
    above = p.scores.max(axis=1) - correct
    return FairnessMetric("calibration gap", "calibration by group", above, np.ones(len(correct)))


def class_metrics(p: Predictions) -> list[FairnessMetric]:
    """Return recall, false positive rate and selection rate of each class; none of more than ``MOST_CLASSES``."""
    rates: list[FairnessMetric] = []
    if len(p.classes) > MOST_CLASSES:
        return rates
    ones = np.ones(len(p))
    for k, name in enumerate(p.classes):
        truth, predicted = ((x == k).astype(np.float64) for x in (p.targets, p.labels))
        found, wrong = predicted * truth, predicted * (1 - truth)
        rates += [
            FairnessMetric(
                f"recall of {name}", f"equal opportunity of {name}", found, truth, TPR, per_class=True
            ),
            FairnessMetric(
                f"false positive rate of {name}",
                f"predictive equality of {name}",
                wrong,
                1 - truth,
                FPR,
                per_class=True,
            ),
            FairnessMetric(
                f"selection rate of {name}", f"demographic parity of {name}", predicted, ones, per_class=True
            ),
        ]
    return rates
