"""Conformal sets and intervals: a kept library's on the same numbers, the guarantee on drawn data, units, groups."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from mapie.conformity_scores import APSConformityScore
from mapie.regression import SplitConformalRegressor
from scipy.stats import binomtest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from core.evaluation.config import StandardEvaluation
from core.evaluation.conformal import (
    PixelScores,
    calibrate,
    conformal_quantile,
    coverage,
    fit_residual_scale,
    score_pixels,
)
from core.evaluation.intervals import binomial_interval
from core.evaluation.uncertainty import UncertaintyTerms, measure
from core.oversight.decision_rule import ConformalQuantiles, DecisionRule
from core.targets.prediction_sets import CalibrationScores, nonconformity, prediction_sets
from core.targets.types import Predictions

RNG = np.random.default_rng


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose inputs are its probabilities."""

    def __init__(self, classes: int = 4) -> None:
        self.classes = classes

    def fit(self, x: Any, y: Any) -> Given:
        self.classes_ = np.arange(self.classes)
        self.n_features_in_ = self.classes
        return self

    def predict_proba(self, x: Any) -> Any:
        return np.asarray(x)

    def predict(self, x: Any) -> Any:
        return np.asarray(x).argmax(axis=1)


class Same(RegressorMixin, BaseEstimator):
    """A regressor whose input is its prediction."""

    def fit(self, x: Any, y: Any) -> Same:
        self.n_features_in_ = 1
        return self

    def predict(self, x: Any) -> Any:
        return np.asarray(x)[:, 0]


def drawn(n: int, k: int, seed: int, kind: str = "multiclass", sharp: float = 1.5) -> Predictions:
    """Rows whose truth follows their probabilities."""
    rng = RNG(seed)
    scores = np.exp(sharp * rng.normal(size=(n, k)))
    scores /= scores.sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(k, p=p) for p in scores])
    groups = {"sex": np.where(rng.random(n) < 0.3, "f", "m").astype(np.str_)}
    return Predictions(scores, scores.argmax(axis=1), truth, tuple("abcdefgh"[:k]), kind, groups)


def rule_of(part: Predictions, method: str, **more: Any) -> DecisionRule:
    return DecisionRule(part.kind, part.classes, False, method=method, **more)


def scores_of(rule: DecisionRule, part: Predictions) -> CalibrationScores:
    return part.type.calibration_scores(part, rule.conformal)


def interval_of(rule: DecisionRule, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    region = rule.region(scores, {})
    return region.low, region.high


def calibrated(part: Predictions, method: str, mondrian: str = "none", alpha: float = 0.1) -> DecisionRule:
    return calibrate(rule_of(part, method), part, alpha, mondrian, 30, 0).rule


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.25])
def test_sets_are_those_of_mapie(alpha: float) -> None:
    validation, test = drawn(313, 4, 1), drawn(500, 4, 2)
    theirs = SplitConformalClassifier(
        Given().fit(None, None), confidence_level=1 - alpha, conformity_score="lac", prefit=True
    ).conformalize(validation.scores, validation.targets)
    _, found = theirs.predict_set(test.scores)
    ours = calibrated(validation, "lac", alpha=alpha)
    quantiles = ours.quantiles.of(len(test), {})
    np.testing.assert_array_equal(nonconformity("lac", test.scores) <= quantiles + 1e-12, found[:, :, 0])
    given = ours.region(test.scores, {}).inside
    assert given.any(axis=1).all(), "no set is empty"
    assert (given >= found[:, :, 0]).all()


def test_adaptive_nonconformity_is_mapies() -> None:
    """MAPIE takes a random part of the true class's probability off afterwards; before that the scores are the same."""
    part = drawn(300, 5, 3)
    theirs, _ = APSConformityScore().get_true_label_cumsum_proba(part.targets, part.scores, np.arange(5))
    ours = scores_of(rule_of(part, "aps"), part).score
    np.testing.assert_allclose(ours, theirs[:, 0])


