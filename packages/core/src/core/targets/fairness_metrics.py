"""Group fairness metrics: rates of predictions that groups should share, as ratios of sums over rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core.targets.types import Array, Predictions

MOST_CLASSES = 12
"""Classes up to which each is compared on its own; beyond, only what they have in common."""
TPR, FPR = "tpr", "fpr"


@dataclass(frozen=True)
class FairnessMetric:
    """A rate that groups should share. N rows."""

    name: str
    criterion: str
    """The fairness criterion of the literature that asks for it, in words."""
    numerator: Array
    """(N,) summed over rows."""
    denominator: Array
    """(N,) summed over rows: 1 for rows that count, 0 for others; pixels for segmentation."""
    odds: str = ""
    """Its part in equalized odds: ``tpr`` (a true positive rate), ``fpr`` (a false positive rate) or none."""
    better: int = 0
    """1: higher is better, -1: lower is, 0: neither. The first rate that is not 0 decides the worst-off group."""
    per_class: bool = False
    """Of one class among several: not compared for pairs of attributes, whose subgroups would have a few rows each."""

    @cached_property
    def counts_rows(self) -> bool:
        """Return whether it is a share of rows, each of which counts whole or not at all."""
        return all(bool(((x == 0) | (x == 1)).all()) for x in (self.denominator, self.numerator))

    @cached_property
    def positive(self) -> bool:
        """Return whether nothing is subtracted, so that a ratio of two rates means something."""
        return bool((self.numerator >= 0).all())


def accuracy_metric(correct: Array) -> FairnessMetric:
    """Return the rate of correct predictions."""
    return FairnessMetric("accuracy", "equal accuracy", correct, np.ones(len(correct)), better=1)


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
