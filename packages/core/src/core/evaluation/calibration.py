"""Are probabilities what they say? Slope and intercept, reliability, and recalibration fitted on validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from core.config import config_error, derive_seed
from core.targets.bootstrap_metrics import log_losses, truths
from core.evaluation.types import Array, Json, Statistic, Weighted
from core.targets.slot_metrics import intents
from core.targets.types import Predictions

EDGE = 1e-7
"""Probabilities are kept this far from 0 and 1: what float32 outputs can tell apart."""
NEAR = 0.1
"""Distance (in standard deviations of the odds) up to which the expansion of ``_nearby`` is used."""
FEWEST = 5
"""Yes and no answers that a label needs on validation to be rescaled."""


def logit(chance: Array) -> Array:
    """Log odds."""
    inside = np.clip(chance, EDGE, 1 - EDGE)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def recalibration(odds: Array, truth: Array, weights_RN: Array) -> Array:
    """Fit truth = sigmoid(intercept + slope * odds) for each weighting; (R, 2) intercept and slope.

    Cox 1958; slope 1 and intercept 0 are perfect. ``truth`` (N,) may hold soft labels in 0..1. NaN where a
    fit has no finite solution (one answer only, or answers that the odds separate).
    """
    # Centred and scaled odds keep the 2 x 2 systems well conditioned whatever the model's confidence.
    centre, scale = float(odds.mean()), float(odds.std()) or 1.0
    x = (odds - centre) / scale
    base = _newton(x, truth, np.ones((1, len(x))), np.zeros((1, 2)))
    if len(weights_RN) > 1 and np.isfinite(base).all():
        beta = _nearby(x, truth, weights_RN, base[0])
        far = ~(np.abs(beta - base).max(axis=1) < NEAR)
        beta[far] = _newton(x, truth, weights_RN[far], np.repeat(base, int(far.sum()), axis=0))
    else:
        beta = _newton(x, truth, weights_RN, np.zeros((len(weights_RN), 2)))
    slope = beta[:, 1] / scale
    return np.column_stack([beta[:, 0] - slope * centre, slope])


def _newton(x: Array, truth: Array, weights_RN: Array, start_R2: Array) -> Array:
    """Solve the likelihood equations of each weighting by Newton's method."""
    moments = np.column_stack([np.ones_like(x), x, x * x])
    beta = start_R2.copy()
    active = np.arange(len(beta))
    for _ in range(50):
        if not len(active):
            break
        w = weights_RN[active]
        chance = 1 / (1 + np.exp(-np.clip(beta[active, :1] + beta[active, 1:] * x, -40, 40)))
        gradient = (w * (truth - chance)) @ moments[:, :2]
        step = _solved((w * chance * (1 - chance)) @ moments, gradient)
        # A full step from far away can overshoot; near the solution steps are short and this does nothing.
        size = np.abs(step).max(axis=1)
        step *= np.minimum(1.0, 4.0 / np.maximum(size, 4.0))[:, None]
        beta[active] += step
        lost = ~np.isfinite(size) | (np.abs(beta[active]).max(axis=1) > 60)
        beta[active[lost]] = np.nan
        # Newton's error after a step of 1e-4 is of the order of its square.
        active = active[~lost & (size >= 1e-4)]
    beta[active] = np.nan
    return beta


def _nearby(x: Array, truth: Array, weights_RN: Array, base: Array) -> Array:
    """Solve for weightings whose solution is near ``base``, from weighted sums alone.

    The sigmoid is expanded to third order about the base's predictor, so that the likelihood equations
    become polynomials whose coefficients are sums over rows: one matrix product for all weightings instead of
    a sigmoid for each. The error is of the order of the fourth power of the distance.
    """
    s = 1 / (1 + np.exp(-(base[0] + base[1] * x)))
    v = s * (1 - s)
    v1 = v * (1 - 2 * s)
    v2 = v * (1 - 6 * v)
    powers = [np.ones_like(x), x, x**2, x**3, x**4]
    columns = [*((truth - s) * p for p in powers[:2]), *(v * p for p in powers[:3])]
    columns += [*(v1 * p for p in powers[:4]), *(v2 * p for p in powers)]
    sums = (weights_RN @ np.column_stack(columns)).T
    r, a, b, c = sums[:2], sums[2:5], sums[5:9], sums[9:14]
    d0, d1 = np.zeros(len(weights_RN)), np.zeros(len(weights_RN))
    for _ in range(6):
        square, cube = (d0 * d0, 2 * d0 * d1, d1 * d1), (d0**3, 3 * d0 * d0 * d1, 3 * d0 * d1 * d1, d1**3)
        gradient = [
            r[k]
            - (a[k] * d0 + a[k + 1] * d1)
            - sum(b[k + i] * term for i, term in enumerate(square)) / 2
            - sum(c[k + i] * term for i, term in enumerate(cube)) / 6
            for k in (0, 1)
        ]
        slopes = [a[k] + b[k] * d0 + b[k + 1] * d1 for k in (0, 1, 2)]
        step = _solved(np.column_stack(slopes), np.column_stack(gradient))
        d0, d1 = d0 + step[:, 0], d1 + step[:, 1]
    return np.column_stack([base[0] + d0, base[1] + d1])


