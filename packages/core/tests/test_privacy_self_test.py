"""The self-tests of a private training: a sound engine passes, each planted fault is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.privacy import Rows, private, settings

from core.privacy.clipping import FlatClip
from core.privacy.mechanism import GaussianMechanism
from core.privacy.sampling import PoissonBatches
from core.privacy.self_test import (
    batches_are_poisson,
    binomial_p_values,
    contributions_are_bounded,
    noise_is_gaussian,
)


def failed(tests) -> set[str]:
    return {test.name for test in tests if not test.passed}


def setup_of(folder: Path, **changes):
    return private(settings(**changes), folder, split=Rows(rows=400))


def contribution(setup):
    mechanism, target = setup.step.gradient.mechanism, setup.step.gradient.losses.target
    probe = Rows(rows=4, seed=9).batch(torch.arange(4))

    def losses(index):
        inputs = {name: tensor[index] for name, tensor in probe.inputs.items()}
        return target.losses(mechanism.clipper.model(inputs).float(), probe.targets[index])

    return contributions_are_bounded(mechanism.clipper, losses, 4, mechanism.plan.l2_clip_norm)


@pytest.mark.parametrize("clipping", ["flat", "per_layer", "automatic", "adaptive"])
@pytest.mark.parametrize("seed", [5, 6, 7])
def test_a_sound_engine_passes(tmp_path: Path, clipping: str, seed: int) -> None:
    setup = setup_of(tmp_path, dp_clipping=clipping, dp_noise_seed=seed)
    mechanism = setup.step.gradient.mechanism
    before = mechanism.total.clone()
    tests = [
        contribution(setup),
        *batches_are_poisson(setup.batches),
        *noise_is_gaussian(mechanism, mechanism.plan.l2_clip_norm),
    ]
    assert failed(tests) == set()
    assert len({test.name for test in tests}) == 8
    assert torch.equal(mechanism.total, before), "it leaves the sum as it was"


@pytest.mark.parametrize("factor", [1.5, 1.01])
def test_a_larger_clip_norm_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    setup = setup_of(tmp_path)
    sound = FlatClip.factors
    monkeypatch.setattr(
        FlatClip, "factors", lambda self, norms: sound(FlatClip(self.clip_norm * factor), norms)
    )
    found = contribution(setup)
    assert not found.passed
    assert found.value == pytest.approx(factor, rel=1e-4)


def test_a_contribution_that_is_no_number_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = setup_of(tmp_path)
    monkeypatch.setattr(FlatClip, "factors", lambda self, norms: norms * torch.nan)
    assert not contribution(setup).passed


def fixed_size(self, step):
    generator = torch.Generator().manual_seed(step)
    return torch.randperm(self.plan.units, generator=generator)[: int(self.plan.batch_size)].sort().values


def shuffled_epochs(self, step):
    size = int(self.plan.batch_size)
    epoch, place = divmod(step, self.plan.units // size)
    order = torch.randperm(self.plan.units, generator=torch.Generator().manual_seed(epoch))
    return order[place * size : (place + 1) * size].sort().values


SOUND_UNITS = PoissonBatches.units


def twice_the_rate(self, step):
    return torch.cat([SOUND_UNITS(self, step), SOUND_UNITS(self, step + 10**6)])


SAMPLERS = {
    "fixed size": (fixed_size, "batch_variance"),
    "shuffled epochs": (shuffled_epochs, "unit_variance"),
    "the same batch": (lambda self, step: SOUND_UNITS(self, 0), "unit_variance"),
    "twice the rate": (twice_the_rate, "batch_mean"),
    "with replacement": (lambda self, step: SOUND_UNITS(self, step).repeat(2)[::2], "distinct_units"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_wrong_sampler_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    sampler, test = SAMPLERS[name]
    batches = setup_of(tmp_path).batches
    monkeypatch.setattr(PoissonBatches, "units", sampler)
    assert test in failed(batches_are_poisson(batches))


SOUND_BEGIN = GaussianMechanism.begin


def weaker(self, step, *, add_noise):
    SOUND_BEGIN(self, step, add_noise=add_noise)
    self.total *= 0.9


def same_each_step(self, step, *, add_noise):
    SOUND_BEGIN(self, 0, add_noise=add_noise)


def opposite_of_the_last(self, step, *, add_noise):
    SOUND_BEGIN(self, step // 2, add_noise=add_noise)
    self.total *= 1 - 2 * (step % 2)


def shifted(self, step, *, add_noise):
    SOUND_BEGIN(self, step, add_noise=add_noise)
    self.total += 0.3 * self.total.std()


MECHANISMS = {
    "weaker": (weaker, "noise_variance"),
    "the same": (same_each_step, "noise_correlation"),
    "cancelling": (opposite_of_the_last, "noise_correlation"),
    "shifted": (shifted, "noise_mean"),
    "none": (lambda self, step, add_noise: self.total.zero_(), "noise_variance"),
}


@pytest.mark.parametrize("name", MECHANISMS)
def test_wrong_noise_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    begin, test = MECHANISMS[name]
    mechanism = setup_of(tmp_path).step.gradient.mechanism
    monkeypatch.setattr(GaussianMechanism, "begin", begin)
    assert test in failed(noise_is_gaussian(mechanism, mechanism.plan.l2_clip_norm))


@pytest.mark.parametrize(("n", "q"), [(400, 0.06), (40, 0.5), (5000, 0.002), (300, 0.9)])
def test_p_values_are_uniform_where_counts_are_binomial(n: int, q: float) -> None:
    rng = np.random.default_rng(0)
    found = np.array([binomial_p_values(rng.binomial(n, q, 300), n, q) for _ in range(400)])
    for p in found.T:
        assert 0.01 < np.mean(p < 0.05) < 0.1
        assert p.min() > 1e-5


def test_full_batches_are_what_a_rate_of_one_asks_for() -> None:
    assert binomial_p_values([30] * 10, 30, 1.0) == (1.0, 1.0)
    assert binomial_p_values([30] * 9 + [29], 30, 1.0) == (0.0, 0.0)
