"""Do probabilities come true? Recalibration chosen on validation, and the reliability diagram."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.config import config_error, derive_seed
from core.evaluation.intervals import binomial_interval
from core.evaluation.section import ReliabilityBin
from core.targets.recalibration import Recalibration, fit_platt, fit_temperature
from core.targets.types import Array, Flags, Predictions

FOLDS = 5


def choose_recalibration(validation: Predictions, wanted: str, seed: int) -> Recalibration:
    """Fit the recalibration that a configuration asks for on the validation set.

    ``auto`` keeps it only where it lowers the log loss of validation rows it was not fitted on (five folds,
    by unit) by more than one standard error. Numbers have no probabilities: none.
    """
    if wanted == "none":
        return Recalibration()
    kind = validation.type
    if not kind.recalibrations:
        return Recalibration(reason="kept_by_network" if kind.dense else "no_probabilities")
    method = kind.recalibrations[0] if wanted == "auto" else wanted
    if method not in kind.recalibrations:
        fitting = ", ".join((*kind.recalibrations, "auto", "none"))
        raise config_error("evaluation.recalibration", wanted, f"a {kind.kind} target takes {fitting}")
    full = _fit(validation, method)
    if wanted != "auto" or full.method == "none":
        return full
    fold = _folds(validation, FOLDS, seed)
    gain = np.zeros(len(validation))
    for k in range(FOLDS):
        inside = np.flatnonzero(fold == k)
        if not len(inside):
            continue
        out = validation.take(inside)
        fitted = _fit(validation.take(np.flatnonzero(fold != k)), method)
        gain[inside] = kind.log_losses(out) - kind.log_losses(recalibrated(out, fitted))
    mean, error = float(gain.mean()), float(gain.std() / np.sqrt(len(gain)))
    if mean > error:
        return replace(full, reason="improves", gain=mean, standard_error=error)
    return Recalibration(reason="no_clear_gain", gain=mean, standard_error=error, columns=full.columns)


def recalibrated(p: Predictions, recalibration: Recalibration) -> Predictions:
    """Return predictions with corrected scores; labels stay as they are."""
    return replace(p, scores=p.type.recalibrate(p.scores, recalibration))


def _folds(p: Predictions, folds: int, seed: int) -> NDArray[np.int64]:
    code = np.arange(len(p)) if p.units is None else np.unique(p.units, return_inverse=True)[1]
    of_unit = (
        np.random.default_rng(derive_seed(seed, "scaling folds")).permutation(int(code.max()) + 1) % folds
    )
    return np.asarray(of_unit[code], np.int64)


def _fit(p: Predictions, method: str) -> Recalibration:
    probabilities = p.type.probabilistic(p)
    columns = probabilities.scores.shape[1] if probabilities is not p else None
    if method == "platt":
        return replace(fit_platt(p.type.binary_decisions(p)), columns=columns)

    def loss_at(temperature: float) -> float:
        tried = Recalibration("temperature", temperature=temperature)
        kind = probabilities.type
        scores = kind.recalibrate(probabilities.scores, tried)
        return float(kind.log_losses(replace(probabilities, scores=scores)).mean())

    return replace(fit_temperature(loss_at), columns=columns)


def reliability_bins(probability: Array, true: Flags, bins: int) -> list[ReliabilityBin]:
    """Return mean probability and observed share in bins of equal size, with 95 % Wilson intervals.

    >>> import numpy as np
    >>> probability = np.repeat([0.2, 0.8], 50)
    >>> [b.observed for b in reliability_bins(probability, np.arange(100) >= 40, 2)]
    [0.2, 1.0]
    """
    order = np.argsort(probability, kind="stable")
    points = []
    for rows in np.array_split(order, min(bins, max(1, len(order) // 10))):
        if not len(rows):
            continue
        low, high = binomial_interval(int(true[rows].sum()), len(rows), 0.95, "wilson")
        points.append(
            ReliabilityBin(
                predicted=float(probability[rows].mean()),
                observed=float(true[rows].mean()),
                low=low,
                high=high,
                rows=len(rows),
            )
        )
    return points
