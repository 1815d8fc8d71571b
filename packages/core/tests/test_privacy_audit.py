"""The audit's arithmetic, its canaries, and that it tells honest trainings from faulty ones."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.privacy import gradient_of, private, settings
from fakes.training import Net, Yes
from scipy.stats import binom

from core.privacy.clipping import FlatClip, PerExampleClipper
from core.privacy.guarantee import Release
from core.privacy.mechanism import GaussianMechanism
from core.privacy.one_run_audit import (
    GuessRule,
    audit_epsilon,
    choose_rules,
    log_odds,
    lower_bound,
    p_value,
)
from core.privacy.plan import PrivacyPlan
from core.privacy.sampling import PoissonBatches
from core.privacy.whitebox_audit import BLOCK, Canaries, WhiteBoxAudit
from core.training.config import SgdConfig


def brute_force(epsilon: float, delta: float, m: int, r: int, v: int) -> float:
    """Theorem 5.2 term by term."""
    q = math.exp(epsilon) / (1 + math.exp(epsilon))
    tail = [float(sum(binom.pmf(j, r, q) for j in range(k, r + 1))) for k in range(r + 1)]
    alpha = max((tail[v - i] - tail[v]) / i for i in range(1, v + 1))
    return min(1.0, tail[v] + 2 * m * delta * alpha)


@pytest.mark.parametrize(("r", "v"), [(10, 10), (40, 31), (200, 150), (200, 3)])
@pytest.mark.parametrize("delta", [0.0, 1e-5, 1e-3])
@pytest.mark.parametrize("epsilon", [0.0, 0.7, 3.0])
def test_p_value_is_the_theorems(r: int, v: int, delta: float, epsilon: float) -> None:
    expected = brute_force(epsilon, delta, 500, r, v)
    assert p_value(epsilon, delta, 500, r, v) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_lower_bound_without_delta_is_clopper_pearsons() -> None:
    from scipy.stats import beta

    for r, v in ((100, 80), (100, 100), (1000, 700)):
        p = beta.ppf(0.05, v, r - v + 1)
        assert lower_bound(0.0, 5000, r, v) == pytest.approx(math.log(p / (1 - p)), abs=2e-3)
    assert lower_bound(0.0, 5000, 100, 50) == 0
    assert lower_bound(1e-5, 5000, 100, 90) < lower_bound(0.0, 5000, 100, 90)


def test_the_bound_covers_randomised_response() -> None:
    """Each coin is told truly with probability e^eps / (1 + e^eps): eps-DP exactly, the theorem's worst case."""
    rng = np.random.default_rng(1)
    epsilon, m = 1.0, 400
    right = rng.binomial(m, 1 / (1 + math.exp(-epsilon)), size=400)
    above = sum(lower_bound(0.0, m, m, int(v)) > epsilon for v in right)
    assert above <= 0.05 * 400 + 3 * (0.05 * 0.95 * 400) ** 0.5
    assert np.mean([lower_bound(0.0, m, m, int(v)) for v in right]) > 0.75, "and it is not empty"


def test_guesses_are_the_highest_and_the_lowest_scores() -> None:
    scores = np.array([5.0, 4.0, 3.0, 0.0, -1.0, -2.0])
    included = np.array([True, False, True, True, False, False])
    assert GuessRule("", 2, 0).correct(scores, included) == 1
    assert GuessRule("", 3, 2).correct(scores, included) == 4
    rules = [GuessRule("a", 2, 0), GuessRule("b", 3, 2)]
    found = audit_epsilon("white_box", rules, scores, included, delta=0.0, claim=1.0)
    assert (found.canaries, found.included, len(found.tests)) == (6, 3, 2)


def test_log_odds_are_those_of_the_mixture() -> None:
    x = np.linspace(-3, 4, 9)
    density = np.exp(-((x[None] - np.array([[0.0], [1.0]])) ** 2) / (2 * 0.49))
    expected = np.log((0.8 * density[0] + 0.2 * density[1]) / density[0])
    np.testing.assert_allclose(log_odds(x, 0.49, 0.2), expected, rtol=1e-12)
    assert np.isfinite(log_odds(np.array([1e4, -1e4]), 0.49, 0.2)).all()


def test_canaries_are_orthonormal_directions_within_one_weight_and_clipped_by_the_real_engine() -> None:
    model = Net(dropout=0.0, norm=False)
    clipper = PerExampleClipper(model, rule=FlatClip(0.7))
    canaries = Canaries(clipper.parameters, 300, 3)
    assert sum(canaries.shares.values()) == 300
    rows = canaries._hadamard
    assert torch.equal(rows @ rows.T, BLOCK * torch.eye(BLOCK))
    assert 110 < int(canaries.included.sum()) < 190
    whole = torch.zeros_like(clipper.flat)
    for name, (start, end) in canaries.range.items():
        clipper.zero()
        with clipper.trace(end - start):
            owner, _, attribute = name.rpartition(".")
            weight = getattr(model.get_submodule(owner), attribute)
            found = clipper.clipped_gradients(canaries.losses(name, weight, torch.arange(start, end), 70.0))
        torch.testing.assert_close(found.norms_U, torch.full((end - start,), 70.0))
        assert all(bool((total == 0).all()) for other, total in clipper.sums.items() if other != name)
        whole += clipper.flat
    clipper.flat.copy_(whole)
    torch.testing.assert_close(
        canaries.projections(clipper.sums), torch.full((300,), 0.7), rtol=1e-4, atol=1e-5
    )
    with pytest.raises(ValueError, match=r"privacy\.audit_canaries=5000.*room for at most"):
        Canaries(clipper.parameters, 5000, 3)


