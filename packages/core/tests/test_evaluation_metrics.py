"""Every weighted metric equals scikit-learn's and its own scalar form, also with tied scores."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from core.evaluation.config import StandardEvaluation
from core.evaluation.intervals import point
from core.evaluation.thresholds import EXPONENTS, balance_classes, choose_thresholds, metric_settings
from core.targets.bootstrap_metrics import calibration_error
from core.targets.intent_slots import IntentSlotsTarget
from core.targets.recalibration import logistic_recalibration, logit
from core.targets.roc import RocCurve
from core.targets.segmentation import SegmentationTarget
from core.targets.types import Predictions, Statistic, Target, target_type


def predictions(kind: str, n: int = 400, seed: int = 0, tied: bool = False) -> Predictions:
    """Make scores that know something of the truth."""
    rng = np.random.default_rng(seed)
    k = {"binary": 2, "multiclass": 4, "ordinal": 5, "multilabel": 3, "regression": 1}[kind]
    classes = tuple("abcde"[:k])
    if kind == "regression":
        truth = rng.normal(50, 10, n)
        values = truth + rng.normal(0, 5, n)
        return Predictions(values[:, None], values, truth, (), kind)
    if kind == "multilabel":
        truth = (rng.random((n, k)) < [0.3, 0.5, 0.1]).astype(np.int64)
        scores = 1 / (1 + np.exp(-(1.5 * truth - 1 + rng.normal(size=(n, k)))))
        scores = np.round(scores, 1) if tied else scores
        return Predictions(scores, (scores >= 0.5).astype(np.int64), truth, classes, kind)
    truth = rng.integers(k, size=n)
    z = 1.2 * np.eye(k)[truth] + rng.normal(size=(n, k))
    scores = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    if tied:
        scores = np.round(scores, 1) + 0.01
        scores /= scores.sum(axis=1, keepdims=True)
    return Predictions(scores, scores.argmax(axis=1), truth, classes, kind)


def default_statistics(p: Predictions, config: StandardEvaluation) -> list[Statistic]:
    return p.type.statistics(p.classes, metric_settings(config, choose_thresholds(p, config)))


def computed(p: Predictions, weights: np.ndarray | None = None) -> dict[str, float]:
    """Compute the default metrics, on weighted rows where weights are given."""
    statistics = default_statistics(p, StandardEvaluation())
    if weights is None:
        return point(statistics, p)
    named: dict[str, float] = {}
    for statistic in statistics:
        named |= dict(zip(statistic.names, statistic.prepare(p)(weights[None])[0], strict=True))
    return named


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_rank_metrics_equal_sklearn(tied: bool, weighted: bool) -> None:
    p = predictions("binary", tied=tied)
    w = np.random.default_rng(1).integers(0, 4, len(p)).astype(float) if weighted else np.ones(len(p))
    found = computed(p, w)
    assert found["auroc"] == pytest.approx(
        sk.roc_auc_score(p.targets, p.scores[:, 1], sample_weight=w), abs=1e-12
    )
    expected = sk.average_precision_score(p.targets, p.scores[:, 1], sample_weight=w)
    assert found["auprc"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("tied", [False, True])
def test_ranking_counts_many_weightings_as_one_by_one(tied: bool) -> None:
    p = predictions("binary", 120, tied=tied)
    weights = np.random.default_rng(2).integers(0, 3, (7, len(p))).astype(float)
    together = RocCurve(p.scores[:, 1], p.targets == 1).auroc_auprc(weights)
    for row, w in zip(together, weights, strict=True):
        assert row[0] == pytest.approx(
            sk.roc_auc_score(p.targets, p.scores[:, 1], sample_weight=w), abs=1e-12
        )


def test_binary_metrics_equal_sklearn() -> None:
    p = predictions("binary")
    w = np.random.default_rng(3).integers(0, 4, len(p)).astype(float)
    found = computed(p, w)
    y, label, chance = p.targets, p.labels, p.scores[:, 1]
    assert found["f1"] == pytest.approx(sk.f1_score(y, label, sample_weight=w))
    assert found["macro_f1"] == pytest.approx(sk.f1_score(y, label, sample_weight=w, average="macro"))
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, label, sample_weight=w))
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, label, sample_weight=w))
    assert found["sensitivity"] == pytest.approx(sk.recall_score(y, label, sample_weight=w))
    assert found["specificity"] == pytest.approx(sk.recall_score(y, label, sample_weight=w, pos_label=0))
    assert found["log_loss"] == pytest.approx(sk.log_loss(y, chance, sample_weight=w))
    assert found["brier"] == pytest.approx(sk.brier_score_loss(y, chance, sample_weight=w))


def test_ppv_and_npv_at_own_prevalence_are_precisions() -> None:
    """At the sample's prevalence Bayes' rule gives the plain shares back."""
    p = predictions("binary")
    found = computed(p)
    assert found["ppv"] == pytest.approx(sk.precision_score(p.targets, p.labels))
    assert found["npv"] == pytest.approx(sk.precision_score(p.targets, p.labels, pos_label=0))


def test_ppv_at_a_stated_prevalence_follows_bayes() -> None:
    p = predictions("binary")
    config = StandardEvaluation(prevalence=0.01)
    found = point(default_statistics(p, config), p)
    se, sp = found["sensitivity"], found["specificity"]
    assert found["ppv"] == pytest.approx(se * 0.01 / (se * 0.01 + (1 - sp) * 0.99))
    assert found["npv"] == pytest.approx(sp * 0.99 / (sp * 0.99 + (1 - se) * 0.01))


def test_net_benefit_by_hand() -> None:
    p = predictions("binary")
    config = StandardEvaluation(cost_false_positive=1.0, cost_false_negative=4.0)
    found = point(default_statistics(p, config), p)
    call = p.scores[:, 1] >= 0.2
    hits, false = np.sum(call & (p.targets == 1)), np.sum(call & (p.targets == 0))
    assert found["net_benefit"] == pytest.approx((hits - false * 0.2 / 0.8) / len(p))


@pytest.mark.parametrize("kind", ["multiclass", "ordinal"])
def test_class_metrics_equal_sklearn(kind: str) -> None:
    p = predictions(kind)
    w = np.random.default_rng(4).integers(0, 4, len(p)).astype(float)
    found = computed(p, w)
    y, label = p.targets, p.labels
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, label, sample_weight=w))
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, label, sample_weight=w))
    assert found["macro_f1"] == pytest.approx(sk.f1_score(y, label, average="macro", sample_weight=w))
    assert found["log_loss"] == pytest.approx(sk.log_loss(y, p.scores, sample_weight=w))
    each = [sk.roc_auc_score(y == k, p.scores[:, k], sample_weight=w) for k in range(len(p.classes))]
    assert found["macro_auroc"] == pytest.approx(np.mean(each))
    assert found["auroc_b"] == pytest.approx(each[1])
    recall = sk.recall_score(y, label, average=None, sample_weight=w)
    assert [found[f"recall_{c}"] for c in p.classes] == pytest.approx(list(recall))
    if kind == "ordinal":
        kappa = sk.cohen_kappa_score(y, label, weights="quadratic", sample_weight=w)
        assert found["qwk"] == pytest.approx(kappa)
        assert found["mae"] == pytest.approx(sk.mean_absolute_error(y, label, sample_weight=w))


def test_label_metrics_equal_sklearn() -> None:
    p = predictions("multilabel")
    w = np.random.default_rng(5).integers(0, 4, len(p)).astype(float)
    found = computed(p, w)
    y, label = p.targets, p.labels
    assert found["macro_f1"] == pytest.approx(sk.f1_score(y, label, average="macro", sample_weight=w))
    assert found["micro_f1"] == pytest.approx(sk.f1_score(y, label, average="micro", sample_weight=w))
    assert found["exact_match"] == pytest.approx(sk.accuracy_score(y, label, sample_weight=w))
    assert found["hamming_loss"] == pytest.approx(sk.hamming_loss(y, label, sample_weight=w))
    assert found["macro_auroc"] == pytest.approx(
        sk.roc_auc_score(y, p.scores, average="macro", sample_weight=w)
    )
    expected = sk.average_precision_score(y, p.scores, average="macro", sample_weight=w)
    assert found["macro_auprc"] == pytest.approx(expected)


def test_value_metrics_equal_sklearn_and_numpy() -> None:
    p = predictions("regression")
    w = np.random.default_rng(6).integers(0, 4, len(p)).astype(float)
    found = computed(p, w)
    y, predicted = p.targets, p.scores[:, 0]
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(y, predicted, sample_weight=w))
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(y, predicted, sample_weight=w))
    assert found["r2"] == pytest.approx(sk.r2_score(y, predicted, sample_weight=w))
    repeated = np.repeat(np.arange(len(p)), w.astype(int))
    assert found["pearson"] == pytest.approx(np.corrcoef(y[repeated], predicted[repeated])[0, 1])
    slope, intercept = np.polyfit(predicted[repeated], y[repeated], 1)
    assert (found["calibration_slope"], found["calibration_intercept"]) == pytest.approx((slope, intercept))


@pytest.mark.parametrize("n", [150, 3000])
def test_recalibration_equals_sklearn_on_every_resample(n: int) -> None:
    """Also where the solution is found from sums alone (large n), and where it is not (small n)."""
    p = predictions("binary", n)
    odds, truth = logit(p.scores[:, 1]), (p.targets == 1).astype(float)
    weights = np.random.default_rng(7).multinomial(n, np.full(n, 1 / n), size=6).astype(float)
    found = logistic_recalibration(odds, truth, weights)
    for (intercept, slope), w in zip(found, weights, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = LogisticRegression(C=1e12, tol=1e-10, max_iter=1000).fit(
                odds[:, None], truth, sample_weight=w
            )
        assert slope == pytest.approx(fit.coef_[0, 0], abs=1e-4)
        assert intercept == pytest.approx(fit.intercept_[0], abs=1e-4)


def test_recalibration_of_separable_classes_is_undefined() -> None:
    odds = np.array([-2.0, -1.0, 1.0, 2.0])
    assert np.isnan(logistic_recalibration(odds, np.array([0.0, 0, 1, 1]), np.ones((1, 4)))).all()
    assert np.isnan(logistic_recalibration(odds, np.ones(4), np.ones((1, 4)))).all()


def test_calibration_error_by_hand() -> None:
    scores = np.array([[0.95, 0.05], [0.9, 0.1], [0.2, 0.8], [0.25, 0.75]])
    p = Predictions(scores, np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0]), ("no", "yes"), "binary")
    # two bins: forecasts 0.05 + 0.1 against one yes, 0.8 + 0.75 against one yes, over four rows
    expected = (abs(0.15 - 1) + abs(1.55 - 1)) / 4
    assert point([calibration_error(2)], p)["ece"] == pytest.approx(expected)


def utterances(n: int = 80) -> tuple[Target, Predictions]:
    rng = np.random.default_rng(8)
    classes, slots = ("off", "on"), ("area", "name")
    words = rng.choice([-1, 0, 1, 2, 3, 4], (n, 4))
    truth = np.column_stack([rng.integers(2, size=n), np.sort(words)[:, ::-1]])
    labels = np.where(rng.random(truth.shape) < 0.2, 0, truth)
    chance = rng.dirichlet(np.ones(2), n)
    target = IntentSlotsTarget("intent", "text", "slots", classes, slots, 4)
    scores = np.column_stack([chance, np.ones(n), labels[:, 1:]])
    return target, target.predictions(scores, labels, truth)


def masks(n: int = 30) -> tuple[Target, Predictions]:
    rng = np.random.default_rng(9)
    truth = rng.integers(0, 3, (n, 4, 5)).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.1] = 255
    labels = np.where(rng.random(truth.shape) < 0.3, 1, np.minimum(truth, 2)).astype(np.uint8)
    target = SegmentationTarget("mask", ("a", "b", "c"), (1.0, 1.0, 1.0), (4, 5))
    return target, target.predictions(rng.dirichlet(np.ones(3), n), labels, truth, sure=np.ones(n))


def simple(kind: str) -> tuple[Target, Predictions]:
    p = predictions(kind, 150, seed=10, tied=True)
    state = {"column": "y", "columns": ["y"], "classes": list(p.classes), "weights": [], "prior": []}
    return target_type(kind).from_state(state), p


KINDS = ("binary", "multiclass", "ordinal", "multilabel", "regression", "intent_slots", "segmentation")


@pytest.mark.parametrize("kind", KINDS)
def test_scalar_and_weighted_forms_are_one_metric(kind: str) -> None:
    """Both go into the record, so on every resample they must say the same."""
    target, p = {"intent_slots": utterances, "segmentation": masks}.get(kind, lambda: simple(kind))()
    rng = np.random.default_rng(11)
    statistics = default_statistics(p, StandardEvaluation())
    scalar = target.metrics()
    assert set(scalar) <= {name for statistic in statistics for name in statistic.names}
    for weights in (
        np.ones(len(p)),
        *rng.multinomial(len(p), np.full(len(p), 1 / len(p)), size=3).astype(float),
    ):
        drawn = p.take(np.repeat(np.arange(len(p)), weights.astype(int)))
        for statistic in statistics:
            values = statistic.prepare(p)(weights[None])[0]
            for name, value in zip(statistic.names, values, strict=True):
                if name in scalar:
                    assert scalar[name](drawn) == pytest.approx(value, rel=1e-9, nan_ok=True), name


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_one_sided_truth_gives_nan_and_no_exception(kind: str) -> None:
    p = predictions(kind, 60)
    one = Predictions(p.scores, p.labels, np.zeros_like(p.targets), p.classes, kind)
    found = computed(one)
    assert np.isnan(found["auroc" if kind == "binary" else "macro_auroc"])


def test_balanced_rule_weighs_rare_classes_up_on_validation_only() -> None:
    rng = np.random.default_rng(3)
    truth = rng.choice(3, 4000, p=(0.85, 0.1, 0.05))
    logits = np.eye(3)[truth] * 1.2 + rng.normal(0, 1, (4000, 3)) + np.log([0.85, 0.1, 0.05])
    scores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = balance_classes(Predictions(scores, scores.argmax(1), truth, ("a", "b", "c"), "multiclass"))
    shares = np.bincount(truth) / 4000
    by_exponent = {e: sk.balanced_accuracy_score(truth, (scores / shares**e).argmax(1)) for e in EXPONENTS}
    assert found.exponent == max(by_exponent, key=by_exponent.__getitem__) > 0
    assert found.values == pytest.approx(dict(zip("abc", shares**found.exponent, strict=True)))
    assert by_exponent[found.exponent] > by_exponent[0.0] + 0.1
    binary = Predictions(scores[:, :2], truth, truth, ("a", "b"), "binary")
    with pytest.raises(ValueError, match=r"evaluation\.threshold_rule"):
        balance_classes(binary)
