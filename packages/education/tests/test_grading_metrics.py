"""Figures of grading against numbers worked out by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from core.targets.metrics import adjacent_agreement, exact_agreement, quadratic_kappa
from core.targets.types import Predictions
from education.grading.length_bias import partial_correlation
from education.grading.metrics import (
    dsm,
    grades_of,
    metrics,
    prmse,
    scale_of,
    smd,
)


def test_kappa_equals_sklearn() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        a = rng.integers(0, 5, 80)
        b = np.clip(a + rng.integers(-1, 2, 80), 0, 4)
        expected = cohen_kappa_score(a, b, weights="quadratic")
        assert quadratic_kappa(a.astype(float), b.astype(float)) == pytest.approx(expected, abs=1e-12)
    assert np.isnan(quadratic_kappa(np.ones(3), np.ones(3))), "two constants agree by chance alone"


def test_agreement_by_hand() -> None:
    a, b = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 3.0, 1.0])
    assert exact_agreement(a, b) == 0.5
    assert adjacent_agreement(a, b) == 0.75


def test_smd_by_hand() -> None:
    # human mean 2, sd (N - 1) = 1; machine mean 2.5
    assert smd(np.array([1.5, 2.5, 3.5]), np.array([1.0, 2.0, 3.0])) == pytest.approx(0.5)


def test_dsm_by_hand() -> None:
    human, machine = np.array([0.0, 1.0, 2.0]), np.array([2.0, 1.0, 3.0])
    # both have sd 1 and means 1 and 2: z human -1, 0, 1; z machine 0, -1, 1
    assert dsm(machine, human, np.array([True, False, False])) == pytest.approx(1.0)
    assert dsm(machine, human, np.array([True, True, True])) == pytest.approx(0.0)
    # a machine that is milder by a constant to everybody treats no group otherwise
    assert dsm(human + 5, human, np.array([True, True, False])) == pytest.approx(0.0)


def test_prmse_by_hand() -> None:
    # Two ratings each. s_i^2 = 0, 2, 0 -> V_e = 2/3. Means 1, 3, 5; overall 3.
    ratings = np.array([[1.0, 1.0], [2.0, 4.0], [5.0, 5.0]])
    machine = np.array([1.0, 3.0, 4.0])
    # V_T = (2*4 + 0 + 2*4 - 2 * 2/3) / (6 - 12/6) = (16 - 4/3) / 4 = 11/3
    # MSE = (2*0 + 2*0 + 2*1 - 3 * 2/3) / 6 = 0
    assert prmse(machine, ratings) == pytest.approx(1.0)
    # machine off by 2 in the first row: MSE = (2*4 + 0 + 2 - 2) / 6 = 4/3 -> 1 - (4/3) / (11/3)
    assert prmse(np.array([3.0, 3.0, 4.0]), ratings) == pytest.approx(1 - 4 / 11)
    assert np.isnan(prmse(machine, ratings[:, :1])), "one rating tells nothing of its error"


def test_prmse_recovers_the_share_of_true_variance_explained() -> None:
    rng = np.random.default_rng(1)
    true = rng.normal(0, 1, 20_000)
    machine = 0.8 * true + rng.normal(0, 0.3, 20_000)
    ratings = true[:, None] + rng.normal(0, 0.7, (20_000, 2))
    ratings[rng.random(20_000) < 0.5, 1] = np.nan  # many rows have one rating, as in practice
    assert prmse(machine, ratings) == pytest.approx(
        1 - np.mean((true - machine) ** 2) / np.var(true), abs=0.02
    )


def test_partial_correlation_removes_what_length_and_grade_share() -> None:
    rng = np.random.default_rng(2)
    grade = rng.normal(size=5000)
    length, machine = grade + rng.normal(size=5000), grade + rng.normal(size=5000)
    assert partial_correlation(length, machine, grade) == pytest.approx(0.0, abs=0.04)
    assert partial_correlation(length, machine + 0.7 * length, grade) > 0.5


def test_grades_are_read_on_their_scale() -> None:
    scores = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    p = Predictions(
        scores, np.array([2, 0]), np.array([1, 0]), ("correct", "contradictory", "incorrect"), "multiclass"
    )
    order = ["contradictory", "incorrect", "correct"]
    grades = grades_of(p, order)
    assert grades is not None
    assert grades.raw == pytest.approx([0.2 * 2 + 0.5 * 1, 2.0])
    assert grades.rounded.tolist() == [1.0, 2.0]
    assert grades.human.tolist() == [0.0, 2.0]
    assert scale_of(("a", "b"), order) is None
    found = metrics("multiclass", ["x"])["qwk"](p)
    assert np.isnan(found), "no order, no kappa, no exception"
    assert metrics("ordinal", order) == {}, "the target brings its own"