class Wide(torch.nn.Module):
    """Room for some thousand canaries."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = torch.nn.Sequential(torch.nn.Linear(6, 160), torch.nn.Tanh(), torch.nn.Linear(160, 160))
        self.head = torch.nn.Linear(160, 1)

    def forward(self, inputs):
        return self.head(self.body(inputs["numeric"]))


def audited(tmp_path: Path, epsilon: float, begin=None, rule: type = FlatClip):
    config = settings(
        SgdConfig(lr=0.01, momentum=0.0),
        dp_epsilon=epsilon,
        dp_audit_canaries=12_000,
        dp_delta=1e-6,
        dp_batch_size=19.0,
        dp_accountant="prv",
        steps=80,
    )
    setup = private(config, tmp_path, model=Wide())
    gradient = gradient_of(setup)
    if begin is not None:
        gradient.mechanism.begin = partial(begin, gradient.mechanism)
    gradient.clipper.rule = gradient.whitebox.clipper.rule = rule(1.0)
    for batch in setup.batches.from_step(0):
        setup.step(batch)
    return setup


def quieter(mechanism: GaussianMechanism, step: int, *, add_noise: bool) -> None:
    GaussianMechanism.begin(mechanism, step, add_noise=add_noise)
    mechanism.total.div_(4)


class Unclipped(FlatClip):
    def factors(self, norms_GU):
        return torch.ones_like(norms_GU)


def section_of(setup, steps: int = 80):
    setup.guarantee.run_audits(setup.step.model, Yes())
    return setup.guarantee.section(steps, Release())


def test_an_honest_run_passes_and_its_bound_is_not_empty(tmp_path: Path) -> None:
    section = section_of(audited(tmp_path, 4.0))
    assert 0.8 < section.audit.lower_bound < section.epsilon
    assert section.audit.claim == section.epsilon
    assert section.audit.canaries == 12_000
    assert sum(section.audit.weights.values()) == 12_000


@pytest.mark.parametrize("fault", [{"begin": quieter}, {"rule": Unclipped}])
def test_a_faulty_run_fails_and_its_key_is_destroyed(tmp_path: Path, fault) -> None:
    setup = audited(tmp_path, 3.0, **fault)
    (tmp_path / "rng_key").write_text("0")
    with pytest.raises(ValueError, match=r"privacy audit \(white_box\): .*at least .* but claims"):
        setup.guarantee.run_audits(setup.step.model, Yes())
    assert not (tmp_path / "rng_key").exists()


def test_a_section_audits_nothing_and_keeps_the_key(tmp_path: Path) -> None:
    setup = private(settings(dp_noise_seed=None, dp_audit_canaries=64), tmp_path)
    assert setup.guarantee.section(12, Release()).audit is None
    assert (tmp_path / "rng_key").exists()
    setup.guarantee.destroy_key()
    assert not (tmp_path / "rng_key").exists()


def test_canaries_cost_the_units_nothing(tmp_path: Path) -> None:
    """The plan and the batches of an audited run are those of the run without."""
    plain, audit = (private(settings(dp_audit_canaries=n), tmp_path) for n in (0, 64))
    assert plain.guarantee.plan == audit.guarantee.plan
    assert isinstance(gradient_of(audit).whitebox, WhiteBoxAudit)
    for step in range(12):
        assert torch.equal(plain.batches.rows(step), audit.batches.rows(step))


def test_outsiders_know_no_bernoulli_draw() -> None:
    from fakes.privacy import Rows

    plan = PrivacyPlan(3.0, 1e-6, 96, "row", 24.0, 5, 1.0, 1.0, "rdp")
    assert PoissonBatches(Rows(), plan, 3, canaries=10).known_canaries(0) is None


def test_rules_are_chosen_before_and_apart_from_the_run() -> None:
    plan = PrivacyPlan(3.0, 1e-6, 96, "row", 24.0, 50, 1.0, 1.0, "rdp")
    assert choose_rules(plan, 1000) == choose_rules(plan, 1000)
    assert all(rule.top + rule.bottom <= 1000 for rule in choose_rules(plan, 1000))


def memorized(tmp_path: Path, noise: float | None):
    config = settings(
        SgdConfig(lr=0.2, momentum=0.9),
        dp_blackbox_canaries=300,
        dp_epsilon=4.0,
        dp_delta=1e-6,
        dp_batch_size=48.0,
        dp_l2_clip_norm=5.0,
        steps=300,
    )
    setup = private(config, tmp_path, model=Wide())
    if noise is not None:
        object.__setattr__(setup.guarantee.plan, "noise_multiplier", noise)
    for batch in setup.batches.from_step(0):
        setup.step(batch)
    return gradient_of(setup).blackbox.result(setup.step.model, Yes(), 100.0)


def test_the_black_box_audit_sees_what_a_model_without_noise_memorizes(tmp_path: Path) -> None:
    honest, without = memorized(tmp_path, None), memorized(tmp_path, 0.0)
    assert honest.lower_bound < 4
    assert without.lower_bound > 0.3
    assert without.canaries == 300


def test_the_black_box_examples_belong_to_nobody(tmp_path: Path) -> None:
    setup = private(settings(dp_audit_canaries=64, dp_blackbox_canaries=30), tmp_path)
    examples = gradient_of(setup).blackbox
    drawn = [examples.batch(step).index for step in range(12)]
    assert sum(len(rows) for rows in drawn) > 20
    assert all(bool(examples.included[rows].all()) for rows in drawn)
    assert max(int(rows.max()) for rows in drawn if len(rows)) < 30
