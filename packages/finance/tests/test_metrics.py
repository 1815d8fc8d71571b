"""Finance's metrics against scikit-learn and counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from core.targets.types import Predictions
from finance.metrics import recall_at
from finance.studies.alerts import card_precision
from finance.studies.costs import CostMatrix, cost_optimal_threshold
from finance.studies.drift import categorical_stability_index, population_stability_index


def predictions(n: int = 500, seed: int = 0, steps: int = 40) -> Predictions:
    rng = np.random.default_rng(seed)
    truth = (rng.random(n) < 0.1).astype(np.int64)
    score = np.clip(np.round((0.3 * truth + rng.random(n)) * steps) / (1.4 * steps), 0, 1)  # with ties
    both = np.column_stack([1 - score, score])
    return Predictions(both, (score >= 0.5).astype(np.int64), truth, ("no", "yes"))


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("seed", range(4))
def test_recall_at_a_false_positive_rate_is_a_point_of_sklearns_curve(rate: float, seed: int) -> None:
    p = predictions(seed=seed)
    fpr, tpr, _ = roc_curve(p.targets, p.scores[:, 1], drop_intermediate=False)
    assert recall_at(rate)(p) == pytest.approx(tpr[fpr <= rate].max())


def test_recall_is_undefined_with_one_class() -> None:
    p = predictions()
    assert np.isnan(recall_at(0.01)(p.take(p.targets == 0)))


def test_card_precision_by_hand() -> None:
    days = card_precision(
        np.array([1, 1, 1, 1, 2, 2, 2]),
        np.array(["a", "a", "b", "c", "a", "b", "c"], dtype=object),
        np.array([False, True, False, True, True, True, False]),
        np.array([0.1, 0.9, 0.8, 0.2, 0.95, 0.5, 0.6]),
        2,
    )
    # day 1: a (0.9, compromised) and b are looked at, c is missed; a then leaves, so day 2 looks at c and b
    assert days["found"].to_list() == [1, 1]
    assert days["cards"].to_list() == [3, 2]
    assert days["compromised"].to_list() == [2, 1]
    assert days["precision"].to_list() == [0.5, 0.5]


@pytest.mark.parametrize("seed", range(5))
def test_cheapest_threshold_is_that_of_a_plain_search(seed: int) -> None:
    p = predictions(200, seed)
    rng = np.random.default_rng(seed)
    amount = rng.gamma(2.0, 30.0, len(p))
    matrix = CostMatrix(flag=3.0, false_positive=7.0, false_negative=20.0, amount_fraction=0.8)
    positive, score = p.targets == 1, p.scores[:, 1]
    cut = cost_optimal_threshold(matrix, positive, score, amount)

    def total(t: float) -> float:
        return float(matrix.costs(positive, score >= t, amount).sum())

    best = min(total(t) for t in [*np.unique(score), 2.0])
    assert total(cut) == pytest.approx(best)


def test_flagging_that_never_pays_flags_nobody() -> None:
    p = predictions(100)
    cut = cost_optimal_threshold(CostMatrix(1e6, 0.0, 1.0, 0.0), p.targets == 1, p.scores[:, 1], np.ones(100))
    assert not (p.scores[:, 1] >= cut).any()


def test_stability_of_nothing_is_nothing_and_of_a_shift_by_hand() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=10_000)
    assert population_stability_index(values, values) == pytest.approx(0.0, abs=1e-12)
    # halves of equal share become a quarter and three quarters, in one bin a half
    before, after = np.repeat(["a", "b"], [50, 50]), np.repeat(["a", "b"], [25, 75])
    by_hand = (0.25 - 0.5) * np.log(0.25 / 0.5) + (0.75 - 0.5) * np.log(0.75 / 0.5)
    assert categorical_stability_index(before.astype(object), after.astype(object)) == pytest.approx(by_hand)
    # of two normal distributions with means one apart it is close to 1 (their symmetrised divergence)
    assert population_stability_index(values, rng.normal(1.0, 1.0, 10_000)) == pytest.approx(1.0, abs=0.12)


def test_stability_sees_values_that_went_missing() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    gone = np.where(np.arange(1000) < 300, np.nan, values)
    assert population_stability_index(values, gone) > 1.0
