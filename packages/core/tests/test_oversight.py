"""Oversight: who decides, thresholds by cost, share and agreement, refusals before training, the declarations' rule."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.types import ColumnRoles
from core.evaluation.config import StandardEvaluation
from core.evaluation.deferral import accuracy_threshold, cost_threshold, fraction_threshold
from core.evaluation.selective import bin_by_confidence, risk_curve
from core.evaluation.uncertainty import UncertaintyTerms, measure
from core.oversight.config import (
    DEFERRALS,
    METHODS,
    NoOversight,
    StandardOversight,
    check_target,
    conformal_method,
    mondrian,
)
from core.oversight.decision_rule import (
    ADVICE,
    CONFIRM,
    DECISIONS,
    DEFER_ALL,
    MODEL,
    UNSURE,
    ConformalQuantiles,
    DecisionRule,
    count_decisions,
    missing_confirm_classes,
    rule_of_declaration,
)
from core.oversight.declaration import Oversight
from core.oversight.section import DecisionCounts, RuleSection
from core.report.record import plain
from core.report.sentences.oversight import counts
from core.targets.prediction_sets import IntervalRegion, ResidualScale, SetRegion
from core.targets.types import Predictions, target_type

DECLARED = Oversight(
    intended_use="To try.",
    affected=("nobody",),
    forbidden_uses=("anything else",),
    human_decides=("always",),
    responsible="the tester",
    acts=True,
    confirm=("open", "fly"),
    confirm_words=("oven",),
)


def multiclass(n: int = 400, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet(np.full(3, 0.5), size=n)
    truth = np.array([rng.choice(3, p=p) for p in scores])
    groups = {"sex": np.where(rng.random(n) < 0.5, "f", "m").astype(np.str_)}
    return Predictions(scores, scores.argmax(axis=1), truth, ("open", "close", "wait"), "multiclass", groups)


def test_the_unsure_go_to_a_human_and_some_wait_for_a_yes() -> None:
    rules = replace(
        rule_of_declaration(DECLARED, "multiclass", ("open", "close", "wait"), ["wait"], ["stove"]),
        method="lac",
        threshold=0.6,
        quantiles=ConformalQuantiles(0.5),
    )
    assert rules.confirm == ("open", "wait")
    assert missing_confirm_classes(DECLARED, ("open", "close", "wait")) == ["fly"]
    scores = np.array([[0.9, 0.1, 0.0], [0.1, 0.9, 0.0], [0.45, 0.55, 0.0], [0.1, 0.9, 0.0], [0.1, 0.9, 0.0]])
    texts = ["x", "close it", "the oven", "the Oven, please", "ovens"]
    found = rules.decide(scores, scores.argmax(axis=1), {}, texts)
    assert found.decision.tolist() == [CONFIRM, MODEL, UNSURE, CONFIRM, MODEL], "whole words, in any case"
    assert count_decisions(found.decision) == DecisionCounts(rows=5, model=2, unsure=1, confirm=2)
    assert counts(found.counts()) == "3 of 5 go to a human (1 unsure, 2 to confirm)"
    assert isinstance(found.region, SetRegion)
    assert found.region.inside.tolist()[2] == [False, True, False]
    advising = replace(rules, acts=False).decide(scores, scores.argmax(axis=1), {}, texts)
    assert advising.decision.tolist() == [CONFIRM, ADVICE, UNSURE, CONFIRM, ADVICE]


def test_yes_is_confirmed_whatever_the_data_call_it() -> None:
    declared = replace(DECLARED, confirm=(), confirm_words=(), confirm_positive=True)
    rules = rule_of_declaration(declared, "binary", ("genuine", "fraud"), [], [])
    assert rules.confirm == ("fraud",)
    found = rules.decide(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1]), {})
    assert found.decision.tolist() == [MODEL, CONFIRM]
    assert found.confidence is None, "without a method nothing is unsure"


def test_other_kinds_of_answers_wait_too() -> None:
    labels = np.array([[1, 0, 1], [0, 1, 0]])
    many = DecisionRule("multilabel", ("a", "b", "c"), True, confirm=("c",))
    assert many.decide(np.ones((2, 3)), labels, {}).decision.tolist() == [CONFIRM, MODEL]
    spoken = DecisionRule("intent_slots", ("on", "off"), True, confirm=("off",))
    rows = np.array([[0, -1], [1, -1]])
    assert spoken.decide(np.ones((2, 4)), rows, {}).decision.tolist() == [MODEL, CONFIRM]
    masks = DecisionRule("segmentation", ("road", "person"), True, confirm=("person",))
    images = np.zeros((2, 2, 2), np.uint8)
    images[1, 0, 0] = 1
    found = masks.decide(np.ones((2, 2)), images, {}, sure=np.ones(2))
    assert found.decision.tolist() == [MODEL, CONFIRM]


def test_confidence_is_of_the_answer_that_was_given() -> None:
    scores = np.array([[0.8, 0.2], [0.4, 0.6]])
    binary = DecisionRule("binary", ("no", "yes"), True)
    assert binary.confidence(scores, np.array([1, 1])).tolist() == [0.2, 0.6]
    labels = DecisionRule("multilabel", ("a", "b"), True)
    assert labels.confidence(scores, np.array([[1, 0], [0, 1]])) == pytest.approx([0.64, 0.36])
    spoken = DecisionRule("intent_slots", ("on", "off"), True)
    tokens = np.array([[0.7, 0.3, 0.5, -1.0]])
    assert spoken.confidence(tokens, np.array([[0, 3]])) == pytest.approx([0.35])


def test_rules_come_back_from_json() -> None:
    rules = DecisionRule(
        "regression", (), True, (), ("oven",), "normalized",
        ConformalQuantiles(float("inf"), {"sex": {"f": 1.0}}, ()), 0.3, ResidualScale((1.0,), (0.5, 2.0)), True,
    )  # fmt: skip
    assert DecisionRule.restore(RuleSection.model_validate_json(json.dumps(plain(rules.section())))) == rules
    found = rules.decide(np.array([[0.2], [3.0]]), np.zeros(2), {})
    assert isinstance(found.region, IntervalRegion)
    assert (found.region.low <= [0.2, 3.0]).all()
    assert np.isinf(found.region.high).all(), "too few rows for a quantile: anything is possible"


def test_thresholds_by_cost_fraction_and_accuracy() -> None:
    sure = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    loss = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 1.0])
    # deferring one costs 0.3 + 1 wrong left = 1.3; two 1.6; three 0.9: least; none 2
    assert cost_threshold(sure, loss, 0.3) == pytest.approx(0.65)
    assert cost_threshold(sure, loss, 0.9) == pytest.approx(0.45)
    assert cost_threshold(sure, loss, 1.5) == 0.0, "a human dearer than an error: nothing is deferred"
    assert cost_threshold(sure, loss, 0.0) == pytest.approx(0.65), "the fewest of equals"
    assert cost_threshold(sure, np.zeros(6), 0.1) == 0.0
    assert cost_threshold(sure, np.ones(6), 0.1) == DEFER_ALL
    assert fraction_threshold(sure, 0.34) == pytest.approx(0.55)
    assert fraction_threshold(sure, 0.1) == 0.0
    assert fraction_threshold(np.full(6, 0.5), 0.5) == 0.0, "ties stay together"
    total = [(loss[sure >= t].sum() + 0.3 * (sure < t).sum(), t) for t in (0.0, *sure, 1.01)]
    best = cost_threshold(sure, loss, 0.3)
    assert loss[sure >= best].sum() + 0.3 * (sure < best).sum() == min(total)[0]
    right = np.array([True] * 12 + [False] * 8)
    assert accuracy_threshold(np.linspace(1, 0.05, 20), right, 0.8) == pytest.approx(
        np.linspace(1, 0.05, 20)[14]
    )


def test_what_a_wrong_prediction_costs() -> None:
    p = multiclass(50)
    assert p.type.row_losses(p).mean() == pytest.approx((p.labels != p.targets).mean())
    numbers = Predictions(
        np.array([[1.0], [4.0]]), np.array([1.0, 4.0]), np.array([2.0, 4.0]), (), "regression"
    )
    assert numbers.type.row_losses(numbers, numbers.type.error_unit(numbers)).tolist() == [1.0, 0.0], (
        "median 3: always saying it is off by 1"
    )
    both = Predictions(
        np.ones((2, 2)), np.array([[1, 0], [1, 1]]), np.array([[1, 0], [1, 0]]), ("a", "b"), "multilabel"
    )
    assert both.type.row_losses(both).tolist() == [0.0, 1.0]
    masks = np.zeros((2, 2, 2), np.uint8)
    truth = masks.copy()
    truth[0, 0] = 1
    truth[1, 0, 0] = 255
    images = Predictions(np.ones((2, 2)), masks, truth, ("a", "b"), "segmentation")
    assert images.type.row_losses(images).tolist() == [0.5, 0.0]


def test_deferral_is_measured_as_by_hand() -> None:
    test = multiclass(500, 3)
    rules = DecisionRule(
        "multiclass", test.classes, True, method="lac", threshold=0.6, quantiles=ConformalQuantiles(0.7)
    )
    found = measure(
        rules, test, UncertaintyTerms(0.1, 0.2, 1.0, False, 0.0), StandardEvaluation(resamples=100), 0
    )
    deferral = found.deferral
    sure = test.scores[np.arange(500), test.labels]
    loss, kept = test.labels != test.targets, sure >= 0.6
    assert deferral.deferred.value == pytest.approx((~kept).mean())
    assert deferral.risk_decided.value == pytest.approx(loss[kept].mean())
    assert deferral.risk_deferred.value == pytest.approx(loss[~kept].mean())
    assert deferral.cost_without.value == pytest.approx(loss.mean())
    assert deferral.cost.value == pytest.approx((loss[kept].sum() + 0.2 * (~kept).sum()) / 500)
    assert deferral.saved.low < deferral.saved.value < deferral.saved.high
    inside = test.groups["sex"] == "f"
    assert deferral.by_group["sex"]["f"].deferred.value == pytest.approx((~kept)[inside].mean())
    order = np.argsort(-sure)
    area = np.mean(np.cumsum(loss[order]) / np.arange(1, 501))
    assert found.risk_coverage.aurc.value == pytest.approx(area, abs=0.01)
    nobody = measure(
        replace(rules, threshold=0.0),
        test,
        UncertaintyTerms(0.1, 0.2, 1.0, False, 0.0),
        StandardEvaluation(resamples=100),
        0,
    ).deferral
    assert nobody.deferred.value == 0.0, "a rate of 0 is a rate"
    assert nobody.risk_deferred.value is None
    assert nobody.saved.value == 0.0


def test_bins_of_confidence_keep_ties_and_all_rows() -> None:
    sure = np.round(np.random.default_rng(1).random(1000), 2)
    loss = np.random.default_rng(2).random(1000)
    counts_1B, errors_1B = bin_by_confidence(sure, loss)(np.ones((1, 1000)))
    assert counts_1B.sum() == 1000
    assert errors_1B.sum() == pytest.approx(loss.sum())
    coverage, risk, _ = risk_curve(counts_1B, errors_1B)
    assert coverage[0, -1] == pytest.approx(1.0)
    assert risk[0, -1] == pytest.approx(loss.mean())
    assert set(np.round(np.unique(coverage[0]) * 1000).astype(int)) <= {
        0,
        *((sure >= t).sum() for t in np.unique(sure)),
    }


def target(kind: str, classes: tuple[str, ...] = ("a", "b")) -> Any:
    """Return what options read of a target: the methods of its class, and its classes."""
    return type(f"Some{kind}", (target_type(kind),), {"classes": classes})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 0.0}, r"oversight\.alpha"),
        ({"alpha": 1.0}, r"oversight\.alpha"),
        ({"defer_fraction": 2.0}, r"oversight\.defer_fraction"),
        ({"cost_of_deferral": -1.0}, r"oversight\.cost_of_deferral"),
        ({"method": "magic"}, r"oversight\.method"),
        ({"mondrian": "yes"}, r"oversight\.mondrian"),
        ({"defer": "often"}, r"oversight\.defer"),
        ({"mask_images": 1}, r"oversight\.mask_images"),
    ],
)
def test_values_that_can_not_be_meant_are_refused_at_once(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StandardOversight(**settings)


@pytest.mark.parametrize(
    ("settings", "of", "message"),
    [
        ({"method": "absolute"}, target("binary"), "lac, aps"),
        ({"mondrian": "groups"}, target("binary"), "data.sensitive"),
        ({"mondrian": "classes"}, target("regression", ()), "no classes"),
        ({"defer": "cost"}, target("regression", ()), "fraction or none"),
        ({"defer": "fraction"}, target("regression", ()), "normalized"),
        ({"confirm": ["c"]}, target("binary"), "it has a, b"),
    ],
)
def test_what_does_not_suit_the_target_is_refused_before_training(
    settings: dict[str, Any], of: Any, message: str
) -> None:
    options = StandardOversight(**settings)
    with pytest.raises(ValueError, match=message):
        check_target(options, of, ColumnRoles(target=("y",)))


def test_auto_suits_every_kind() -> None:
    options = StandardOversight()
    for kind in (
        "binary",
        "multiclass",
        "multilabel",
        "ordinal",
        "regression",
        "intent_slots",
        "segmentation",
    ):
        check_target(options, target(kind), ColumnRoles(target=("y",)))
        assert conformal_method(options, target_type(kind)) in target_type(kind).conformal_methods
        assert set(target_type(kind).conformal_methods) <= set(METHODS)
        assert set(target_type(kind).deferrals) <= set(DEFERRALS)
    assert mondrian(options, target_type("binary")) == "classes"
    assert options.defer in DEFERRALS
    check_target(NoOversight(), target("binary"), ColumnRoles(target=("y",)))


@given(st.lists(st.sampled_from(DECISIONS), max_size=30))
def test_every_row_is_counted_once(decision: list[str]) -> None:
    found = count_decisions(np.array(decision, "U16"))
    assert found.rows == len(decision) == found.model + found.to_human


LIMIT = st.one_of(st.just(float("inf")), st.floats(0.0, 1.0))


@given(
    st.builds(
        ConformalQuantiles,
        LIMIT,
        st.dictionaries(st.sampled_from("ab"), st.dictionaries(st.sampled_from("fm"), LIMIT)),
    ),
    st.floats(0.0, 1.0),
    st.sampled_from(["lac", "aps"]),
)
def test_a_restored_rule_is_the_rule(quantiles: ConformalQuantiles, threshold: float, method: str) -> None:
    rule = DecisionRule("binary", ("no", "yes"), True, ("yes",), ("oven",), method, quantiles, threshold)
    text = json.dumps(plain(rule.section()))
    assert DecisionRule.restore(RuleSection.model_validate_json(text)) == rule


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_larger_quantile_never_takes_a_class_out(chances: list[float], one: float, other: float) -> None:
    scores = np.stack([1 - np.array(chances), np.array(chances)], axis=1)
    small, large = (
        replace(
            DecisionRule("binary", ("no", "yes"), True, method="lac"), quantiles=ConformalQuantiles(q)
        ).region(scores, {})
        for q in sorted((one, other))
    )
    assert isinstance(small, SetRegion)
    assert isinstance(large, SetRegion)
    assert (small.inside <= large.inside).all()
