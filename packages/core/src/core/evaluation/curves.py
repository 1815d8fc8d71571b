"""Points of the curves that the page draws: ROC, PR, reliability, decision curve, confusion, residuals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.evaluation.calibration import reliability_bins
from core.evaluation.config import StandardEvaluation
from core.evaluation.intervals import resampled_weights
from core.evaluation.section import (
    ConfusionSection,
    CurvesSection,
    DecisionCurveSection,
    PrCurveSection,
    ResidualsSection,
    RocCurveSection,
)
from core.targets.roc import roc_curve
from core.targets.types import Array, Flags, Predictions

MAX_POINTS = 200
"""Points kept of a curve: more can't be seen."""
MAX_RESIDUALS = 1000
"""Rows of a residual plot, evenly through the test set."""


def curves(test: Predictions, config: StandardEvaluation) -> CurvesSection:
    """Compute whichever curves the kind of target has."""
    p = test.type.probabilistic(test)
    kind = p.type
    confusion, forecasts = kind.confusion(p), kind.forecasts(p)
    ranked = kind.one_vs_rest(p)
    return CurvesSection(
        confusion=None if confusion is None else ConfusionSection(**confusion),
        roc={name: _roc(*each) for name, each in ranked.items()},
        pr={name: _pr(*each) for name, each in ranked.items()},
        reliability=None
        if forecasts is None
        else reliability_bins(forecasts[0].ravel(), forecasts[1].ravel(), config.bins),
        residuals=_residuals(p),
    )


def decision_curve(
    test: Predictions, config: StandardEvaluation, prevalence: float, seed: int
) -> DecisionCurveSection | None:
    """Compute the net benefit of deciding by the model, for everyone and for no one (Vickers and Elkin 2006).

    Of kinds with one positive class, over threshold probabilities p: (TP - FP * p / (1 - p)) / N, with intervals.
    """
    outcome = test.type.outcome(test)
    if outcome is None or not len(test):
        return None
    chosen = np.asarray(config.decision_thresholds, np.float64)
    if not len(chosen):
        chosen = np.linspace(0.01, min(0.99, max(0.2, 4 * prevalence)), 50)
    odds = chosen / (1 - chosen)
    scores, truth = outcome[0][:, None], outcome[1][:, None]
    positive = scores >= chosen
    benefit_NT = (truth & positive) - (~truth & positive) * odds
    samples = np.concatenate(
        [w @ benefit_NT / len(test) for w in _normalized(test, config.resamples, seed)], axis=0
    )
    tail = 100 * (1 - config.confidence) / 2
    low, high = np.percentile(samples, [tail, 100 - tail], axis=0)
    everyone = truth.mean() - (1 - truth.mean()) * odds
    return DecisionCurveSection(
        thresholds=chosen.tolist(),
        model=benefit_NT.mean(axis=0).tolist(),
        low=low.tolist(),
        high=high.tolist(),
        all=everyone.tolist(),
        none=[0.0] * len(chosen),
    )


def _normalized(p: Predictions, resamples: int, seed: int) -> list[Array]:
    """Return bootstrap counts scaled to N rows a resample: units differ in size."""
    return [
        w * (len(p) / w.sum(axis=1, keepdims=True))
        for w in resampled_weights(len(p), p.units, resamples, seed)
    ]


def _thinned(n: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, n - 1, min(n, MAX_POINTS)).round().astype(np.int64))


def _roc(scores: Array, truth: Flags) -> RocCurveSection | None:
    _, tpr, fpr = roc_curve(scores, truth)
    if not len(tpr) or not np.isfinite(tpr[-1] + fpr[-1]):
        return None
    keep = _thinned(len(tpr))
    return RocCurveSection(fpr=[0.0, *fpr[keep].tolist()], tpr=[0.0, *tpr[keep].tolist()])


def _pr(scores: Array, truth: Flags) -> PrCurveSection | None:
    _, tpr, fpr = roc_curve(scores, truth)
    if not len(tpr) or not np.isfinite(tpr[-1] + fpr[-1]):
        return None
    share = float(truth.mean())
    precision = share * tpr / (share * tpr + (1 - share) * fpr)
    keep = _thinned(len(tpr))
    return PrCurveSection(recall=tpr[keep].tolist(), precision=precision[keep].tolist(), prevalence=share)


def _residuals(p: Predictions) -> ResidualsSection | None:
    values = p.type.residuals(p)
    if values is None:
        return None
    predicted, truth = values
    rows = np.unique(np.linspace(0, len(p) - 1, min(len(p), MAX_RESIDUALS)).round().astype(np.int64))
    return ResidualsSection(predicted=predicted[rows].tolist(), truth=truth[rows].tolist(), rows=len(p))
