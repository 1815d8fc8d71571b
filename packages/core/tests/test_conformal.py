"""Conformal sets and intervals: a kept library's on the same numbers, the promise on drawn data, units, groups."""

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
from core.evaluation.conformal import PixelScores, CalibrationScores, calibrate, covered, conformal_quantile, score_pixels, fit_residual_scale, truths_of
from core.evaluation.uncertainty import Terms, clopper_pearson, measure
from core.oversight.decision_rule import ConformalQuantiles, DecisionRule
from core.oversight.prediction_sets import nonconformity, prediction_sets
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
    """A regressor whose input is its answer."""

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


def rules(part: Predictions, method: str, **more: Any) -> DecisionRule:
    return DecisionRule(part.kind, part.classes, False, method=method, **more)


def calibrated(part: Predictions, method: str, mondrian: str = "none", alpha: float = 0.1) -> DecisionRule:
    return calibrate(rules(part, method), part, alpha, mondrian, 30, 0).rules


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.25])
def test_sets_are_those_of_mapie(alpha: float) -> None:
    validation, test = drawn(313, 4, 1), drawn(500, 4, 2)
    theirs = SplitConformalClassifier(
        Given().fit(None, None), confidence_level=1 - alpha, conformity_score="lac", prefit=True
    ).conformalize(validation.scores, validation.targets)
    _, found = theirs.predict_set(test.scores)
    ours = calibrated(validation, "lac", alpha=alpha)
    limits = ours.limits.of(len(test), {})
    np.testing.assert_array_equal(nonconformity("lac", test.scores) <= limits + 1e-12, found[:, :, 0])
    given = ours.sets(test.scores, {})
    assert given.any(axis=1).all(), "no set is empty"
    assert (given >= found[:, :, 0]).all()


def test_adaptive_nonconformity_is_mapies() -> None:
    """MAPIE takes a random part of the true class's probability off afterwards; before that the scores are the same."""
    part = drawn(300, 5, 3)
    theirs, _ = APSConformityScore().get_true_label_cumsum_proba(part.targets, part.scores, np.arange(5))
    ours = truths_of(rules(part, "aps"), part).score
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
    low, high = calibrated(part, "absolute").interval(new, {})
    np.testing.assert_allclose(low, ends[:, 0, 0])
    np.testing.assert_allclose(high, ends[:, 1, 0])


@pytest.mark.parametrize("n", [9, 10, 19, 57, 100])
def test_the_limit_is_the_ceiling_order_statistic(n: int) -> None:
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
    assert conformal_quantile(score, np.arange(len(score)), len(score), 0.1) == 50.0, "by rows one unit would decide"


@pytest.mark.parametrize("method", ["lac", "aps", "contiguous", "absolute", "normalised", "labels"])
def test_the_promise_holds_on_average(method: str) -> None:
    """Over 300 draws the mean coverage is the promised one, up to 1 / (n + 1)."""
    shares = []
    for seed in range(300):
        if method in ("absolute", "normalised"):
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
        found = covered(own, test, truths_of(own, test))
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


def test_groups_get_limits_of_their_own_where_enough_rows_speak() -> None:
    part = drawn(600, 4, 6)
    worse = part.groups["sex"] == "f"
    part.targets[worse] = RNG(0).integers(0, 4, worse.sum())  # of them the scores know nothing
    part.groups["age"] = np.where(np.arange(600) < 12, "old", "young").astype(np.str_)
    made = calibrate(rules(part, "lac"), part, 0.1, "groups", 30, 0)
    limits = made.rules.limits
    own = part.take(worse)
    assert limits.by_group["sex"]["f"] == conformal_quantile(
        1 - own.scores[np.arange(len(own)), own.targets], np.arange(len(own)), len(own), 0.1
    )
    assert limits.by_group["sex"]["f"] > limits.overall > limits.by_group["sex"]["m"]
    assert "old" not in limits.by_group["age"]
    assert any("age old" in note for note in made.notes)
    rows = {"sex": np.array(["f", "m", "other"]), "age": np.array(["young", "young", "old"])}
    young, widest = limits.by_group["age"]["young"], limits.by_group["sex"]["f"]
    found = limits.of(3, rows)[:, 0]
    assert found.tolist() == [widest, max(limits.by_group["sex"]["m"], young), limits.overall]
    unknown = limits.of(3, {"age": rows["age"]})[:, 0]
    assert (unknown >= widest).all(), "whoever it is, the set is wide enough"
    assert ConformalQuantiles.restore(limits.state()) == limits
    assert ConformalQuantiles.restore(ConformalQuantiles(np.inf).state()) == ConformalQuantiles(np.inf)


def test_each_class_is_promised_its_own_coverage() -> None:
    validation, test = drawn(3000, 2, 8, "binary", 2.0), drawn(3000, 2, 9, "binary", 2.0)
    for part in (validation, test):  # yes becomes rare
        shifted = part.scores * np.array([1.0, 0.1])
        part.scores[:] = shifted / shifted.sum(axis=1, keepdims=True)
        part.targets[:] = RNG(1).random(3000) < part.scores[:, 1]

    def of_yes(own: DecisionRule) -> float:
        found = covered(own, test, truths_of(own, test))
        return float(found.covered[test.targets == 1].mean())

    assert of_yes(calibrated(validation, "lac")) < 0.8, "overall coverage forgets the rarer class"
    assert of_yes(calibrated(validation, "lac", "classes")) == pytest.approx(0.9, abs=0.03)


