"""The sampler does what the accountant assumes, and the key is kept and destroyed."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest
import torch
from fakes.privacy import Rows

from core.privacy.plan import PrivacyPlan
from core.privacy.rng_key import HEADER, WORDS, destroy_key, keyed_generator, load_or_create_key
from core.privacy.sampling import PoissonBatches, count_units


def sampler(
    units: int, batch: float, steps: int, per_unit: int = 1, key: int = 11, **others
) -> PoissonBatches:
    plan = PrivacyPlan(3.0, 1e-6, units, "patient", batch, steps, 1.0, 1.0, "rdp")
    return PoissonBatches(Rows(units * per_unit, per_unit=per_unit), plan, key, **others)


def test_each_unit_is_drawn_independently() -> None:
    units, steps, rate = 60, 4000, 0.1
    batches = sampler(units, rate * units, steps)
    drawn = torch.zeros(steps, units)
    for step in range(steps):
        drawn[step, batches.rows(step)] = 1
    # Five standard errors: a right sampler fails once in a million times.
    error = 5 * (rate * (1 - rate) / steps) ** 0.5
    assert (drawn.mean(0) - rate).abs().max() < error
    sizes = drawn.sum(1)
    assert sizes.mean() == pytest.approx(rate * units, abs=5 * (units * rate * 0.9 / steps) ** 0.5)
    assert sizes.var() == pytest.approx(units * rate * (1 - rate), rel=0.15), "batch sizes are binomial"
    pairs = torch.corrcoef(drawn.T)
    assert (pairs - torch.eye(units)).abs().max() < 6 / steps**0.5, "draws of different units are independent"
    follows = (drawn[1:] * drawn[:-1]).mean(0)
    assert (follows - rate**2).abs().max() < 6 * (rate**2 / steps) ** 0.5, "and of different steps"


def test_one_row_of_a_unit_a_step_each_as_likely() -> None:
    batches = sampler(20, 10, 900, per_unit=3)
    codes = batches.split.unit_codes
    seen = torch.zeros(60)
    for step in range(batches.steps):
        rows = batches.rows(step)
        assert len(codes[rows].unique()) == len(rows), "a unit contributes one row"
        seen[rows] += 1
    share = seen.view(3, 20) / seen.view(3, 20).sum(0)
    assert (share - 1 / 3).abs().max() < 5 * (2 / 9 / 450) ** 0.5


def test_units_are_rows_where_the_data_name_none() -> None:
    assert count_units(Rows(30)) == 30
    assert count_units(Rows(30, per_unit=3)) == 10


def test_a_batch_is_a_pure_function_of_key_and_step() -> None:
    one, again, other = sampler(50, 10, 9), sampler(50, 10, 9), sampler(50, 10, 9, key=12)
    late = [batch.index.tolist() for batch in again.from_step(4)]
    assert [batch.index.tolist() for batch in one.from_step(0)][4:] == late
    assert [batch.index.tolist() for batch in other.from_step(4)] != late


def test_empty_batches_are_batches() -> None:
    batches = sampler(20, 0.2, 50)
    sizes = [len(batch) for batch in batches.from_step(0)]
    assert len(sizes) == 50
    assert min(sizes) == 0 < max(sizes)


def test_processes_share_one_batch() -> None:
    whole = sampler(40, 10, 5)
    shares = [sampler(40, 10, 5, rank=rank, world=2) for rank in (0, 1)]
    for step, (a, b) in enumerate(zip(*(share.from_step(0) for share in shares), strict=True)):
        assert sorted([*a.index.tolist(), *b.index.tolist()]) == sorted(whole.rows(step).tolist())


def test_canaries_are_sampled_beside_the_units_without_moving_them() -> None:
    plain, audited = sampler(200, 40, 300), sampler(200, 40, 300, canaries=100)
    counts = torch.zeros(100)
    for step in range(300):
        counts[audited.canaries(step)] += 1
        assert audited.rows(step).max() < 200
        assert plain.canaries(step).numel() == 0
    assert counts.mean() == pytest.approx(60, abs=5 * (300 * 0.16 / 100) ** 0.5)


def test_generators_use_more_than_32_bits_of_the_key() -> None:
    def noise(key: int, *names: str | int) -> torch.Tensor:
        return torch.randn(64, generator=keyed_generator(key, *names))

    assert torch.equal(noise(7, "noise", 1), noise(7, "noise", 1))
    different = [
        noise(7, "noise", 1),
        noise(7, "noise", 2),
        noise(7, "sample", 1),
        noise(7 + 2**32, "noise", 1),
    ]
    different += [noise(7 + 2**100, "noise", 1)]
    assert len({tuple(n.tolist()) for n in different}) == len(different)
    # torch's own seeding would not tell these two apart, which is why the streams don't use it.
    a, b = torch.Generator().manual_seed(7), torch.Generator().manual_seed(7 + 2**32)
    assert torch.equal(torch.randn(64, generator=a), torch.randn(64, generator=b))
    long = torch.randn(1_000_000, generator=keyed_generator(7, "noise", 1), dtype=torch.float64)
    assert abs(float(long.mean())) < 5e-3
    assert float(long.var()) == pytest.approx(1, abs=7e-3)
    assert float((long**4).mean()) == pytest.approx(3, abs=0.05)


def test_the_state_of_torchs_generator_is_laid_out_as_the_keyed_one_assumes() -> None:
    """torch's own seeding fills the same words: a version with another layout must not pass unnoticed."""
    words = [20]
    for i in range(1, WORDS):  # Matsumoto and Nishimura (1998), initialization of 2002
        words.append((1812433253 * (words[-1] ^ (words[-1] >> 30)) + i) & 0xFFFFFFFF)
    fresh = torch.Generator().manual_seed(20).get_state().view(torch.int64)
    assert len(fresh) > HEADER + WORDS
    assert fresh[HEADER : HEADER + WORDS].tolist() == words
    keyed = keyed_generator(7, "noise", 1).get_state().view(torch.int64)
    expected = hashlib.shake_256(b"7\x1fnoise\x1f1").digest(4 * WORDS)
    found = keyed[HEADER : HEADER + WORDS].tolist()
    assert found == [int.from_bytes(expected[4 * i : 4 * i + 4], "little") for i in range(WORDS)]
    # And the draws follow from these words: the first is the tempered first word of the next block.
    numbers = torch.randint(0, 2**20, (4,), generator=keyed_generator(7, "noise", 1)).tolist()
    assert numbers == [number % 2**20 for number in mersenne_twister(found, 4)]


