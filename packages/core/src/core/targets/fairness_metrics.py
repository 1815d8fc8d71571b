"""Group fairness metrics: rates of predictions that groups should share, as ratios of sums over rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core.targets.arrays import Array

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