def test_intervals_are_those_of_mapie() -> None:
    rng = RNG(3)
    x, y = rng.normal(size=(211, 1)), rng.normal(size=211)
    new = rng.normal(size=(50, 1))
    theirs = SplitConformalRegressor(Same().fit(None, None), confidence_level=0.9, prefit=True).conformalize(
        x, y
    )
    _, ends = theirs.predict_interval(new)
    part = Predictions(x, x[:, 0], y, (), "regression")
    low, high = interval_of(calibrated(part, "absolute"), new)
    np.testing.assert_allclose(low, ends[:, 0, 0])
    np.testing.assert_allclose(high, ends[:, 1, 0])


@pytest.mark.parametrize("n", [9, 10, 19, 57, 100])
def test_the_quantile_is_the_ceiling_order_statistic(n: int) -> None:
    score = RNG(n).permutation(n).astype(float)
    for alpha in (0.1, 0.2, 0.33):
        rank = int(np.ceil((n + 1) * (1 - alpha) - 1e-9))
        expected = np.inf if rank > n else np.sort(score)[rank - 1]
        assert conformal_quantile(score, np.arange(n), n, alpha) == expected
    assert conformal_quantile(score, np.arange(n), n, 1 / (n + 2)) == np.inf, "too few units for so little"


def test_units_count_once_however_many_rows_they_have() -> None:
    score = np.concatenate([np.arange(20.0), np.full(1000, 50.0)])
    unit = np.concatenate([np.arange(20), np.full(1000, 20)])
    found = conformal_quantile(score, unit, 21, 0.1)
    tried = np.append(np.sort(score), np.inf)

    def risk(q: float) -> float:
        return (sum(np.mean(score[unit == u] > q) for u in range(21)) + 1) / 22

    assert found == min(q for q in tried if risk(q) <= 0.1 + 1e-12) == 19.0
    assert conformal_quantile(score, np.arange(len(score)), len(score), 0.1) == 50.0, (
        "by rows one unit would decide"
    )


@pytest.mark.parametrize("method", ["lac", "aps", "contiguous", "absolute", "normalized", "labels"])
def test_the_guarantee_holds_on_average(method: str) -> None:
    """Over 300 draws the mean coverage is the guaranteed one, up to 1 / (n + 1)."""
    shares = []
    for seed in range(300):
        if method in ("absolute", "normalized"):
            rng = RNG(seed)
            x = rng.normal(size=(299, 1))
            both = Predictions(x, x[:, 0], x[:, 0] + rng.normal(size=299) * np.exp(x[:, 0]), (), "regression")
        elif method == "labels":
            rng = RNG(seed)
            scores = rng.random((299, 5))
            truth = (rng.random((299, 5)) < scores).astype(np.int64)
            both = Predictions(scores, (scores > 0.5).astype(np.int64), truth, tuple("abcde"), "multilabel")
        else:
            both = drawn(299, 4, seed, "ordinal" if method == "contiguous" else "multiclass")
        own = calibrated(both.take(np.arange(199)), "lac" if method == "labels" else method)
        test = both.take(np.arange(199, 299))
        found = coverage(own, test, scores_of(own, test))
        shares.append(np.nan_to_num(found.exact, nan=1.0).mean())
    error = np.std(shares) / np.sqrt(len(shares))
    assert 0.9 - 3 * error <= np.mean(shares) <= 0.9 + 1 / 100 + 3 * error, np.mean(shares)


def test_ordered_sets_have_no_gap_and_grow_from_the_likeliest() -> None:
    part = drawn(400, 6, 5, "ordinal")
    misfit = nonconformity("contiguous", part.scores)
    assert (misfit.argmin(axis=1) == part.scores.argmax(axis=1)).all()
    np.testing.assert_allclose(misfit.max(axis=1), 1.0)
    for cut in (0.3, 0.6, 0.9):
        inside = prediction_sets("contiguous", part.scores, np.full((400, 1), cut))
        steps = np.abs(np.diff(inside.astype(int), axis=1)).sum(axis=1)
        assert ((steps + inside[:, 0] + inside[:, -1]) == 2).all(), "one run of classes"
    by_hand = nonconformity("contiguous", np.array([[0.1, 0.5, 0.15, 0.25]]))
    np.testing.assert_allclose(by_hand, [[1.0, 0.5, 0.65, 0.9]])


