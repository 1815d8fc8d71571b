"""The gate's statistics against oracles, and their power on synthetic predictions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from core.regression.measurement import Measurement
from core.regression.quantities import (
    QUANTITIES,
    PairedRun,
    decisions,
    groups,
    predicted_classes,
    prediction_sets,
    utility,
)
from core.regression.statistics import (
    Change,
    drop_from_ideal,
    drop_of,
    drop_of_change,
    flip_error,
    holm,
    mcnemar,
    paired_change,
)
from core.targets.types import Predictions

MARGINS = {
    "auroc": 0.01,
    "accuracy": 0.015,
    "calibration_slope": 0.1,
    "log_loss": 0.03,
    "rmse": 0.05,
    "group accuracy": 0.05,
    "group log_loss": 0.1,
    "gap": 0.05,
    "rows decided rightly": 0.015,
    "share of a predicted class": 0.04,
    "rows inside prediction sets": 0.03,
    "size of prediction sets": 0.1,
    "rows that go to a human": 0.05,
}


def oracle(p_values: dict[str, float], alpha: float) -> set[str]:
    """Holm's adjusted p-values: the running maximum of (m - i) p_(i)."""
    worst, rejected = 0.0, set()
    for place, name in enumerate(sorted(p_values, key=lambda n: p_values[n])):
        worst = max(worst, (len(p_values) - place) * p_values[name])
        if worst <= alpha:
            rejected.add(name)
    return rejected


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.001, 0.2))
def test_holm_rejects_what_the_adjusted_p_values_reject(p: list[float], alpha: float) -> None:
    p_values = {str(n): value for n, value in enumerate(p)}
    levels = holm(p_values, alpha)
    by_levels = {name for name, value in p_values.items() if levels[name] > 0 and value <= levels[name]}
    assert by_levels == oracle(p_values, alpha)
    assert list(levels) == list(p_values)


def test_holm_keeps_the_familywise_error() -> None:
    rng = np.random.default_rng(0)
    failed = 0
    for _ in range(2000):
        p = dict(enumerate(rng.uniform(size=50)))
        levels = holm({str(k): v for k, v in p.items()}, 0.05)
        failed += any(v <= levels[str(k)] for k, v in p.items())
    assert failed / 2000 < 0.065


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_exact_binomial_test(worse: int, better: int) -> None:
    changed = worse + better
    one_sided = binom.sf(worse - 1, changed, 0.5) if changed else 1.0
    assert mcnemar(worse, better) == pytest.approx(one_sided)
    two_sided = min(1.0, 2 * binom.sf(max(worse, better) - 1, changed, 0.5)) if changed else 1.0
    assert mcnemar(worse, better, two_sided=True) == pytest.approx(two_sided)


def test_error_of_flips_is_that_of_paired_differences() -> None:
    rng = np.random.default_rng(1)
    difference = rng.choice([-1, 0, 1], size=500, p=[0.05, 0.85, 0.1])
    lost, won = int((difference == 1).sum()), int((difference == -1).sum())
    assert flip_error(lost, won, 500) == pytest.approx(difference.std() / np.sqrt(500))


def test_directions() -> None:
    fell = Change(0.9, 0.85, 0.01)
    assert drop_of(fell, higher_is_better=True).value == pytest.approx(0.05)
    assert drop_of(fell, higher_is_better=True).p == pytest.approx(norm.sf(5))
    assert drop_of(fell, higher_is_better=False).p == pytest.approx(norm.sf(-5))
    assert drop_of(fell, higher_is_better=True).lower(0.05) == pytest.approx(0.05 - 1.6449 * 0.01, abs=1e-5)
    assert drop_of_change(fell).value == pytest.approx(0.05)
    closer, further = Change(1.3, 1.1, 0.02), Change(1.05, 0.8, 0.02)
    assert drop_from_ideal(closer, 1.0).value == pytest.approx(-0.2)
    assert drop_from_ideal(further, 1.0).value == pytest.approx(0.15)
    unchanged = Change(0.9, 0.9, 0.0)
    for drop in (drop_of(unchanged, True), drop_of_change(unchanged), drop_from_ideal(unchanged, 1.0)):
        assert (drop.value, drop.p) == (0.0, 1.0)
    assert drop_of(Change(0.9, 0.8, 0.0), True).p < 1e-200, "a change without spread is no chance"


