"""How private a run really was, at least: the one-run audit of Steinke, Nasr and Jagielski (2023, arXiv:2305.08846).

Each of m canaries is in the training by the toss of a fair coin. Whoever sees the output guesses some of the
coins; guesses that are right too often for the claimed epsilon refute the claim.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binom

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.privacy.plan import PrivacyPlan

CONFIDENCE = 0.95
LARGEST = 30.0
"""Epsilon beyond which no number of guesses gets."""


def p_value(epsilon: float, delta: float, canaries: int, guesses: int, correct: int) -> float:
    """Bound the chance that an (epsilon, delta)-DP training lets ``correct`` of ``guesses`` coins be guessed.

    Steinke et al. (2023), theorem 5.2: P[W >= v] <= f(v) + 2 m delta max_i (f(v - i) - f(v)) / i with
    f(v) = P[Binomial(r, e^epsilon / (1 + e^epsilon)) >= v]; abstentions cost nothing but their share of m.
    """
    if not correct:
        return 1.0
    chance = 1 / (1 + math.exp(-epsilon))
    # Ten deviations below the mean f is 1 in double precision, so that the maximum lies before.
    mean, deviation = guesses * chance, math.sqrt(guesses * chance * (1 - chance))
    lowest = max(min(correct - 1, math.floor(mean - 10 * deviation) - 10), 0)
    tails = binom.sf(
        np.arange(correct - 1, lowest - 2, -1), guesses, chance
    )  # f(v), f(v - 1), ..., f(lowest)
    alpha = float(((tails[1:] - tails[0]) / np.arange(1, len(tails))).max())
    return min(1.0, float(tails[0]) + 2 * canaries * delta * alpha)


def lower_bound(
    delta: float, canaries: int, guesses: int, correct: int, confidence: float = CONFIDENCE
) -> float:
    """Give the largest epsilon that so many right guesses refute with ``confidence``; 0 where they refute none."""
    if p_value(0.0, delta, canaries, guesses, correct) > 1 - confidence:
        return 0.0
    low, high = 0.0, LARGEST
    while high - low > 1e-3:
        middle = (low + high) / 2
        if p_value(middle, delta, canaries, guesses, correct) <= 1 - confidence:
            low = middle
        else:
            high = middle
    return low


@dataclass(frozen=True)
class Guessing:
    """How many of the highest scores are guessed to be in, and of the lowest to be out: fixed before the run."""

    name: str
    top: int
    bottom: int

    def correct(self, scores: NDArray[np.float64], included: NDArray[np.bool_]) -> int:
        """Count right guesses among ``top + bottom``."""
        order = np.argsort(-scores, kind="stable")
        out = order[len(order) - self.bottom :]
        return int(included[order[: self.top]].sum()) + int((~included[out]).sum())


def verdict(
    tests: Sequence[Guessing],
    scores: NDArray[np.float64],
    included: NDArray[np.bool_],
    delta: float,
    confidence: float = CONFIDENCE,
) -> dict[str, Any]:
    """Give the best lower bound of several tests, each at its share of the error (Bonferroni)."""
    each = 1 - (1 - confidence) / len(tests)
    found: list[dict[str, Any]] = []
    for test in tests:
        correct = test.correct(scores, included)
        bound = lower_bound(delta, len(scores), test.top + test.bottom, correct, each)
        found.append(
            {"test": test.name, "guesses": test.top + test.bottom, "correct": correct, "lower_bound": bound}
        )
    best = max(found, key=lambda one: float(one["lower_bound"]))
    return {
        "lower_bound": best["lower_bound"],
        "confidence": confidence,
        "delta": delta,
        "canaries": len(scores),
        "included": int(included.sum()),
        "guesses": best["guesses"],
        "correct": best["correct"],
        "tests": found,
    }


def refuted(found: dict[str, Any], claim: float) -> ValueError:
    """Make the error of a run whose audit proves more than it claims."""
    return ValueError(
        f"privacy.audit_canaries: the training used up an epsilon of at least {found['lower_bound']:.2f} (with "
        f"{found['confidence']:.0%} confidence: {found['correct']:,} of {found['guesses']:,} canaries were guessed "
        f"right) but claims {claim:.2f}; its promise is false, so nothing of it is published. Train with an "
        "unmodified sampler, clipper and noise, and report this if they are"
    )


def log_odds(x: NDArray[np.float64], variance: float, rate: float, reach: float = 1.0) -> NDArray[np.float64]:
    """Log likelihood ratio of one step's projections x, a canary in the data against out of it.

    In: the mixture (1 - rate) N(0, variance) + rate N(reach, variance); out: N(0, variance).
    """
    drawn = (reach * x - reach**2 / 2) / variance
    if rate >= 1:
        return drawn
    return np.logaddexp(math.log1p(-rate), math.log(rate) + drawn)


def choose_tests(plan: PrivacyPlan, canaries: int, reach: float = 1.0) -> list[Guessing]:
    """Choose the tests for so many canaries by simulating the plan's mechanism: no run's outcome enters.

    One test suits the plan, one a noise of half the size (a fault), and one asks only whether the very highest
    scores are all right, in the number that would refute the claim (canaries that were not clipped at all).
    """
    each = 1 - (1 - CONFIDENCE) / 3
    rng = np.random.default_rng(0)
    tests = []
    for name, noise in (("as planned", plan.noise_multiplier), ("half the noise", plan.noise_multiplier / 2)):
        scores, included = _simulated(plan, noise, canaries, reach, rng)
        tests.append(_best(name, scores, included, plan.delta, each))
    refuting = math.ceil(math.log(3 / (1 - CONFIDENCE)) * (1 + math.exp(min(1.15 * plan.epsilon, 20.0))))
    return [*tests, Guessing("highest scores", min(refuting, max(canaries // 16, 1)), 0)]


def _simulated(
    plan: PrivacyPlan, noise: float, canaries: int, reach: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Draw coins and scores of canaries under the plan with a noise of so many clip norms."""
    included = rng.random(canaries) < 0.5
    if plan.steps <= 64:
        scores = np.zeros(canaries)
        for _ in range(plan.steps):
            drawn = included & (rng.random(canaries) < plan.rate)
            x = drawn * reach + noise * rng.standard_normal(canaries)
            scores += log_odds(x, noise**2, plan.rate, reach)
        return scores, included
    # A sum of many equal and independent terms: its mean and variance are enough.
    scores = rng.standard_normal(canaries)
    for inside in (False, True):
        x = noise * rng.standard_normal(200_000)
        if inside:
            x += reach * (rng.random(len(x)) < plan.rate)
        one = log_odds(x, noise**2, plan.rate, reach)
        where = included == inside
        scores[where] = plan.steps * one.mean() + math.sqrt(plan.steps) * one.std() * scores[where]
    return scores, included


def _best(
    name: str, scores: NDArray[np.float64], included: NDArray[np.bool_], delta: float, confidence: float
) -> Guessing:
    canaries = len(scores)
    sizes = np.unique(np.geomspace(min(8, canaries), max(canaries // 4, 1), 16).astype(int))
    choices = [Guessing(name, int(k), bottom) for k in sizes for bottom in (0, int(k))]

    def bound(test: Guessing) -> float:
        guesses = test.top + test.bottom
        return lower_bound(delta, canaries, guesses, test.correct(scores, included), confidence)

    return max(choices, key=bound)