def test_groups_get_quantiles_of_their_own_where_enough_units_count() -> None:
    part = drawn(600, 4, 6)
    worse = part.groups["sex"] == "f"
    part.targets[worse] = RNG(0).integers(0, 4, worse.sum())  # of them the scores know nothing
    part.groups["age"] = np.where(np.arange(600) < 12, "old", "young").astype(np.str_)
    made = calibrate(rule_of(part, "lac"), part, 0.1, "groups", 30, 0)
    quantiles = made.rule.quantiles
    own = part.take(worse)
    assert quantiles.by_group["sex"]["f"] == conformal_quantile(
        1 - own.scores[np.arange(len(own)), own.targets], np.arange(len(own)), len(own), 0.1
    )
    assert quantiles.by_group["sex"]["f"] > quantiles.overall > quantiles.by_group["sex"]["m"]
    assert "old" not in quantiles.by_group["age"]
    assert "age old" in made.common_quantile
    rows = {"sex": np.array(["f", "m", "other"]), "age": np.array(["young", "young", "old"])}
    young, widest = quantiles.by_group["age"]["young"], quantiles.by_group["sex"]["f"]
    found = quantiles.of(3, rows)[:, 0]
    assert found.tolist() == [widest, max(quantiles.by_group["sex"]["m"], young), quantiles.overall]
    unknown = quantiles.of(3, {"age": rows["age"]})[:, 0]
    assert (unknown >= widest).all(), "whoever it is, the set is wide enough"
    assert ConformalQuantiles.restore(quantiles.section()) == quantiles
    assert ConformalQuantiles.restore(ConformalQuantiles(np.inf).section()) == ConformalQuantiles(np.inf)


def test_each_class_has_its_own_guaranteed_coverage() -> None:
    validation, test = drawn(3000, 2, 8, "binary", 2.0), drawn(3000, 2, 9, "binary", 2.0)
    for part in (validation, test):  # yes becomes rare
        shifted = part.scores * np.array([1.0, 0.1])
        part.scores[:] = shifted / shifted.sum(axis=1, keepdims=True)
        part.targets[:] = RNG(1).random(3000) < part.scores[:, 1]

    def of_yes(own: DecisionRule) -> float:
        found = coverage(own, test, scores_of(own, test))
        return float(found.covered[test.targets == 1].mean())

    assert of_yes(calibrated(validation, "lac")) < 0.8, "overall coverage forgets the rarer class"
    assert of_yes(calibrated(validation, "lac", "classes")) == pytest.approx(0.9, abs=0.03)


def test_too_few_units_guarantee_nothing_and_it_is_reported() -> None:
    part = replace(drawn(200, 4, 10), units=np.repeat(["p1", "p2", "p3", "p4"], 50).astype(np.str_))
    made = calibrate(rule_of(part, "lac"), part, 0.1, "none", 30, 0)
    assert made.units is None
    assert made.too_few_units == 4
    alone = replace(part, units=None)
    assert made.rule.quantiles == calibrated(alone, "lac").quantiles


def test_normalized_intervals_are_wider_where_errors_were_larger() -> None:
    rng = RNG(11)
    x = rng.uniform(0, 10, size=(1000, 1))
    y = x[:, 0] + rng.normal(size=1000) * x[:, 0]
    part = Predictions(x, x[:, 0], y, (), "regression")
    scale = fit_residual_scale(part, log=False)
    assert list(scale.sizes) == sorted(scale.sizes)
    own = calibrated(part, "normalized")
    low, high = interval_of(own, np.array([[1.0], [9.0]]))
    assert (high - low)[1] > 3 * (high - low)[0]
    logged = replace(calibrated(replace(part, targets=np.abs(y)), "absolute"), log=True)
    low, high = interval_of(logged, np.array([[1.0], [9.0]]))
    assert (low >= 0).all()
    assert (high - low)[1] > (high - low)[0]