def test_seeds_with_other_rows_are_independent() -> None:
    rng = np.random.default_rng(0)
    replicates = [rng.normal(0, 0.02, 4000) for _ in range(4)]
    apart = paired_change([0.9] * 4, [0.8] * 4, replicates, independent=True)
    together = paired_change([0.9] * 4, [0.8] * 4, replicates, independent=False)
    assert apart.standard_error == pytest.approx(0.01, rel=0.05)
    assert together.standard_error == pytest.approx(0.02, rel=0.05)
    assert paired_change([0.9], [0.8], [np.array([np.nan, 0.1, 0.1])], True).standard_error == 0.0


def binary(logit: np.ndarray, truth: np.ndarray, threshold: float = 0.5, **more) -> Predictions:
    positive = 1 / (1 + np.exp(-logit))
    scores = np.column_stack([1 - positive, positive])
    index = np.arange(len(truth))
    labels = (positive >= threshold).astype(np.int64)
    return Predictions(scores, labels, truth.astype(np.int64), ("no", "yes"), "binary", index=index, **more)


def world(seed: int, rows: int = 800) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Calibrated log odds, the truth drawn from them, and a sensitive attribute."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 1.6, rows)
    truth = rng.uniform(size=rows) < 1 / (1 + np.exp(-logit))
    return logit, truth, {"sex": rng.choice(["f", "m"], rows)}


def runs(seed: int, change, *, seeds: int = 3, threshold: float = 0.5) -> list[PairedRun]:
    """Pairs of runs: as they were, and with log odds changed by ``change(logit, truth, groups, rng)``."""
    found = []
    for number in range(seeds):
        logit, truth, groups_of = world(100 * seed + number)
        rng = np.random.default_rng(seed)
        now = change(logit, truth, groups_of, rng)
        before = Measurement(number, predictions=binary(logit, truth, groups=groups_of))
        after = Measurement(number, predictions=binary(now, truth, threshold, groups=groups_of))
        found.append(PairedRun(before, after))
    return found


def regressions(pairs: list[PairedRun], alpha: float = 0.01) -> set[str]:
    found = [each for quantity in QUANTITIES for each in quantity(pairs, MARGINS)]
    levels = holm({each.quantity: each.drop.p for each in found}, alpha)
    return {
        each.quantity
        for each in found
        if each.drop.p <= levels[each.quantity] and each.drop.value > MARGINS[each.margin_of or each.quantity]
    }


def caught(change, wanted: str, **more) -> int:
    return sum(wanted in " ".join(regressions(runs(seed, change, **more))) for seed in range(20))


def test_a_repeated_run_is_the_same() -> None:
    pairs = runs(0, lambda logit, *_: logit)
    for quantity in QUANTITIES:
        for each in quantity(pairs, MARGINS):
            assert (each.drop.value, each.drop.p) == (0.0, 1.0), each.quantity


def test_what_floats_change_is_no_regression() -> None:
    assert caught(lambda logit, truth, groups, rng: logit + rng.normal(0, 0.1, len(logit)), "") == 20
    found = [
        regressions(runs(seed, lambda logit, truth, groups, rng: logit + rng.normal(0, 0.1, len(logit))))
        for seed in range(20)
    ]
    assert found == [set()] * 20


def degraded(logit, truth, groups, rng):
    return logit + rng.normal(0, 0.55, len(logit))  # about 2 points of AUROC


def test_two_points_of_auroc_are_seen() -> None:
    drops = [next(f for f in utility(runs(s, degraded), MARGINS) if f.quantity == "auroc") for s in range(20)]
    assert 0.012 < np.mean([each.drop.value for each in drops]) < 0.025
    assert caught(degraded, "auroc") >= 19


def test_an_overconfident_model_is_seen() -> None:
    assert caught(lambda logit, *_: 1.25 * logit, "calibration_slope", seeds=6) >= 19


