"""Our metrics against scikit-learn's on the same numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from core.targets import metrics as m
from core.targets.roc import RocCurve
from core.targets.types import Predictions

CLASSES = ("a", "b", "c", "d")


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def binary(rng):
    truth = (rng.random(501) < 0.3).astype(np.int64)
    # Rounded, so that ties occur.
    p = np.clip(np.round(0.4 * truth + 0.6 * rng.random(501), 2), 0.01, 0.99)
    return Predictions(
        np.stack([1 - p, p], axis=1), (p >= 0.5).astype(np.int64), truth, ("no", "yes"), "binary"
    )


@pytest.fixture
def multiclass(rng):
    truth = rng.integers(0, 4, 400)
    scores = softmax(np.round(rng.normal(size=(400, 4)) + 1.5 * np.eye(4)[truth], 1))
    return Predictions(scores, scores.argmax(axis=1), truth, CLASSES, "multiclass")


@pytest.fixture
def multilabel(rng):
    truth = (rng.random((300, 4)) < [0.1, 0.3, 0.5, 0.05]).astype(np.int64)
    scores = np.round(np.clip(0.3 * truth + 0.7 * rng.random((300, 4)), 0.01, 0.99), 2)
    return Predictions(scores, (scores >= 0.5).astype(np.int64), truth, CLASSES, "multilabel")


def test_binary_metrics_equal_sklearn(binary):
    truth, p, labels = binary.targets, binary.scores[:, 1], binary.labels
    expected = {
        m.auroc: sk.roc_auc_score(truth, p),
        m.auprc: sk.average_precision_score(truth, p),
        m.accuracy: sk.accuracy_score(truth, labels),
        m.balanced_accuracy: sk.balanced_accuracy_score(truth, labels),
        m.f1: sk.f1_score(truth, labels),
        m.macro_f1: sk.f1_score(truth, labels, average="macro"),
        m.sensitivity: sk.recall_score(truth, labels),
        m.specificity: sk.recall_score(truth, labels, pos_label=0),
        m.log_loss: sk.log_loss(truth, p),
        m.brier: sk.brier_score_loss(truth, p),
    }
    for ours, theirs in expected.items():
        assert ours(binary) == pytest.approx(theirs, abs=1e-12), ours.__name__


def test_multiclass_metrics_equal_sklearn(multiclass):
    truth, scores, labels = multiclass.targets, multiclass.scores, multiclass.labels
    one_hot = np.eye(4)[truth]
    expected = {
        m.macro_auroc: sk.roc_auc_score(truth, scores, multi_class="ovr", average="macro"),
        m.macro_auprc: sk.average_precision_score(one_hot, scores, average="macro"),
        m.accuracy: sk.accuracy_score(truth, labels),
        m.balanced_accuracy: sk.balanced_accuracy_score(truth, labels),
        m.macro_f1: sk.f1_score(truth, labels, average="macro"),
        m.log_loss: sk.log_loss(truth, scores),
        m.brier: np.mean(((scores - one_hot) ** 2).sum(axis=1)),
        m.per_class_auroc(CLASSES)["auroc_c"]: sk.roc_auc_score(one_hot[:, 2], scores[:, 2]),
    }
    for ours, theirs in expected.items():
        assert ours(multiclass) == pytest.approx(theirs, abs=1e-12), ours.__name__


def test_multilabel_metrics_equal_sklearn(multilabel):
    truth, scores, labels = multilabel.targets, multilabel.scores, multilabel.labels
    expected = {
        m.macro_auroc: sk.roc_auc_score(truth, scores, average="macro"),
        m.macro_auprc: sk.average_precision_score(truth, scores, average="macro"),
        m.macro_f1: sk.f1_score(truth, labels, average="macro"),
        m.micro_f1: sk.f1_score(truth, labels, average="micro"),
        m.exact_match: sk.accuracy_score(truth, labels),
        m.log_loss: np.mean([sk.log_loss(truth[:, k], scores[:, k]) for k in range(4)]),
        m.brier: np.mean((scores - truth) ** 2),
    }
    for ours, theirs in expected.items():
        assert ours(multilabel) == pytest.approx(theirs, abs=1e-12), ours.__name__


def test_ordinal_metrics_equal_sklearn(multiclass):
    multiclass.kind = "ordinal"
    truth, labels = multiclass.targets, multiclass.labels
    assert m.qwk(multiclass) == pytest.approx(
        sk.cohen_kappa_score(truth, labels, weights="quadratic"), abs=1e-12
    )
    assert m.mae(multiclass) == pytest.approx(sk.mean_absolute_error(truth, labels), abs=1e-12)
    assert m.adjacent(multiclass) == pytest.approx(np.mean(np.abs(truth - labels) < 1.5), abs=1e-12)


def test_regression_metrics_equal_sklearn(rng):
    truth = rng.normal(50, 20, 200)
    values = truth + rng.normal(0, 9, 200)
    p = Predictions(values[:, None], values, truth, (), "regression")
    assert m.rmse(p) == pytest.approx(sk.root_mean_squared_error(truth, values), rel=1e-12)
    assert m.mae(p) == pytest.approx(sk.mean_absolute_error(truth, values), rel=1e-12)
    assert m.r2(p) == pytest.approx(sk.r2_score(truth, values), rel=1e-12)


def test_resamples_use_the_ranks_of_their_source_and_equal_sklearn(binary, multiclass, rng):
    for _ in range(5):
        rows = rng.integers(0, len(binary), len(binary))
        taken = binary.take(rows).take(np.arange(0, len(binary), 2))
        p, truth = taken.scores[:, 1], taken.targets
        assert m.auroc(taken) == pytest.approx(sk.roc_auc_score(truth, p), abs=1e-12)
        assert m.auprc(taken) == pytest.approx(sk.average_precision_score(truth, p), abs=1e-12)
        few = multiclass.take(rng.integers(0, len(multiclass), 120))
        expected = sk.roc_auc_score(few.targets, few.scores, multi_class="ovr")
        assert m.macro_auroc(few) == pytest.approx(expected, abs=1e-12)


def test_new_scores_never_keep_old_ranks(binary):
    import dataclasses

    m.auroc(binary)
    turned = dataclasses.replace(binary, scores=binary.scores[:, ::-1])
    assert m.auroc(turned) == pytest.approx(1.0 - m.auroc(binary), abs=1e-12)


def test_undefined_metrics_are_nan_and_absent_classes_are_left_out(binary, multiclass):
    healthy = binary.take(binary.targets == 0)
    assert math.isnan(m.auroc(healthy))
    assert math.isnan(m.auprc(healthy))
    assert math.isnan(m.sensitivity(healthy))
    assert m.balanced_accuracy(healthy) == m.specificity(healthy)
    some = multiclass.take(multiclass.targets != 3)
    present = [sk.roc_auc_score(some.targets == k, some.scores[:, k]) for k in range(3)]
    assert m.macro_auroc(some) == pytest.approx(np.mean(present), abs=1e-12)
    assert math.isnan(m.per_class_auroc(CLASSES)["auroc_d"](some))
    theirs = sk.f1_score(some.targets, some.labels, average="macro")
    assert m.macro_f1(some) == pytest.approx(theirs, abs=1e-12)
    nothing = binary.take(np.empty(0, np.int64))
    for metric in (m.auroc, m.accuracy, m.log_loss, m.brier, m.macro_f1):
        assert math.isnan(metric(nothing)), metric.__name__


def test_resamples_are_not_sorted_again(rng, monkeypatch):
    truth = (rng.random(2_000) < 0.1).astype(np.int64)
    p = rng.random(2_000)
    many = Predictions(np.stack([1 - p, p], axis=1), (p > 0.5).astype(np.int64), truth, ("n", "y"), "binary")
    rows = [rng.integers(0, 2_000, 2_000) for _ in range(5)]
    many.ranks()
    sorts = []
    monkeypatch.setattr(np, "unique", lambda *a, **k: sorts.append(1))  # ranks are made of np.unique
    found = [(m.auroc(taken), m.auprc(taken)) for taken in map(many.take, rows)]
    monkeypatch.undo()
    assert sorts == []
    for chosen, (auroc, auprc) in zip(rows, found, strict=True):
        assert auroc == pytest.approx(sk.roc_auc_score(truth[chosen], p[chosen]), abs=1e-12)
        assert auprc == pytest.approx(sk.average_precision_score(truth[chosen], p[chosen]), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_quadratic_kappa_equals_sklearn_and_neither_order_nor_scale_matters(pairs):
    a, b = np.array(pairs).T
    kappa = m.quadratic_kappa(a, b)
    if len(set(a) | set(b)) == 1:
        assert math.isnan(kappa)
        return
    assert kappa == pytest.approx(sk.cohen_kappa_score(a, b, weights="quadratic", labels=range(5)), abs=1e-12)
    assert m.quadratic_kappa(b, a) == pytest.approx(kappa, abs=1e-12)
    assert m.quadratic_kappa(0.1 * a + 7.3, 0.1 * b + 7.3) == pytest.approx(kappa, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40))
def test_auroc_equals_sklearn_and_turns_round_with_the_scores(rows):
    scores, truth = np.array([s for s, _ in rows]), np.array([t for _, t in rows])
    area = m.auroc_of(scores, truth)
    if truth.all() or not truth.any():
        assert math.isnan(area)
        return
    assert area == pytest.approx(sk.roc_auc_score(truth, scores), abs=1e-12)
    assert m.auroc_of(-scores, truth) == pytest.approx(1 - area, abs=1e-12)
    assert RocCurve(scores.astype(float), truth).auroc_auprc(np.ones((1, len(rows))))[0, 0] == pytest.approx(
        area
    )
