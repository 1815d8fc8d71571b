"""Points of the curves that the page draws: ROC, PR, reliability, decision curve, confusion, residuals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.evaluation.calibration import reliability
from core.evaluation.config import StandardEvaluation
from core.targets.bootstrap_metrics import truths
from core.evaluation.intervals import resampled_weights
from core.targets.roc import rates
from core.evaluation.thresholds import confusion
from core.evaluation.types import Array, Json
from core.targets.slot_metrics import intents
from core.targets.types import Predictions

KEPT = 200
"""Points kept of a curve: more can't be seen."""
SHOWN = 1000
"""Rows of a residual plot, evenly through the test part."""


def curves(test: Predictions, config: StandardEvaluation) -> dict[str, Json]:
    """Give whichever curves the kind of target has."""
    if test.kind == "regression":
        return {"residuals": _residuals(test)}
    if test.kind == "mask":
        return {"confusion": {"labels": list(test.classes), "counts": test.counts().sum(axis=0).tolist()}}
    if test.kind == "tokens":
        return curves(intents(test), config)
    drawn: dict[str, Json] = {"confusion": confusion(test)}
    truth = truths(test)
    columns = {test.classes[1]: 1} if test.kind == "binary" else {c: k for k, c in enumerate(test.classes)}
    drawn["roc"] = {c: _roc(test.scores[:, k], truth[:, k]) for c, k in columns.items()}
    drawn["pr"] = {c: _pr(test.scores[:, k], truth[:, k]) for c, k in columns.items()}
    if test.kind == "multilabel":
        chance, hit = test.scores.ravel(), truth.ravel()
    elif test.kind == "binary":
        chance, hit = test.scores[:, 1], truth[:, 1]
    else:
        chance, hit = test.scores.max(axis=1), test.scores.argmax(axis=1) == np.asarray(test.targets)
    drawn["reliability"] = reliability(chance, np.asarray(hit, bool), config.bins)
    return drawn


def decision_curve(
    test: Predictions, config: StandardEvaluation, prevalence: float, seed: int
) -> dict[str, Json] | None:
    """Net benefit of deciding by the model, for everyone and for no one (Vickers and Elkin 2006).

    Of a binary target, over threshold probabilities p: (TP - FP * p / (1 - p)) / N, with intervals.
    """
    if test.kind != "binary" or not len(test):
        return None
    chosen = np.asarray(config.decision_thresholds, np.float64)
    if not len(chosen):
        chosen = np.linspace(0.01, min(0.99, max(0.2, 4 * prevalence)), 50)
    odds = chosen / (1 - chosen)
    truth, call = truths(test)[:, 1:], test.scores[:, 1:] >= chosen
    worth_NT = (truth & call) - (~truth & call) * odds
    samples = np.concatenate(
        [w @ worth_NT / len(test) for w in _normalised(test, config.resamples, seed)], axis=0
    )
    tail = 100 * (1 - config.confidence) / 2
    low, high = np.percentile(samples, [tail, 100 - tail], axis=0)
    everyone = truth.mean() - (1 - truth.mean()) * odds
    return {
        "thresholds": chosen.tolist(),
        "model": worth_NT.mean(axis=0).tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
        "all": everyone.tolist(),
        "none": [0.0] * len(chosen),
    }


def _normalised(p: Predictions, resamples: int, seed: int) -> list[Array]:
    """Bootstrap counts scaled to N rows a resample: units differ in size."""
    return [
        w * (len(p) / w.sum(axis=1, keepdims=True))
        for w in resampled_weights(len(p), p.units, resamples, seed)
    ]


def _thinned(n: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, n - 1, min(n, KEPT)).round().astype(np.int64))


def _roc(scores: Array, truth: NDArray[np.bool_]) -> dict[str, Json] | None:
    _, sensitivity, false = rates(scores, truth)
    if not len(sensitivity) or not np.isfinite(sensitivity[-1] + false[-1]):
        return None
    keep = _thinned(len(sensitivity))
    return {"fpr": [0.0, *false[keep].tolist()], "tpr": [0.0, *sensitivity[keep].tolist()]}


def _pr(scores: Array, truth: NDArray[np.bool_]) -> dict[str, Json] | None:
    _, sensitivity, false = rates(scores, truth)
    if not len(sensitivity) or not np.isfinite(sensitivity[-1] + false[-1]):
        return None
    share = float(truth.mean())
    precision = share * sensitivity / (share * sensitivity + (1 - share) * false)
    keep = _thinned(len(sensitivity))
    return {"recall": sensitivity[keep].tolist(), "precision": precision[keep].tolist(), "share": share}


def _residuals(p: Predictions) -> dict[str, Json]:
    rows = np.unique(np.linspace(0, len(p) - 1, min(len(p), SHOWN)).round().astype(np.int64))
    return {
        "predicted": p.scores[rows, 0].tolist(),
        "truth": np.asarray(p.targets, np.float64)[rows].tolist(),
        "rows": len(p),
    }
