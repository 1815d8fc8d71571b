"""What fairness may mean for each kind of target, as ratios of sums over rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.targets.slots import all_right
from core.targets.types import Array, Predictions


@dataclass(frozen=True)
class Notion:
    """A rate that groups should share. N rows."""

    name: str
    asks: str
    """The notion of the literature that asks for it, in words."""
    above: Array
    """(N,) what is added up."""
    below: Array
    """(N,) what it is divided by: 1 for rows that count, 0 for others; pixels for masks."""


def notions(p: Predictions) -> list[Notion]:
    """Give the rates of a kind of target, those that name the best-known notions first.

    Equalised odds (Hardt, Price and Srebro 2016) is the true and the false positive rate together.
    """
    ones = np.ones(len(p))
    if p.kind == "binary":
        truth, called, chance = (np.asarray(x, np.float64) for x in (p.targets, p.labels, p.scores[:, 1]))
        return [
            Notion("true positive rate", "equal opportunity", called * truth, truth),
            Notion("false positive rate", "predictive equality", called * (1 - truth), 1 - truth),
            Notion("selection rate", "demographic parity", called, ones),
            Notion("accuracy", "equal accuracy", (called == truth).astype(np.float64), ones),
            Notion("forecast less outcome", "calibration by group", chance - truth, ones),
        ]
    if p.kind == "multilabel":
        truth, called = (np.asarray(x, np.float64) for x in (p.targets, p.labels))
        return [
            Notion("labels found", "equal opportunity over all labels", (called * truth).sum(1), truth.sum(1)),
            Notion(
                "labels wrongly given", "predictive equality over all labels",
                (called * (1 - truth)).sum(1), (1 - truth).sum(1),
            ),
            Notion("all labels right", "equal accuracy", (called == truth).all(1).astype(np.float64), ones),
        ]  # fmt: skip
    if p.kind == "regression":
        error = np.asarray(p.labels - p.targets, np.float64)
        return [
            Notion("mean error", "no group is over- or underestimated", error, ones),
            Notion("mean absolute error", "equal accuracy", np.abs(error), ones),
        ]
    if p.kind == "tokens":
        right = (p.labels[:, 0] == p.targets[:, 0]).astype(np.float64)
        return [
            Notion("intent accuracy", "equal accuracy", right, ones),
            Notion("exact match", "equal accuracy of the whole answer", all_right(p), ones),
        ]
    if p.kind == "mask":
        counts_NKK = p.counts().astype(np.float64)
        right = np.trace(counts_NKK, axis1=1, axis2=2)
        return [Notion("pixel accuracy", "equal accuracy", right, counts_NKK.sum((1, 2)))]
    hit = (p.labels == p.targets).astype(np.float64)
    found = [Notion("accuracy", "equal accuracy", hit, ones)]
    if p.kind == "ordinal":
        step = np.asarray(p.labels, np.float64) - np.asarray(p.targets, np.float64)
        found.insert(0, Notion("mean error in steps", "no group is marked up or down", step, ones))
    top = p.scores.max(axis=1)
    return [*found, Notion("forecast less outcome", "calibration by group", top - hit, ones)]