def _solved(h: Array, g: Array) -> Array:
    """Solve [[h0, h1], [h1, h2]] step = g for each row; not finite where the system is singular."""
    with np.errstate(divide="ignore", invalid="ignore"):
        above = np.column_stack(
            [h[:, 2] * g[:, 0] - h[:, 1] * g[:, 1], h[:, 0] * g[:, 1] - h[:, 1] * g[:, 0]]
        )
        step: Array = above / (h[:, 0] * h[:, 2] - h[:, 1] ** 2)[:, None]
    return step


def slope_and_intercept() -> Statistic:
    """Calibration slope and intercept of a binary probability."""

    def prepare(p: Predictions) -> Weighted:
        odds, truth = logit(p.scores[:, 1]), truths(p)[:, 1].astype(np.float64)
        return lambda weights_RN: recalibration(odds, truth, weights_RN)

    return Statistic(("calibration_intercept", "calibration_slope"), prepare)


@dataclass(frozen=True)
class Scaling:
    """A monotone correction of probabilities, saved with the run so that serving applies the same.

    platt: sigmoid(intercept + slope * logit), one pair for binary, one a label for multilabel.
    temperature: probabilities to the power 1 / temperature, normalised (Guo et al. 2017).
    """

    method: str = "none"
    slopes: tuple[float, ...] = ()
    intercepts: tuple[float, ...] = ()
    temperature: float = 1.0
    reason: str = field(default="", compare=False)
    columns: int | None = None
    """How many columns are probabilities, where others stand behind them (tokens); None: all."""

    def apply(self, scores: Array, kind: str) -> Array:
        """Correct scores (N, K)."""
        if self.method == "none":
            return scores
        if self.columns is not None and self.columns < scores.shape[1]:
            return np.column_stack([self.apply(scores[:, : self.columns], kind), scores[:, self.columns :]])
        if self.method == "platt":
            odds = logit(scores[:, 1:] if kind == "binary" else scores)
            chance = 1 / (1 + np.exp(-(np.asarray(self.intercepts) + np.asarray(self.slopes) * odds)))
            return np.column_stack([1 - chance, chance]) if kind == "binary" else np.asarray(chance)
        if kind == "multilabel":
            return np.asarray(1 / (1 + np.exp(-logit(scores) / self.temperature)))
        powers = np.log(np.clip(scores, EDGE, 1.0)) / self.temperature
        powers -= powers.max(axis=1, keepdims=True)
        raised = np.exp(powers)
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))

    def state(self) -> dict[str, Json]:
        """Give the correction as JSON."""
        return {
            "method": self.method,
            "slopes": list(self.slopes),
            "intercepts": list(self.intercepts),
            "temperature": self.temperature,
            "reason": self.reason,
            "columns": self.columns,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Json]) -> Scaling:
        """Make it again from ``state()``."""
        return cls(
            state["method"],
            tuple(state["slopes"]),
            tuple(state["intercepts"]),
            state["temperature"],
            state["reason"],
            state.get("columns"),
        )


def choose_scaling(validation: Predictions, wanted: str, seed: int) -> Scaling:
    """Fit the correction a configuration asks for on the validation part.

    ``auto`` keeps it only where it lowers the log loss of validation rows it was not fitted on (five folds,
    by unit) by more than one standard error. Values have no probabilities: none.
    """
    if validation.kind == "tokens":
        return replace(choose_scaling(intents(validation), wanted, seed), columns=len(validation.classes))
    if wanted == "none":
        return Scaling(reason="not asked for")
    if validation.kind in ("regression", "mask"):
        values = validation.kind == "regression"
        return Scaling(reason="values have no probabilities" if values else "pixels keep the network's own")
    method = wanted
    if wanted == "auto":
        method = "platt" if validation.kind in ("binary", "multilabel") else "temperature"
    if method == "platt" and validation.kind not in ("binary", "multilabel"):
        raise config_error(
            "evaluation.scaling", wanted, f"a {validation.kind} target takes temperature, auto or none"
        )
    full = _fit(validation, method)
    if wanted != "auto" or full.method == "none":
        return full
    fold = _folds(validation, 5, seed)
    gain = np.zeros(len(validation))
    for k in range(5):
        held = np.flatnonzero(fold == k)
        if not len(held):
            continue
        out = validation.take(held)
        fitted = _fit(validation.take(np.flatnonzero(fold != k)), method)
        after = log_losses(_scaled(out, fitted))
        gain[held] = log_losses(_scaled(out, Scaling("none"))) - after
    mean, error = float(gain.mean()), float(gain.std() / np.sqrt(len(gain)))
    figures = f"cross-fitted log loss on validation falls by {mean:.4f} (standard error {error:.4f})"
    if mean > error:
        return Scaling(full.method, full.slopes, full.intercepts, full.temperature, figures)
    return Scaling(reason=f"left as they are: {figures}, not clearly more than nothing")