def test_pixels_of_an_image_are_the_rows_of_a_unit() -> None:
    rng = RNG(12)
    maps = rng.dirichlet(np.ones(3), size=(40, 4, 6)).transpose(0, 3, 1, 2)
    truth = np.array(
        [[[rng.choice(3, p=p) for p in row] for row in one] for one in maps.transpose(0, 2, 3, 1)]
    )
    truth[:, 0, 0] = 255
    part = Predictions(
        maps.mean(axis=(2, 3)),
        maps.argmax(axis=1),
        truth,
        ("a", "b", "c"),
        "segmentation",
        {},
        sure=np.ones(40),
    )

    class Frame:
        iloc = maps

    scorer = SimpleNamespace(scores=lambda m: m, labels=lambda m: m.argmax(axis=1))
    found = score_pixels(scorer, Frame(), part, 30, 0, "validation")  # type: ignore[arg-type]
    assert isinstance(found, PixelScores)
    assert found.scores.rows == len(found.part) == 30
    assert np.bincount(found.scores.row).tolist() == [23] * 30, "the pixel without a class counts nowhere"
    made = calibrate(rule_of(part, "lac"), part, 0.1, "none", 30, 0, found)
    q = made.rule.quantiles.overall
    misses = [np.mean(found.scores.score[found.scores.row == r] > q) for r in range(30)]
    assert (sum(misses) + 1) / 31 <= 0.1 + 1e-12
    own = coverage(made.rule, found.part, found.scores, found)
    sizes = [np.maximum((1 - top <= q).sum(axis=0), 1).mean() for top in found.probabilities]
    np.testing.assert_allclose(own.size, sizes)
    np.testing.assert_allclose(own.exact, 1 - np.array(misses))


def test_the_measurement_reads_as_guaranteed_with_exact_intervals() -> None:
    validation, test = drawn(400, 4, 20), drawn(900, 4, 21)
    made = calibrate(rule_of(validation, "lac"), validation, 0.1, "none", 30, 0)
    section = measure(
        made.rule,
        test,
        UncertaintyTerms(0.1, 0.25, 1.0, False, made.standard_error),
        StandardEvaluation(resamples=200),
        0,
    )
    found = coverage(made.rule, test, scores_of(made.rule, test))
    exact = binomtest(int(found.covered.sum()), 900).proportion_ci(0.95, "exact")
    assert dict(section.coverage) == {
        "value": pytest.approx(found.covered.mean()),
        "low": pytest.approx(exact.low),
        "high": pytest.approx(exact.high),
    }
    assert section.guarantee.holds
    assert section.guarantee.within
    assert section.guarantee.value == pytest.approx(found.exact.mean())
    assert section.by_group["sex"]["f"].rows == int((test.groups["sex"] == "f").sum())
    inside = test.groups["sex"] == "f"
    assert section.by_group["sex"]["f"].coverage.value == pytest.approx(found.covered[inside].mean())
    assert section.by_class["a"].coverage.value == pytest.approx(found.covered[test.targets == 0].mean())
    drifted = replace(test, targets=RNG(0).integers(0, 4, 900))
    broken = measure(
        made.rule,
        drifted,
        UncertaintyTerms(0.1, 0.25, 1.0, False, made.standard_error),
        StandardEvaluation(resamples=200),
        0,
    )
    assert not broken.guarantee.holds, "other data than validation's is noticed"
    assert binomial_interval(0, 10, 0.95)[0] == 0.0
    assert binomial_interval(10, 10, 0.95)[1] == 1.0


def test_labels_that_apply_are_kept_not_the_many_that_do_not() -> None:
    scores = np.array([[0.9, 0.2, 0.05], [0.4, 0.3, 0.1]])
    part = Predictions(
        scores, (scores > 0.5).astype(int), np.array([[1, 1, 0], [0, 0, 0]]), tuple("abc"), "multilabel"
    )
    own = rule_of(part, "lac", quantiles=ConformalQuantiles(0.75))
    assert own.region(scores, {}).inside.tolist() == [[True, False, False], [True, True, False]]
    truths = scores_of(own, part)
    assert isinstance(truths, CalibrationScores)
    assert truths.row.tolist() == [0, 0]
    found = coverage(own, part, truths)
    assert found.covered[0] == 0.5
    assert np.isnan(found.covered[1]), "no label applies, so none can be missed"
