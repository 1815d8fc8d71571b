"""Recalibration of probabilities: logistic (Platt) and temperature scaling, fitted on validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from core.data.types import Json
    from core.targets.arrays import Array, OneVsRest

EDGE = 1e-7
"""Probabilities are kept this far from 0 and 1: what float32 outputs can tell apart."""
NEAR = 0.1
"""Distance (in standard deviations of the odds) up to which the expansion of ``_nearby`` is used."""
FEWEST = 5
"""Positive and negative rows that a label needs on validation to be recalibrated."""


@dataclass(frozen=True)
class Recalibration:
    """A monotone correction of probabilities, saved with the run so that serving applies the same.

    platt: sigmoid(intercept + slope * logit), one pair for binary, one a label for multilabel.
    temperature: probabilities to the power 1 / temperature, normalized (Guo et al. 2017).
    """

    method: str = "none"
    slopes: tuple[float, ...] = ()
    intercepts: tuple[float, ...] = ()
    temperature: float = 1.0
    reason: str = field(default="not_requested", compare=False)
    """not_requested, requested, improves, no_clear_gain, too_few_rows, no_probabilities, kept_by_network; a sentence
    in records of version 0.1."""
    gain: float | None = field(default=None, compare=False)
    """Of ``auto``: by how much the cross-fitted log loss on validation falls."""
    standard_error: float | None = field(default=None, compare=False)
    """Of the gain."""
    unfitted: tuple[str, ...] = field(default=(), compare=False)
    """Labels left as they are for want of rows."""
    columns: int | None = None
    """How many columns are probabilities, where others stand behind them (intents and slots); None: all."""

    def state(self) -> dict[str, Json]:
        """Return the correction as JSON."""
        return {
            "method": self.method,
            "slopes": list(self.slopes),
            "intercepts": list(self.intercepts),
            "temperature": self.temperature,
            "reason": self.reason,
            "gain": self.gain,
            "standard_error": self.standard_error,
            "unfitted": list(self.unfitted),
            "columns": self.columns,
        }

    @classmethod
    def restore(cls, state: Mapping[str, Json]) -> Recalibration:
        """Return the correction whose ``state()`` this is."""
        lists = {name: tuple(state.get(name, ())) for name in ("slopes", "intercepts", "unfitted")}
        return cls(**{**{name: state[name] for name in state if name in cls.__dataclass_fields__}, **lists})


def logit(probability: Array) -> Array:
    """Return log odds, of probabilities kept ``EDGE`` from 0 and 1.

    >>> logit(np.array([0.5, 0.9])).round(3)
    array([0.   , 2.197])
    """
    inside = np.clip(probability, EDGE, 1 - EDGE)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def platt(probability: Array, recalibration: Recalibration) -> Array:
    """Return logistically corrected probabilities (N, C), a pair of slope and intercept for each column."""
    odds = logit(probability)
    return np.asarray(
        1 / (1 + np.exp(-(np.asarray(recalibration.intercepts) + np.asarray(recalibration.slopes) * odds)))
    )


def temper(scores: Array, temperature: float) -> Array:
    """Return probabilities (N, K) of exclusive classes to the power 1 / temperature, normalized."""
    powers = np.log(np.clip(scores, EDGE, 1.0)) / temperature
    powers -= powers.max(axis=1, keepdims=True)
    raised = np.exp(powers)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def temper_each(scores: Array, temperature: float) -> Array:
    """Return probabilities (N, K) of independent labels with their log odds divided by the temperature."""
    return np.asarray(1 / (1 + np.exp(-logit(scores) / temperature)))


def fit_platt(decisions: OneVsRest) -> Recalibration:
    """Fit slope and intercept for each yes/no decision; decisions without enough rows keep 1 and 0."""
    slopes, intercepts, kept = [], [], []
    for name, (probability, truth) in decisions.items():
        yes, no = int(truth.sum()), int((~truth).sum())
        fitted = np.array([np.nan, np.nan])
        if min(yes, no) >= FEWEST:
            # Platt 1999, equation 2.3: soft labels, so that separable rows keep a finite solution
            soft = np.where(truth, (yes + 1) / (yes + 2), 1 / (no + 2))
            fitted = logistic_recalibration(logit(probability), soft, np.ones((1, len(truth))))[0]
        if not np.isfinite(fitted).all() or fitted[1] <= 0:  # a falling line would turn the ranking round
            kept.append(name)
            fitted = np.array([0.0, 1.0])
        intercepts.append(float(fitted[0]))
        slopes.append(float(fitted[1]))
    if len(kept) == len(decisions):
        return Recalibration(reason="too_few_rows", unfitted=tuple(kept))
    return Recalibration("platt", tuple(slopes), tuple(intercepts), 1.0, "requested", unfitted=tuple(kept))


def fit_temperature(loss_at: Callable[[float], float]) -> Recalibration:
    """Find the temperature of least mean log loss by golden-section search over its logarithm.

    The loss has one minimum in 1/T (it is convex there), so in log T too.
    """

    def loss(log_t: float) -> float:
        return loss_at(float(np.exp(log_t)))

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
    return Recalibration("temperature", temperature=float(np.exp((low + high) / 2)), reason="requested")


def logistic_recalibration(odds: Array, truth: Array, weights_RN: Array) -> Array:
    """Fit truth = sigmoid(intercept + slope * odds) for each weighting; (R, 2) intercept and slope.

    Cox 1958; slope 1 and intercept 0 are perfect. ``truth`` (N,) may hold soft labels in 0..1. NaN where a
    fit has no finite solution (one class only, or classes that the odds separate).
    """
    # Centered and scaled odds keep the 2 x 2 systems well conditioned whatever the model's confidence.
    center, scale = float(odds.mean()), float(odds.std()) or 1.0
    x = (odds - center) / scale
    base = _newton(x, truth, np.ones((1, len(x))), np.zeros((1, 2)))
    if len(weights_RN) > 1 and np.isfinite(base).all():
        beta = _nearby(x, truth, weights_RN, base[0])
        far = ~(np.abs(beta - base).max(axis=1) < NEAR)
        beta[far] = _newton(x, truth, weights_RN[far], np.repeat(base, int(far.sum()), axis=0))
    else:
        beta = _newton(x, truth, weights_RN, np.zeros((len(weights_RN), 2)))
    slope = beta[:, 1] / scale
    return np.column_stack([beta[:, 0] - slope * center, slope])


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
