"""How private a run really was, at least: the one-run audit of Steinke, Nasr and Jagielski (2023, arXiv:2305.08846).

Each of m canaries is in the training by an independent Bernoulli(1/2) draw. An adversary who sees the output guesses
for some of them whether they were in; guesses that are right too often for the claimed epsilon refute the claim.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.stats import binom

from core.privacy.section import AuditResult, GuessTest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.privacy.plan import PrivacyPlan

CONFIDENCE = 0.95
MAX_EPSILON = 30.0
"""Upper end of the search: no number of guesses refutes more."""


def p_value(epsilon: float, delta: float, canaries: int, guesses: int, correct: int) -> float:
    """Return an upper bound on the probability of ``correct`` right ``guesses`` under (epsilon, delta)-DP training.

    Steinke et al. (2023), theorem 5.2: P[W >= v] <= f(v) + 2 m delta max_i (f(v - i) - f(v)) / i with
    f(v) = P[Binomial(r, e^epsilon / (1 + e^epsilon)) >= v]; abstentions count only in m.
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
    """Return the largest epsilon that so many right guesses refute with ``confidence``; 0 where they refute none."""
    if p_value(0.0, delta, canaries, guesses, correct) > 1 - confidence:
        return 0.0
    low, high = 0.0, MAX_EPSILON
    while high - low > 1e-3:
        middle = (low + high) / 2
        if p_value(middle, delta, canaries, guesses, correct) <= 1 - confidence:
            low = middle
        else:
            high = middle
    return low


@dataclass(frozen=True)
class GuessRule:
    """How many of the highest scores are guessed to be in, and of the lowest to be out: fixed before the run."""

    name: str
    top: int
    bottom: int

    def correct(self, scores: NDArray[np.float64], included: NDArray[np.bool_]) -> int:
        """Return the number of right guesses among ``top + bottom``."""
        order = np.argsort(-scores, kind="stable")
        out = order[len(order) - self.bottom :]
        return int(included[order[: self.top]].sum()) + int((~included[out]).sum())


def audit_epsilon(
    kind: Literal["white_box", "black_box"],
    rules: Sequence[GuessRule],
    scores: NDArray[np.float64],
    included: NDArray[np.bool_],
    *,
    delta: float,
    claim: float,
    confidence: float = CONFIDENCE,
) -> AuditResult:
    """Return the best lower bound on epsilon of several rules, each at its share of the error (Bonferroni)."""
    each = 1 - (1 - confidence) / len(rules)
    tests = []
    for rule in rules:
        correct = rule.correct(scores, included)
        guesses = rule.top + rule.bottom
        bound = lower_bound(delta, len(scores), guesses, correct, each)
        tests.append(GuessTest(name=rule.name, guesses=guesses, correct=correct, lower_bound=bound))
    best = max(tests, key=lambda test: test.lower_bound)
    return AuditResult(
        kind=kind,
        claim=claim,
        lower_bound=best.lower_bound,
        confidence=confidence,
        delta=delta,
        canaries=len(scores),
        included=int(included.sum()),
        guesses=best.guesses,
        correct=best.correct,
        tests=tests,
    )


def require_not_refuted(result: AuditResult) -> None:
    """Raise ValueError for an audit that proves a larger epsilon than the run claims."""
    if result.lower_bound > result.claim:
        raise ValueError(
            f"privacy audit ({result.kind}): the training spent an epsilon of at least {result.lower_bound:.2f} (with "
            f"{result.confidence:.0%} confidence: {result.correct:,} of {result.guesses:,} canaries were guessed "
            f"right) but claims {result.claim:.2f}; the guarantee is void, so nothing of it is published. Train with "
            "an unmodified sampler, clipper and noise, and report this if they are"
        )


def log_odds(
    x: NDArray[np.float64], variance: float, sampling_rate: float, norm: float = 1.0
) -> NDArray[np.float64]:
    """Return the log likelihood ratios of one step's projections x: a canary in the data against out of it.

    In: the mixture (1 - q) N(0, variance) + q N(norm, variance) at sampling rate q; out: N(0, variance).
    """
    drawn = (norm * x - norm**2 / 2) / variance
    if sampling_rate >= 1:
        return drawn
    return np.logaddexp(math.log1p(-sampling_rate), math.log(sampling_rate) + drawn)


def choose_rules(plan: PrivacyPlan, canaries: int, norm: float = 1.0) -> list[GuessRule]:
    """Return the rules for so many canaries, chosen by simulating the plan's mechanism: no run's outcome enters.

    One rule suits the plan, one a noise of half the size (a fault), and one asks only whether the very highest
    scores are all right, in the number that would refute the claim (canaries that were not clipped at all).
    """
    each = 1 - (1 - CONFIDENCE) / 3
    rng = np.random.default_rng(0)
    rules = []
    for name, noise in (("as planned", plan.noise_multiplier), ("half the noise", plan.noise_multiplier / 2)):
        scores, included = _simulate(plan, noise, canaries, norm, rng)
        rules.append(_best_rule(name, scores, included, plan.delta, each))
    refuting = math.ceil(math.log(3 / (1 - CONFIDENCE)) * (1 + math.exp(min(1.15 * plan.epsilon, 20.0))))
    return [*rules, GuessRule("highest scores", min(refuting, max(canaries // 16, 1)), 0)]


def _simulate(
    plan: PrivacyPlan, noise: float, canaries: int, norm: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores and inclusion of canaries under the plan with a noise of so many clip norms."""
    rate = plan.sampling_rate
    included = rng.random(canaries) < 0.5
    if plan.steps <= 64:
        scores = np.zeros(canaries)
        for _ in range(plan.steps):
            drawn = included & (rng.random(canaries) < rate)
            x = drawn * norm + noise * rng.standard_normal(canaries)
            scores += log_odds(x, noise**2, rate, norm)
        return scores, included
    # A sum of many equal and independent terms: its mean and variance are enough.
    scores = rng.standard_normal(canaries)
    for inside in (False, True):
        x = noise * rng.standard_normal(200_000)
        if inside:
            x += norm * (rng.random(len(x)) < rate)
        one = log_odds(x, noise**2, rate, norm)
        where = included == inside
        scores[where] = plan.steps * one.mean() + math.sqrt(plan.steps) * one.std() * scores[where]
    return scores, included


def _best_rule(
    name: str, scores: NDArray[np.float64], included: NDArray[np.bool_], delta: float, confidence: float
) -> GuessRule:
    canaries = len(scores)
    sizes = np.unique(np.geomspace(min(8, canaries), max(canaries // 4, 1), 16).astype(int))
    choices = [GuessRule(name, int(k), bottom) for k in sizes for bottom in (0, int(k))]

    def bound(rule: GuessRule) -> float:
        guesses = rule.top + rule.bottom
        return lower_bound(delta, canaries, guesses, rule.correct(scores, included), confidence)

    return max(choices, key=bound)
