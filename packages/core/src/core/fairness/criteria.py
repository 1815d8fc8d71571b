"""What fairness may mean for each kind of target, as ratios of sums over rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from core.targets.slot_metrics import all_right, intents, slot_counts
from core.targets.types import Array, Predictions

MOST_CLASSES = 12
"""Classes up to which each is compared on its own; beyond, only what they have in common."""
FOUND, FALSE = "found", "false"


@dataclass(frozen=True)
class FairnessMetric:
    """A rate that groups should share. N rows."""

    name: str
    asks: str
    """The notion of the literature that asks for it, in words."""
    above: Array
    """(N,) what is added up."""
    below: Array
    """(N,) what it is divided by: 1 for rows that count, 0 for others; pixels for masks."""
    odds: str = ""
    """Its part in equalised odds: ``found`` (a true positive rate), ``false`` (a false positive rate) or none."""
    better: int = 0
    """1: higher is better, -1: lower is, 0: neither. The first notion that is not 0 tells the worst group."""
    single: bool = False
    """Of one class among several: not asked of pairs of attributes, whose cells would have a few rows each."""

    @cached_property
    def counts_rows(self) -> bool:
        """Tell whether it is a share of rows, each of which counts whole or not at all."""
        return all(bool(((x == 0) | (x == 1)).all()) for x in (self.below, self.above))

    @cached_property
    def positive(self) -> bool:
        """Tell whether nothing is subtracted, so that a ratio of two rates means something."""
        return bool((self.above >= 0).all())


def fairness_metrics(p: Predictions) -> list[FairnessMetric]:
    """Give the rates of a kind of target, those that name the best-known notions first.

    Equalised odds (Hardt, Price and Srebro 2016) is the true and the false positive rate together: see
    ``Notion.odds``. With more than ``MOST_CLASSES`` classes, single ones are not compared.
    """
    given = {
        "binary": _binary,
        "multiclass": _multiclass,
        "ordinal": _ordinal,
        "multilabel": _multilabel,
        "regression": _regression,
        "tokens": _tokens,
        "mask": _mask,
    }
    return given[p.kind](p)


def _binary(p: Predictions) -> list[FairnessMetric]:
    ones = np.ones(len(p))
    truth, called, chance = (np.asarray(x, np.float64) for x in (p.targets, p.labels, p.scores[:, 1]))
    return [
        FairnessMetric("true positive rate", "equal opportunity", called * truth, truth, FOUND),
        FairnessMetric("false positive rate", "predictive equality", called * (1 - truth), 1 - truth, FALSE),
        FairnessMetric("selection rate", "demographic parity", called, ones),
        _accuracy((called == truth).astype(np.float64)),
        FairnessMetric("forecast less outcome", "calibration by group", chance - truth, ones),
    ]


def _multiclass(p: Predictions) -> list[FairnessMetric]:
    right = (p.labels == p.targets).astype(np.float64)
    return [_accuracy(right), _confidence(p, right), *_each_class(p)]


def _ordinal(p: Predictions) -> list[FairnessMetric]:
    ones = np.ones(len(p))
    given, truth = np.asarray(p.labels, np.float64), np.asarray(p.targets, np.float64)
    right = (given == truth).astype(np.float64)
    return [
        FairnessMetric("mean error in steps", "no group is marked up or down", given - truth, ones),
        FairnessMetric("mean step given", "demographic parity", given, ones),
        _accuracy(right),
        _confidence(p, right),
        *_each_class(p),
    ]


def _multilabel(p: Predictions) -> list[FairnessMetric]:
    ones = np.ones(len(p))
    truth, called = (np.asarray(x, np.float64) for x in (p.targets, p.labels))
    found, wrong = (called * truth).sum(1), (called * (1 - truth)).sum(1)
    return [
        FairnessMetric("labels found", "equal opportunity over all labels", found, truth.sum(1), FOUND),
        FairnessMetric("labels wrongly given", "predictive equality over all labels", wrong, (1 - truth).sum(1), FALSE),
        FairnessMetric("labels given", "demographic parity over all labels", called.sum(1), ones),
        FairnessMetric("all labels right", "equal accuracy", (called == truth).all(1).astype(np.float64), ones, better=1),
        FairnessMetric("forecast less outcome", "calibration by group", (p.scores - truth).mean(1), ones),
    ]  # fmt: skip


def _regression(p: Predictions) -> list[FairnessMetric]:
    ones = np.ones(len(p))
    value, error = np.asarray(p.labels, np.float64), np.asarray(p.labels - p.targets, np.float64)
    return [
        FairnessMetric("mean error", "calibration by group: none is over- or underestimated", error, ones),
        FairnessMetric("mean absolute error", "equal accuracy", np.abs(error), ones, better=-1),
        FairnessMetric("mean prediction", "demographic parity", value, ones),
    ]


def _tokens(p: Predictions) -> list[FairnessMetric]:
    ones = np.ones(len(p))
    right = (p.labels[:, 0] == p.targets[:, 0]).astype(np.float64)
    found, given, true = slot_counts(p).T
    return [
        FairnessMetric("intent accuracy", "equal accuracy", right, ones, better=1),
        FairnessMetric("exact match", "equal accuracy of the whole answer", all_right(p), ones),
        FairnessMetric("slots found", "equal opportunity over all slots", found, true, FOUND),
        FairnessMetric("given slots that are wrong", "predictive parity over all slots", given - found, given),
        _confidence(intents(p), right),
    ]


def _mask(p: Predictions) -> list[FairnessMetric]:
    """Pixels count, so that a class that fills a picture weighs more there than one that hardly shows."""
    counts_NKK = p.counts().astype(np.float64)
    hit_NK = np.diagonal(counts_NKK, axis1=1, axis2=2)
    true_NK, total_N = counts_NKK.sum(2), counts_NKK.sum((1, 2))
    false_NK = counts_NKK.sum(1) - hit_NK
    made = [FairnessMetric("pixel accuracy", "equal accuracy", hit_NK.sum(1), total_N, better=1)]
    if len(p.classes) <= MOST_CLASSES:
        for k, name in enumerate(p.classes):
            asked = f"equal opportunity of {name}", f"predictive equality of {name}"
            rest = total_N - true_NK[:, k]
            made += [
                FairnessMetric(f"recall of {name}", asked[0], hit_NK[:, k], true_NK[:, k], FOUND, single=True),
                FairnessMetric(f"false calls of {name}", asked[1], false_NK[:, k], rest, FALSE, single=True),
            ]
    return made


def _each_class(p: Predictions) -> list[FairnessMetric]:
    made: list[FairnessMetric] = []
    if len(p.classes) > MOST_CLASSES:
        return made
    ones = np.ones(len(p))
    for k, name in enumerate(p.classes):
        truth, called = ((x == k).astype(np.float64) for x in (p.targets, p.labels))
        found, wrong = called * truth, called * (1 - truth)
        made += [
            FairnessMetric(f"recall of {name}", f"equal opportunity of {name}", found, truth, FOUND, single=True),
            FairnessMetric(
                f"false calls of {name}", f"predictive equality of {name}", wrong, 1 - truth, FALSE, single=True
            ),
            FairnessMetric(f"share called {name}", f"demographic parity of {name}", called, ones, single=True),
        ]  # fmt: skip
    return made


def _accuracy(right: Array) -> FairnessMetric:
    return FairnessMetric("accuracy", "equal accuracy", right, np.ones(len(right)), better=1)


def _confidence(p: Predictions, right: Array) -> FairnessMetric:
    above = p.scores.max(axis=1) - right
    return FairnessMetric("forecast less outcome", "calibration by group", above, np.ones(len(right)))
