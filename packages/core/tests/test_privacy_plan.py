"""The plan against an independent accountant, its limits, and what it refuses."""

from __future__ import annotations

import math

import pytest
from dp_accounting import NeighboringRelation, dp_event
from dp_accounting.pld import pld_privacy_accountant
from scipy.stats import norm

from core.privacy.accounting import calibrate_noise, compute_epsilon, replace_one_epsilon
from core.privacy.plan import PrivacyPlan


def independent(noise: float, rate: float, steps: int, delta: float) -> float:
    accountant = pld_privacy_accountant.PLDAccountant(value_discretization_interval=1e-3)
    step = dp_event.PoissonSampledDpEvent(rate, dp_event.GaussianDpEvent(noise))
    accountant.compose(dp_event.SelfComposedDpEvent(step, steps))
    return float(accountant.get_epsilon(delta))


@pytest.mark.parametrize(("noise", "rate", "steps"), [(1.1, 0.01, 500), (0.8, 0.02, 200), (2.0, 0.1, 100)])
def test_epsilon_agrees_with_pld(noise: float, rate: float, steps: int) -> None:
    delta = 1e-5
    reference = independent(noise, rate, steps, delta)
    prv = compute_epsilon(noise, rate, steps, delta, "prv")
    rdp = compute_epsilon(noise, rate, steps, delta, "rdp")
    assert prv.accountant == "prv"
    assert reference - 2e-3 <= prv.epsilon <= reference + 0.03, "an upper bound, and a tight one"
    assert reference <= rdp.epsilon <= 1.6 * reference


@pytest.mark.parametrize(("epsilon", "accountant"), [(0.5, "rdp"), (3.0, "prv"), (8.0, "rdp")])
def test_calibration_keeps_the_budget_and_wastes_little(epsilon: float, accountant: str) -> None:
    plan = PrivacyPlan.make(
        epsilon=epsilon, delta=None, units=20_000, unit="patient", batch_size=256, steps=400, l2_clip_norm=1.0,
        accountant=accountant,
    )  # fmt: skip
    assert 0.97 * epsilon <= plan.privacy_spent(400).epsilon <= epsilon
    assert plan.privacy_spent(100).epsilon < plan.privacy_spent(400).epsilon
    assert plan.privacy_spent(0).epsilon == 0
    assert plan.delta == pytest.approx(1 / 200_000)
    assert independent(plan.noise_multiplier, plan.sampling_rate, 400, plan.delta) <= epsilon + 2e-3


def test_absurd_budget_gets_a_sound_bound_without_a_large_grid() -> None:
    noise = calibrate_noise(1000.0, 1e-6, 0.01, 1000, "prv")
    spend = compute_epsilon(noise, 0.01, 1000, 1e-6, "prv")
    assert spend.accountant == "rdp"
    assert spend.fallback == "grid_too_large"
    assert 900 < spend.epsilon <= 1000


@pytest.mark.parametrize(("noise", "steps"), [(2.0, 10), (0.7, 3), (30.0, 1000), (0.3, 40)])
def test_full_batches_get_the_exact_epsilon(noise: float, steps: int) -> None:
    spend = compute_epsilon(noise, 1.0, steps, 1e-5, "prv")
    assert (spend.accountant, spend.fallback) == ("gaussian", None)
    # Composed they are a Gaussian mechanism of mu = sqrt(steps) / noise, whose exact curve is known (Dong et al. 2022).
    mu = math.sqrt(steps) / noise
    delta = norm.cdf(-spend.epsilon / mu + mu / 2) - math.exp(
        spend.epsilon + norm.logcdf(-spend.epsilon / mu - mu / 2)
    )
    assert delta == pytest.approx(1e-5, rel=1e-5)
    assert delta <= 1e-5 * (1 + 1e-9)
    assert spend.epsilon < compute_epsilon(noise, 1.0, steps, 1e-5, "rdp").epsilon
    assert (
        compute_epsilon(calibrate_noise(3.0, 1e-5, 1.0, steps, "prv"), 1.0, steps, 1e-5, "prv").epsilon <= 3.0
    )


def test_the_reviews_full_batch_is_the_pld_accountants() -> None:
    reference = independent(0.7, 1.0, 10, 1e-5)
    exact = compute_epsilon(0.7, 1.0, 10, 1e-5, "prv").epsilon
    assert exact == pytest.approx(reference, rel=2e-3)


@pytest.mark.parametrize(("noise", "rate", "steps"), [(1.1, 0.01, 500), (2.0, 0.1, 100), (2.0, 1.0, 10)])
def test_replacing_a_unit_costs_more_than_adding_one(noise: float, rate: float, steps: int) -> None:
    accountant = pld_privacy_accountant.PLDAccountant(
        neighboring_relation=NeighboringRelation.REPLACE_ONE, value_discretization_interval=1e-3
    )
    step = dp_event.PoissonSampledDpEvent(rate, dp_event.GaussianDpEvent(noise))
    event = dp_event.SelfComposedDpEvent(step if rate < 1 else dp_event.GaussianDpEvent(noise), steps)
    found = replace_one_epsilon(noise, rate, steps, 1e-5, "prv")
    if accountant.supports(event):
        accountant.compose(event)
        assert found >= float(accountant.get_epsilon(1e-5)) - 1e-3
    assert found > 1.5 * compute_epsilon(noise, rate, steps, 1e-5, "prv").epsilon
    assert replace_one_epsilon(noise, rate, 0, 1e-5, "prv") == 0
    assert replace_one_epsilon(0.0, rate, steps, 1e-5, "prv") == math.inf


def test_no_noise_has_no_bound() -> None:
    spent = compute_epsilon(0.0, 0.1, 10, 1e-5, "prv")
    assert (spent.epsilon, spent.fallback) == (math.inf, "no_noise")


def test_adaptive_clipping_shares_the_budget() -> None:
    def made(adaptive: bool) -> PrivacyPlan:
        return PrivacyPlan.make(
            epsilon=3.0, delta=1e-6, units=10_000, unit="card", batch_size=200, steps=300, l2_clip_norm=1.0,
            accountant="rdp", adaptive=adaptive,
        )  # fmt: skip

    fixed, adaptive = made(False), made(True)
    assert adaptive.noise_multiplier > fixed.noise_multiplier
    assert adaptive.effective_noise_multiplier == pytest.approx(fixed.noise_multiplier)
    assert adaptive.privacy_spent(300).epsilon <= 3.0


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"epsilon": 0.0}, "privacy.epsilon"),
        ({"epsilon": math.inf}, "privacy.epsilon"),
        ({"delta": 1e-3}, "privacy.delta"),
        ({"delta": 0.0}, "privacy.delta"),
        ({"batch_size": 5000}, "batch_size"),
        ({"steps": 0}, "one step"),
        ({"units": 1}, "at least two"),
    ],
)
def test_impossible_requests_name_key_and_remedy(changed: dict[str, float], key: str) -> None:
    request = {
        "epsilon": 3.0, "delta": 1e-5, "units": 1000, "unit": "patient", "batch_size": 100, "steps": 10,
        "l2_clip_norm": 1.0, "accountant": "rdp",
    }  # fmt: skip
    with pytest.raises(ValueError, match=key):
        PrivacyPlan.make(**{**request, **changed})  # type: ignore[arg-type]


def test_unreachable_budget_says_what_to_change() -> None:
    with pytest.raises(ValueError, match="larger epsilon, fewer steps"):
        calibrate_noise(1e-7, 1e-9, 0.9, 100_000, "rdp")
