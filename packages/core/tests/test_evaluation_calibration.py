"""Recalibration undoes a known distortion, is kept only where it helps, and is restored as it was saved."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.evaluation.calibration import choose_recalibration, recalibrated, reliability_bins
from core.evaluation.config import StandardEvaluation
from core.evaluation.curves import decision_curve
from core.evaluation.thresholds import choose_threshold, choose_thresholds, cost_ratio, threshold_points
from core.targets.recalibration import Recalibration, logit
from core.targets.types import Predictions


def binary(n: int = 4000, seed: int = 0, slope: float = 1.0, shift: float = 0.0) -> Predictions:
    """Make true chances, and scores whose log odds are slope * odds + shift."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1, 1.3, n)
    truth = (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    chance = 1 / (1 + np.exp(-(slope * odds + shift)))
    scores = np.column_stack([1 - chance, chance])
    units = (np.arange(n) // 2).astype(np.str_)
    return Predictions(scores, (chance >= 0.5).astype(np.int64), truth, ("no", "yes"), "binary", units=units)


def test_platt_undoes_a_known_distortion() -> None:
    p = binary(20_000, slope=2.0, shift=1.0)
    recalibration = choose_recalibration(p, "auto", 0)
    assert recalibration.method == "platt"
    assert recalibration.slopes[0] == pytest.approx(0.5, abs=0.03)
    assert recalibration.intercepts[0] == pytest.approx(-0.5, abs=0.06)
    order = np.argsort(p.scores[:, 1])
    corrected = recalibrated(p, recalibration).scores
    assert (np.diff(corrected[order, 1]) >= 0).all()
    assert corrected.sum(axis=1) == pytest.approx(1.0)


def test_calibrated_scores_are_left_alone_and_the_record_says_why() -> None:
    recalibration = choose_recalibration(binary(4000, seed=1), "auto", 0)
    assert recalibration.method == "none"
    assert recalibration.reason == "no_clear_gain"
    assert recalibration.gain <= recalibration.standard_error


def test_temperature_is_recovered() -> None:
    rng = np.random.default_rng(2)
    z = rng.normal(size=(20_000, 4)) * 1.5
    chance = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    truth = (chance.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    sharp = np.exp(2.5 * z) / np.exp(2.5 * z).sum(axis=1, keepdims=True)
    p = Predictions(sharp, sharp.argmax(axis=1), truth, tuple("abcd"), "multiclass")
    recalibration = choose_recalibration(p, "auto", 0)
    assert recalibration.method == "temperature"
    assert recalibration.temperature == pytest.approx(2.5, rel=0.04)
    assert recalibrated(p, recalibration).scores == pytest.approx(chance, abs=0.02)


def test_labels_with_too_few_rows_stay_as_they_are() -> None:
    rng = np.random.default_rng(3)
    odds = rng.normal(size=(2000, 2))
    truth = (rng.random((2000, 2)) < 1 / (1 + np.exp(-odds))).astype(int)
    truth[:, 1] = 0
    scores = 1 / (1 + np.exp(-3 * odds))
    p = Predictions(scores, (scores > 0.5).astype(int), truth, ("often", "never"), "multilabel")
    recalibration = choose_recalibration(p, "platt", 0)
    assert recalibration.slopes[0] == pytest.approx(1 / 3, abs=0.05)
    assert (recalibration.slopes[1], recalibration.intercepts[1]) == (1.0, 0.0)
    assert recalibration.unfitted == ("never",)


def test_a_ranking_is_never_turned_round() -> None:
    assert choose_recalibration(binary(slope=-1.0), "platt", 0).method == "none"


def test_platt_for_several_classes_is_refused() -> None:
    p = binary()
    several = Predictions(p.scores, p.labels, p.targets, p.classes, "multiclass")
    with pytest.raises(ValueError, match=r"evaluation.recalibration='platt'.*temperature"):
        choose_recalibration(several, "platt", 0)


def test_state_survives_json() -> None:
    recalibration = choose_recalibration(binary(slope=2.0), "platt", 0)
    again = Recalibration.restore(json.loads(json.dumps(recalibration.state())))
    assert again == recalibration
    p = binary(50, 5)
    assert (recalibrated(p, again).scores == recalibrated(p, recalibration).scores).all()
    old = {"method": "temperature", "slopes": [], "intercepts": [], "temperature": 2.0, "reason": "asked for"}
    assert Recalibration.restore(old) == Recalibration("temperature", temperature=2.0)


def test_reliability_bins_hold_all_rows_and_their_shares() -> None:
    p = binary(1000)
    points = reliability_bins(p.scores[:, 1], p.targets == 1, 10)
    assert sum(point.rows for point in points) == 1000
    assert sum(point.rows * point.observed for point in points) == pytest.approx(p.targets.sum())
    assert all(point.low <= point.observed <= point.high for point in points)


@pytest.mark.parametrize("rule", ["youden", "cost", "sensitivity", "specificity", "f1"])
def test_thresholds_are_the_best_of_all(rule: str) -> None:
    """Against a search over every cut."""
    p = binary(300, seed=6)
    config = StandardEvaluation(cost_false_negative=3.0)
    scores, truth = np.round(p.scores[:, 1], 2), p.targets == 1

    def worth(cut: float) -> float:
        call = scores >= cut
        tp, fp = np.sum(call & truth), np.sum(call & ~truth)
        se, sp = tp / truth.sum(), 1 - fp / (~truth).sum()
        return {
            "youden": se + sp,
            "cost": -(fp + 3 * (truth.sum() - tp)),
            "sensitivity": sp if se >= 0.9 else -1,
            "specificity": se if sp >= 0.9 else -1,
            "f1": 2 * tp / (tp + fp + truth.sum()),
        }[rule]

    found = choose_threshold(rule, scores, truth, config, cost_ratio(config, None))
    assert worth(found) == pytest.approx(max(worth(c) for c in np.append(scores, 1.1)))


def test_thresholds_lie_between_scores() -> None:
    scores = np.array([0.1, 0.2, 0.8, 0.9])
    assert choose_threshold("youden", scores, scores > 0.5, StandardEvaluation(), 1.0) == pytest.approx(0.5)


def test_one_sided_validation_is_reported() -> None:
    p = binary(100)
    one = Predictions(p.scores, p.labels, np.zeros(100, int), p.classes, p.kind)
    chosen = choose_thresholds(one, StandardEvaluation())
    assert chosen.undecided == ["yes"]
    assert chosen.values == {"yes": 0.5}
    assert threshold_points(chosen.cuts, {"test": one}).keys() == {"0.5"}


def test_decision_curve_by_hand() -> None:
    p = binary(500)
    config = StandardEvaluation(decision_thresholds=[0.1, 0.25], resamples=50)
    curve = decision_curve(p, config, 0.3, 0)
    assert curve is not None
    call, yes = p.scores[:, 1] >= 0.25, p.targets == 1
    by_hand = (np.sum(call & yes) - np.sum(call & ~yes) * 0.25 / 0.75) / 500
    assert curve.model[1] == pytest.approx(by_hand)
    assert curve.all[0] == pytest.approx(yes.mean() - (1 - yes.mean()) / 9)
    assert curve.low[1] <= by_hand <= curve.high[1]


def test_logit_is_finite_at_the_edges() -> None:
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()