def mersenne_twister(words: list[int], count: int) -> list[int]:
    """Return the first outputs of MT19937 after a state of 624 words."""
    mt = list(words)
    for i in range(WORDS):
        y = (mt[i] & 0x80000000) | (mt[(i + 1) % WORDS] & 0x7FFFFFFF)
        mt[i] = mt[(i + 397) % WORDS] ^ (y >> 1) ^ (0x9908B0DF if y & 1 else 0)
    found = []
    for y in mt[:count]:
        y ^= y >> 11
        y ^= (y << 7) & 0x9D2C5680
        y ^= (y << 15) & 0xEFC60000
        found.append(y ^ (y >> 18))
    return found


def test_the_key_is_kept_for_a_resume_and_then_destroyed(tmp_path: Path) -> None:
    key = load_or_create_key(tmp_path, None)
    assert key.bit_length() > 64
    assert stat.S_IMODE((tmp_path / "rng_key").stat().st_mode) == 0o600
    assert load_or_create_key(tmp_path, None) == key
    (tmp_path / "secret").write_text("0")  # as versions before 0.2 called it
    destroy_key(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert load_or_create_key(tmp_path, None) != key
    destroy_key(tmp_path)
    (tmp_path / "step-000000005.json").write_text("{}")
    with pytest.raises(ValueError, match="key is gone"):
        load_or_create_key(tmp_path, None)
    assert load_or_create_key(tmp_path, 9) == 9, "a seed of the configuration needs no file"
