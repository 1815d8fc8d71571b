"""Intervals have their nominal coverage, keep units together and compare pairs."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.evaluation.bootstrap import ratio_estimate, row_estimates, share_estimate
from core.evaluation.config import StandardEvaluation
from core.evaluation.intervals import (
    binomial_interval,
    interval,
    point,
    resample,
    resample_metrics,
    resampled_weights,
)
from core.evaluation.thresholds import choose_thresholds, metric_settings
from core.targets import metrics as m
from core.targets.bootstrap_metrics import means
from core.targets.types import Predictions


def coin(n: int, rng: np.random.Generator, chance: float = 0.7, size: int = 1) -> Predictions:
    """Make decisions that are right with a known chance, all alike within a unit of ``size`` rows."""
    right = np.repeat(rng.random(n // size) < chance, size)
    truth = rng.integers(2, size=n)
    label = np.where(right, truth, 1 - truth)
    units = np.repeat(np.arange(n // size), size).astype(np.str_) if size > 1 else None
    return Predictions(np.eye(2)[label], label, truth, ("no", "yes"), "binary", units=units)


def right() -> list:
    """Accuracy alone."""
    return [means({"accuracy": lambda p: (p.labels == p.targets).astype(float)})]


@pytest.mark.parametrize("size", [1, 5])
def test_intervals_cover_the_true_accuracy(size: int) -> None:
    """Of 200 samples with true accuracy 0.7, 95 % intervals hold it in 90 to 99 %, with units of five rows too."""
    rng = np.random.default_rng(8)
    covered = 0
    for trial in range(200):
        p = coin(600, rng, size=size)
        made = interval(point(right(), p)["accuracy"], resample(right(), p, 200, trial)["accuracy"], 0.95)
        covered += made.low <= 0.7 <= made.high
    assert 180 <= covered <= 198


def test_rows_of_a_unit_are_drawn_together() -> None:
    units = np.array(["a", "a", "b", "c", "c", "c"])
    for weights in resampled_weights(6, units, 50, 0):
        assert (weights[:, 0] == weights[:, 1]).all()
        assert (weights[:, 3] == weights[:, 5]).all()
        assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()


def test_ignoring_units_would_be_too_sure() -> None:
    p = coin(600, np.random.default_rng(9), size=6)
    without = Predictions(p.scores, p.labels, p.targets, p.classes, p.kind)
    by_unit = resample(right(), p, 400, 1)["accuracy"].std()
    by_row = resample(right(), without, 400, 1)["accuracy"].std()
    assert by_unit > 1.8 * by_row


def test_same_seed_same_resamples_other_seed_others() -> None:
    p = coin(100, np.random.default_rng(10))
    first, again, other = (resample(right(), p, 50, seed)["accuracy"] for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()


def test_blocks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    import core.evaluation.intervals as module

    whole = np.concatenate(list(resampled_weights(30, None, 20, 5)))
    monkeypatch.setattr(module, "CELLS", 100)
    assert (np.concatenate(list(resampled_weights(30, None, 20, 5))) == whole).all()


def test_weighted_and_repeated_rows_give_the_same_samples() -> None:
    rng = np.random.default_rng(11)
    chance = rng.random(150)
    truth = (rng.random(150) < chance).astype(int)
    p = Predictions(
        np.column_stack([1 - chance, chance]), (chance > 0.5).astype(int), truth, ("n", "y"), "binary"
    )
    config = StandardEvaluation()
    statistics = p.type.statistics(p.classes, metric_settings(config, choose_thresholds(p, config)))
    slow = {
        "auroc": m.auroc,
        "auprc": m.auprc,
        "brier": m.brier,
        "macro_f1": m.macro_f1,
        "log_loss": m.log_loss,
    }
    fast_samples, slow_samples = resample(statistics, p, 30, 2), resample_metrics(slow, p, 30, 2)
    for name in slow:
        assert fast_samples[name] == pytest.approx(slow_samples[name], abs=1e-9)


def test_a_studys_estimates_agree_whichever_way_they_are_computed() -> None:
    """A ratio of sums, a share among some rows and a function of row numbers, on the same resamples of units."""
    p = coin(120, np.random.default_rng(12), size=4)
    context = SimpleNamespace(parts={"test": p}, resamples=60, confidence=0.9, seed=3)
    hits, among = (p.labels == p.targets).astype(float), (p.targets == 1).astype(float)
    by_ratio = ratio_estimate(context, hits * among, among, p.units)
    by_share = share_estimate(context, hits, among, p.units)

    def values(rows: np.ndarray) -> dict[str, float]:
        return {"recall": float(hits[rows][among[rows] > 0].mean())}

    by_row = row_estimates(context, "test", values)["recall"]
    for other in (by_share, by_row):
        assert dict(other) == pytest.approx(dict(by_ratio), abs=1e-12)
    assert share_estimate(context, hits, np.zeros(120)).value is None


@given(
    st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.sampled_from(["exact", "wilson"]),
)
def test_binomial_intervals_hold_the_share_and_mirror(counted: tuple[int, int], method: str) -> None:
    hits, n = counted
    low, high = binomial_interval(hits, n, 0.95, method)
    assert 0 <= low <= hits / n <= high <= 1
    mirrored = binomial_interval(n - hits, n, 0.95, method)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_undefined_resamples_are_counted() -> None:
    made = interval(0.5, np.array([0.4, np.nan, 0.6, 0.5]), 0.95)
    assert made.undefined == 1
    assert made.low == pytest.approx(0.4, abs=0.02)
    assert interval(0.5, np.array([np.nan, np.nan, 0.5]), 0.95).low is None
    assert interval(float("nan"), np.array([0.4, 0.5]), 0.95).value is None


def test_a_thousand_resamples_of_many_rows_take_seconds() -> None:
    """20,000 rows, 18 metrics: measured under 3 s on one core; the bar leaves room for a busy machine."""
    rng = np.random.default_rng(13)
    chance = rng.beta(1, 6, 20_000)
    truth = (rng.random(20_000) < chance).astype(int)
    p = Predictions(
        np.column_stack([1 - chance, chance]), (chance > 0.2).astype(int), truth, ("n", "y"), "binary"
    )
    config = StandardEvaluation()
    statistics = p.type.statistics(p.classes, metric_settings(config, choose_thresholds(p, config)))
    started = time.process_time()
    samples = resample(statistics, p, 1000, 0)
    assert time.process_time() - started < 5
    assert all(len(s) == 1000 for s in samples.values())
