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

WHOLE_ORDERS = [*range(2, 65), 80, 96, 128, 192, 256, 384, 512, 1024]
"""Cheap to evaluate; enough where the bound only brackets or stands in for another."""
ORDERS = sorted({*WHOLE_ORDERS, *(1 + x / 100 for x in range(1, 10)), *(1 + x / 10 for x in range(1, 100))})
EPS_ERROR = 0.01
GRID_LIMIT = 2**21
"""Largest grid (16 MiB of doubles, a second) on which PRV is computed; absurd budgets would need gigabytes."""


@dataclass(frozen=True)
class PrivacySpent:
    """An upper bound on epsilon, and the accountant that proved it."""

    epsilon: float
    accountant: str
    fallback: str | None = None
    """Why another accountant than the requested one gave the bound: full_batch, grid_too_large; no_noise: no bound."""


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

    ``accountant`` is "prv" (tight) or "rdp". Where PRV would need an absurd grid (huge epsilon, sampling rate 1) the
    Rényi bound is returned instead with the reason in ``fallback``: it is sound, only looser.

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
    if sampling_rate >= 1 or _grid_size(noise_multiplier, sampling_rate, steps, delta) > GRID_LIMIT:
        bound = _renyi_epsilon(noise_multiplier, sampling_rate, steps, delta)
        return PrivacySpent(bound, "rdp", "full_batch" if sampling_rate >= 1 else "grid_too_large")
    prv = PRVAccountant()
    prv.history = [(noise_multiplier, sampling_rate, steps)]
    with _quiet():
        return PrivacySpent(float(prv.get_epsilon(delta, eps_error=EPS_ERROR)), "prv")


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