def _scaled(p: Predictions, scaling: Scaling) -> Predictions:
    scores = scaling.apply(p.scores, p.kind)
    return Predictions(scores, p.labels, p.targets, p.classes, p.kind, p.groups, p.units, p.index)


def _folds(p: Predictions, folds: int, seed: int) -> NDArray[np.int64]:
    code = np.arange(len(p)) if p.units is None else np.unique(p.units, return_inverse=True)[1]
    of_unit = (
        np.random.default_rng(derive_seed(seed, "scaling folds")).permutation(int(code.max()) + 1) % folds
    )
    return np.asarray(of_unit[code], np.int64)


def _fit(p: Predictions, method: str) -> Scaling:
    return _fit_platt(p) if method == "platt" else _fit_temperature(p)


def _fit_platt(p: Predictions) -> Scaling:
    columns = [1] if p.kind == "binary" else list(range(p.scores.shape[1]))
    truth = truths(p)
    slopes, intercepts, kept = [], [], []
    for k in columns:
        yes, no = int(truth[:, k].sum()), int((~truth[:, k]).sum())
        fitted = np.array([np.nan, np.nan])
        if min(yes, no) >= FEWEST:
            # Platt 1999, equation 2.3: soft labels, so that separable answers keep a finite solution
            soft = np.where(truth[:, k], (yes + 1) / (yes + 2), 1 / (no + 2))
            fitted = recalibration(logit(p.scores[:, k]), soft, np.ones((1, len(p))))[0]
        if not np.isfinite(fitted).all() or fitted[1] <= 0:  # a falling line would turn the ranking round
            kept.append(p.classes[k])
            fitted = np.array([0.0, 1.0])
        intercepts.append(float(fitted[0]))
        slopes.append(float(fitted[1]))
    if len(kept) == len(columns):
        return Scaling(reason="left as they are: too few answers on validation, or no rising fit")
    reason = f"left as they are for want of answers: {', '.join(kept)}" if kept else "asked for"
    return Scaling("platt", tuple(slopes), tuple(intercepts), 1.0, reason)


def _fit_temperature(p: Predictions) -> Scaling:
    def loss(log_t: float) -> float:
        return float(log_losses(_scaled(p, Scaling("temperature", temperature=float(np.exp(log_t))))).mean())

    # Golden-section search: the loss has one minimum in 1/T (it is convex there), so in log T too.
    low, high, golden = -3.0, 3.0, (np.sqrt(5) - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    f_left, f_right = loss(left), loss(right)
    while high - low > 1e-4:
        if f_left < f_right:
            high, right, f_right = right, left, f_left
            left = high - golden * (high - low)
            f_left = loss(left)
        else:
            low, left, f_left = left, right, f_right
            right = low + golden * (high - low)
            f_right = loss(right)
    return Scaling("temperature", temperature=float(np.exp((low + high) / 2)), reason="asked for")


def reliability(chance: Array, truth: NDArray[np.bool_], bins: int) -> list[dict[str, Json]]:
    """Mean forecast and observed share in bins of equal size, with 95 % Wilson intervals."""
    order = np.argsort(chance, kind="stable")
    points = []
    for rows in np.array_split(order, min(bins, max(1, len(order) // 10))):
        n = len(rows)
        if not n:
            continue
        share = float(truth[rows].mean())
        z2 = 1.959964**2
        middle = (share + z2 / (2 * n)) / (1 + z2 / n)
        half = np.sqrt(z2) / (1 + z2 / n) * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
        points.append(
            {
                "forecast": float(chance[rows].mean()),
                "observed": share,
                "low": float(max(0.0, middle - half)),
                "high": float(min(1.0, middle + half)),
                "rows": n,
            }
        )
    return points