def test_a_moved_threshold_is_seen() -> None:
    assert caught(lambda logit, *_: logit, "share predicted yes", threshold=0.6) >= 19
    assert caught(lambda logit, *_: logit, "share predicted yes", threshold=0.42) >= 19


def test_a_group_that_fell_is_named() -> None:
    def fell(logit, truth, groups_of, rng):
        return np.where(groups_of["sex"] == "f", logit + rng.normal(0, 4.0, len(logit)), logit)

    assert caught(fell, "accuracy of sex f") >= 19
    assert caught(fell, "gap of accuracy by sex") >= 19
    assert caught(fell, "accuracy of sex m") == 0


def test_small_groups_are_left_alone() -> None:
    logit, truth, _ = world(0)
    few = {"site": np.array(["a"] * 20 + ["b"] * 780)}
    pair = [Measurement(0, predictions=binary(logit, truth, groups=few)) for _ in range(2)]
    named = {each.quantity for each in groups([PairedRun(*pair)], MARGINS)}
    assert named == {"accuracy of site b", "log_loss of site b"}


def test_units_widen_the_error() -> None:
    logit, truth, _ = world(0)
    units = np.repeat(np.arange(80), 10).astype(str)
    now = np.where(np.arange(800) < 80, -logit, logit)  # all rows of eight units

    def error(units: np.ndarray | None) -> float:
        pair = [Measurement(0, predictions=binary(x, truth, units=units)) for x in (logit, now)]
        return next(utility([PairedRun(*pair)], {"auroc": 0.01})).drop.standard_error

    assert error(units) > 2 * error(None)


def test_other_rows_are_not_compared() -> None:
    logit, truth, _ = world(0)
    before = Measurement(0, predictions=binary(logit, truth))
    for other in (binary(logit, ~truth), binary(logit[:700], truth[:700])):
        assert not PairedRun(before, Measurement(0, predictions=other)).same_rows
    moved = binary(logit, truth)
    moved.index = moved.index + 1
    assert not PairedRun(before, Measurement(0, predictions=moved)).same_rows
    assert PairedRun(before, Measurement(0, predictions=binary(logit + 1, truth))).same_rows


def with_rows(**rows: np.ndarray) -> Measurement:
    logit, truth, _ = world(0)
    return Measurement(0, predictions=binary(logit, truth), rows=rows)


def test_prediction_sets_row_against_row() -> None:
    covered, size = np.ones(800), np.ones(800)
    covered[:80] = 0
    worse, larger = covered.copy(), size.copy()
    worse[80:120], larger[:400] = 0, 2
    human = np.zeros(800)
    before = with_rows(covered=covered, set_size=size, to_human=human)
    now = with_rows(covered=worse, set_size=larger, to_human=human)
    found = {each.quantity: each for each in prediction_sets([PairedRun(before, now)], MARGINS)}
    lost = found["rows inside prediction sets"]
    assert (lost.before, lost.now, lost.drop.value) == pytest.approx((0.9, 0.85, 0.05))
    assert lost.drop.p == pytest.approx(0.5**40)
    assert found["size of prediction sets"].drop.value == pytest.approx(0.5)
    assert found["size of prediction sets"].drop.p < 1e-50
    assert found["rows that go to a human"].drop.p == 1.0
    gone = {e.quantity: e for e in prediction_sets([PairedRun(before, with_rows(set_size=size))], MARGINS)}
    assert np.isnan(gone["rows inside prediction sets"].drop.value)


def test_numbers_have_no_decisions() -> None:
    values = np.random.default_rng(0).normal(size=(300, 1))
    p = Predictions(values, values[:, 0], values[:, 0] * 1.1, (), "regression", index=np.arange(300))
    pair = [PairedRun(Measurement(0, predictions=p), Measurement(0, predictions=p))]
    assert list(decisions(pair, MARGINS)) == []
    assert list(predicted_classes(pair, MARGINS)) == []
    assert [each.quantity for each in utility(pair, MARGINS)] == ["rmse", "calibration_slope"]