def test_too_few_units_promise_nothing_and_say_so() -> None:
    part = replace(drawn(200, 4, 10), units=np.repeat(["p1", "p2", "p3", "p4"], 50).astype(np.str_))
    made = calibrate(rules(part, "lac"), part, 0.1, "none", 30, 0)
    assert made.units is None
    assert "nothing is promised" in made.notes[0]
    alone = replace(part, units=None)
    assert made.rules.limits == calibrated(alone, "lac").limits


def test_normalised_intervals_are_wider_where_errors_were_larger() -> None:
    rng = RNG(11)
    x = rng.uniform(0, 10, size=(1000, 1))
    y = x[:, 0] + rng.normal(size=1000) * x[:, 0]
    part = Predictions(x, x[:, 0], y, (), "regression")
    spread = fit_residual_scale(part, log=False)
    assert list(spread.sizes) == sorted(spread.sizes)
    own = calibrated(part, "normalised")
    low, high = own.interval(np.array([[1.0], [9.0]]), {})
    assert (high - low)[1] > 3 * (high - low)[0]
    logged = replace(calibrated(replace(part, targets=np.abs(y)), "absolute"), log=True)
    low, high = logged.interval(np.array([[1.0], [9.0]]), {})
    assert (low >= 0).all()
    assert (high - low)[1] > (high - low)[0]


def test_pixels_of_a_picture_are_the_rows_of_a_unit() -> None:
    rng = RNG(12)
    maps = rng.dirichlet(np.ones(3), size=(40, 4, 6)).transpose(0, 3, 1, 2)
    truth = np.array(
        [[[rng.choice(3, p=p) for p in row] for row in one] for one in maps.transpose(0, 2, 3, 1)]
    )
    truth[:, 0, 0] = 255
    part = Predictions(
        maps.mean(axis=(2, 3)), maps.argmax(axis=1), truth, ("a", "b", "c"), "mask", {}, sure=np.ones(40)
    )

    class Frame:
        iloc = maps

    scorer = SimpleNamespace(scores=lambda m: m, labels=lambda m: m.argmax(axis=1))
    found = score_pixels(scorer, Frame(), part, 30, 0, "validation")  # type: ignore[arg-type]
    assert isinstance(found, PixelScores)
    assert found.truths.rows == len(found.part) == 30
    assert np.bincount(found.truths.row).tolist() == [23] * 30, "the pixel without a class counts nowhere"
    made = calibrate(rules(part, "lac"), part, 0.1, "none", 30, 0, found)
    q = made.rules.limits.overall
    misses = [np.mean(found.truths.score[found.truths.row == r] > q) for r in range(30)]
    assert (sum(misses) + 1) / 31 <= 0.1 + 1e-12
    own = covered(made.rules, found.part, found.truths, found)
    sizes = [np.maximum((1 - top <= q).sum(axis=0), 1).mean() for top in found.tops]
    np.testing.assert_allclose(own.size, sizes)
    np.testing.assert_allclose(own.exact, 1 - np.array(misses))


def test_the_measurement_reads_as_promised_with_exact_intervals() -> None:
    validation, test = drawn(400, 4, 20), drawn(900, 4, 21)
    made = calibrate(rules(validation, "lac"), validation, 0.1, "none", 30, 0)
    section = measure(
        made.rules, test, Terms(0.1, 0.25, 1.0, False, made.noise), StandardEvaluation(resamples=200), 0
    )
    found = covered(made.rules, test, truths_of(made.rules, test))
    exact = binomtest(int(found.covered.sum()), 900).proportion_ci(0.95, "exact")
    assert section["coverage"] == {
        "value": pytest.approx(found.covered.mean()),
        "low": pytest.approx(exact.low),
        "high": pytest.approx(exact.high),
    }
    assert section["promise"]["holds"]
    assert section["promise"]["within"]
    assert section["promise"]["value"] == pytest.approx(found.exact.mean())
    assert section["by_group"]["sex"]["f"]["rows"] == int((test.groups["sex"] == "f").sum())
    inside = test.groups["sex"] == "f"
    assert section["by_group"]["sex"]["f"]["coverage"]["value"] == pytest.approx(found.covered[inside].mean())
    assert section["by_class"]["a"]["coverage"]["value"] == pytest.approx(
        found.covered[test.targets == 0].mean()
    )
    drifted = replace(test, targets=RNG(0).integers(0, 4, 900))
    broken = measure(
        made.rules, drifted, Terms(0.1, 0.25, 1.0, False, made.noise), StandardEvaluation(resamples=200), 0
    )
    assert not broken["promise"]["holds"], "other data than validation's is noticed"
    assert clopper_pearson(0, 10, 0.95)[0] == 0.0
    assert clopper_pearson(10, 10, 0.95)[1] == 1.0


def test_labels_that_apply_are_kept_not_the_many_that_do_not() -> None:
    scores = np.array([[0.9, 0.2, 0.05], [0.4, 0.3, 0.1]])
    part = Predictions(
        scores, (scores > 0.5).astype(int), np.array([[1, 1, 0], [0, 0, 0]]), tuple("abc"), "multilabel"
    )
    own = rules(part, "lac", limits=ConformalQuantiles(0.75))
    assert own.sets(scores, {}).tolist() == [[True, False, False], [True, True, False]]
    truths = truths_of(own, part)
    assert isinstance(truths, CalibrationScores)
    assert truths.row.tolist() == [0, 0]
    found = covered(own, part, truths)
    assert found.covered[0] == 0.5
    assert np.isnan(found.covered[1]), "no label applies, so none can be missed"
