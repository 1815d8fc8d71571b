"""What a number of noisy steps costs in epsilon, and how much noise a budget needs.

The mechanism is the Poisson-subsampled Gaussian of Abadi et al. (CCS 2016) under adding or removing one unit.
Numerical accounting is opacus's: Rényi (Mironov et al. 2019) and privacy random variables (Gopi et al. 2021).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from opacus.accountants import PRVAccountant
from opacus.accountants.analysis import rdp as renyi
from scipy.special import log_ndtr

WHOLE_ORDERS = [*range(2, 65), 80, 96, 128, 192, 256, 384, 512, 1024]
"""Cheap to evaluate; enough where the bound only brackets or stands in for another."""
ORDERS = sorted({*WHOLE_ORDERS, *(1 + x / 100 for x in range(1, 10)), *(1 + x / 10 for x in range(1, 100))})
EPS_ERROR = 0.01
GRID_LIMIT = 2**21
"""Largest grid (16 MiB of doubles, a second) on which PRV is computed; absurd budgets would need gigabytes."""


MAX_EXPONENT = 200.0
"""Epsilon above which nothing is said of replacing a unit: the delta it would need is no number."""


@dataclass(frozen=True)
class PrivacySpent:
    """An upper bound on epsilon, and the accountant that proved it."""

    epsilon: float
    accountant: str
    fallback: str | None = None
    """Why another accountant than the requested one gave the bound: grid_too_large; no_noise: no bound."""


@contextmanager
def _quiet() -> Iterator[None]:
    # opacus warns when the best order is at the edge of its list: the bound is sound there, only looser.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order is")
        yield


@cache
def _renyi_epsilon(
    noise_multiplier: float, sampling_rate: float, steps: int, delta: float, whole: bool = False
) -> float:
    orders = WHOLE_ORDERS if whole else ORDERS
    spent = renyi.compute_rdp(q=sampling_rate, noise_multiplier=noise_multiplier, steps=steps, orders=orders)
    with _quiet():
        epsilon, _ = renyi.get_privacy_spent(orders=orders, rdp=spent, delta=delta)
    return float(epsilon)


def _gaussian_epsilon(noise_multiplier: float, steps: int, delta: float) -> float:
    """Return the epsilon of Gaussian mechanisms without sampling, to 1e-9 from above.

    ``steps`` of them are one of mu = sqrt(steps) / noise_multiplier, whose curve is known exactly (Balle and Wang 2018,
    theorem 8; Dong et al. 2022, corollary 2.13).

    >>> round(_gaussian_epsilon(1.0, 1, 1e-5), 2)
    4.38
    """
    mu = math.sqrt(steps) / noise_multiplier

    def exceeds(epsilon: float) -> bool:
        first = math.exp(log_ndtr(mu / 2 - epsilon / mu))
        return bool(first - math.exp(epsilon + log_ndtr(-mu / 2 - epsilon / mu)) > delta)

    low, high = 0.0, 1.0
    while exceeds(high):
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if exceeds(middle) else (low, middle)
    return high


def _grid_size(noise_multiplier: float, sampling_rate: float, steps: int, delta: float) -> float:
    # Gopi et al. (2021), section 5: the domain must hold the composed loss up to delta_error, the mesh is
    # eps_error / sqrt(k log(12 / delta_error) / 2). The Rényi bound stands in for the domain's half width.
    error = delta / 1000
    half = _renyi_epsilon(noise_multiplier, sampling_rate, steps, error / 4, whole=True) + 3
    mesh = EPS_ERROR / math.sqrt(steps * math.log(12 / error) / 2)
    return 2 * half / mesh


@cache
def compute_epsilon(
    noise_multiplier: float, sampling_rate: float, steps: int, delta: float, accountant: str
) -> PrivacySpent:
    """Return an upper bound on the epsilon of ``steps`` steps with noise ``noise_multiplier * l2_clip_norm``.

    ``accountant`` is "prv" (tight) or "rdp". With sampling rate 1 "prv" gives the exact epsilon of Gaussian mechanisms.
    Where PRV would need an absurd grid (huge epsilon) the Rényi bound is returned instead with the reason in
    ``fallback``: it is sound, only looser.

    >>> spent = compute_epsilon(1.1, 0.01, 1000, 1e-5, "rdp")
    >>> round(spent.epsilon, 2), spent.fallback
    (1.71, None)
    """
    if steps == 0:
        return PrivacySpent(0.0, accountant)
    if noise_multiplier == 0:
        return PrivacySpent(math.inf, accountant, "no_noise")
    if accountant == "rdp":
        return PrivacySpent(_renyi_epsilon(noise_multiplier, sampling_rate, steps, delta), "rdp")
    if sampling_rate >= 1:
        return PrivacySpent(_gaussian_epsilon(noise_multiplier, steps, delta), "gaussian")
    if _grid_size(noise_multiplier, sampling_rate, steps, delta) > GRID_LIMIT:
        bound = _renyi_epsilon(noise_multiplier, sampling_rate, steps, delta)
        return PrivacySpent(bound, "rdp", "grid_too_large")
    prv = PRVAccountant()
    prv.history = [(noise_multiplier, sampling_rate, steps)]
    with _quiet():
        return PrivacySpent(float(prv.get_epsilon(delta, eps_error=EPS_ERROR)), "prv")


def replace_one_epsilon(
    noise_multiplier: float, sampling_rate: float, steps: int, delta: float, accountant: str
) -> float:
    """Return an upper bound on epsilon, at the same delta, under replacing one unit's rows by others.

    Replacing is removing and adding: (epsilon, delta') twice is (2 epsilon, (1 + e^epsilon) delta') (Vadhan 2017,
    lemma 2.2), with delta' so small that it comes to ``delta``. Without sampling it is the sensitivity that doubles.

    >>> spent = compute_epsilon(1.1, 0.01, 1000, 1e-5, "rdp").epsilon
    >>> 2 * spent < replace_one_epsilon(1.1, 0.01, 1000, 1e-5, "rdp") < 3 * spent
    True
    """
    if steps == 0 or noise_multiplier == 0:
        return compute_epsilon(noise_multiplier, sampling_rate, steps, delta, accountant).epsilon
    if sampling_rate >= 1 and accountant == "prv":
        return _gaussian_epsilon(noise_multiplier / 2, steps, delta)
    assumed = compute_epsilon(noise_multiplier, sampling_rate, steps, delta, accountant).epsilon
    while assumed < MAX_EXPONENT:
        found = compute_epsilon(
            noise_multiplier, sampling_rate, steps, delta / (1 + math.exp(assumed)), accountant
        ).epsilon
        if found <= assumed:
            return 2 * found
        assumed = 1.02 * found
    return math.inf


@cache
def calibrate_noise(epsilon: float, delta: float, sampling_rate: float, steps: int, accountant: str) -> float:
    """Return the smallest noise multiplier (to 0.2 %) whose ``steps`` steps cost at most ``epsilon``.

    Raises ValueError where even a noise multiplier of 10,000 does not reach the budget.
    """

    def within(noise: float) -> bool:
        return compute_epsilon(noise, sampling_rate, steps, delta, accountant).epsilon <= epsilon

    # Rényi at whole orders brackets first: it is a thousand times cheaper, and an upper end for the others.
    low, high = 0.0, 0.5
    while _renyi_epsilon(high, sampling_rate, steps, delta, whole=True) > epsilon:
        low, high = high, 2 * high
        if high > 10_000:
            raise ValueError(
                f"privacy.epsilon={epsilon:g} with delta={delta:g} can't be reached in {steps} steps at sampling "
                f"rate {sampling_rate:.3g}: ask for a larger epsilon, fewer steps or smaller batches"
            )
    while high - low > 2e-3 * high:
        middle = (low + high) / 2
        if _renyi_epsilon(middle, sampling_rate, steps, delta, whole=True) <= epsilon:
            high = middle
        else:
            low = middle
    low = 0.88 * high
    while within(low):
        low, high = low / 2, low
    while high - low > 2e-3 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if within(middle) else (middle, high)
    return high
