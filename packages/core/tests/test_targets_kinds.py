"""Fitting, learning and decoding of every kind of target."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from core.config import build
from core.data.types import ColumnRoles
from core.targets import restore
from core.targets.config import (
    AutoTarget,
    BinaryOption,
    IntentSlotsOption,
    MulticlassOption,
    MultilabelOption,
    OrdinalOption,
    RegressionOption,
    SegmentationOption,
)
from core.targets.metrics import monitored

ROLES = ColumnRoles(target=("y",))


def frame(values, **options):
    return pd.DataFrame({"y": pd.Series(values, **options), "x": range(len(values))})


GRADES = pd.Categorical(["low", "high", "mid", "low"], categories=["low", "mid", "high"], ordered=True)

EVERY = {
    "binary": (BinaryOption(class_weights="balanced"), frame(["no", "yes", "no", "no"])),
    "one against the rest": (BinaryOption(positive="<30"), frame(["<30", ">30", "NO", "NO"])),
    "focal": (BinaryOption(focal=2.0, label_smoothing=0.1), frame([0, 1, 0, 1])),
    "multiclass": (MulticlassOption(class_weights="sqrt", focal=1.0), frame(["a", "b", "c", "a"])),
    "adjusted": (MulticlassOption(logit_adjustment=1.0, label_smoothing=0.1), frame([3, 1, 2, 3])),
    "multilabel": (MultilabelOption(class_weights="balanced"), frame(["a;b", "b", "c", "a; c"])),
    "cumulative": (OrdinalOption(class_weights="balanced"), frame(GRADES)),
    "corn": (OrdinalOption(method="corn", label_smoothing=0.1), frame([1, 2, 3, 10])),
    "regression": (RegressionOption(), frame([1.5, 2.5, 9.0, 4.0])),
    "log": (RegressionOption(scale="log", loss="huber"), frame([0.0, 10.0, 1000.0, 4.0])),
}


@pytest.fixture(params=EVERY)
def made(request):
    option, rows = EVERY[request.param]
    return build(option, rows, ROLES), rows


def test_a_target_learns_its_own_training_rows(made):
    target, rows = made
    truth = target.encode(rows)
    outputs = torch.zeros(len(rows), target.width, requires_grad=True)
    first = target.losses(outputs, truth).mean().item()
    for _ in range(300):
        (gradient,) = torch.autograd.grad(target.losses(outputs, truth).sum(), outputs)
        outputs = (outputs - 0.3 * gradient).detach().requires_grad_()
    assert target.losses(outputs, truth).mean().item() < first
    scores = target.scores(outputs.detach())
    assert scores.dtype == torch.float32
    labels = target.labels(scores.double().numpy())
    np.testing.assert_allclose(labels, target.truth(truth), rtol=0.01, atol=0.05)


def test_losses_of_one_example_never_depend_on_the_others(made):
    target, rows = made
    truth = target.encode(rows)
    outputs = torch.randn(len(rows), target.width)
    together = target.losses(outputs, truth)
    assert together.shape == (len(rows),)
    alone = torch.cat([target.losses(outputs[i : i + 1], truth[i : i + 1]) for i in range(len(rows))])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-7)
    assert (target.losses(outputs.to(torch.bfloat16), truth).dtype, together.dtype) == (
        torch.float32,
        torch.float32,
    )


def test_restore_gives_an_equal_target(made):
    target, rows = made
    again = restore(json.loads(json.dumps(target.state())))
    assert again == target
    outputs = torch.randn(len(rows), target.width)
    torch.testing.assert_close(
        again.losses(outputs, again.encode(rows)), target.losses(outputs, target.encode(rows))
    )
    assert list(again.metrics()) == list(target.metrics())
    assert torch.equal(again.scores(outputs), target.scores(outputs))


def test_restore_refuses_an_unknown_kind():
    with pytest.raises(ValueError, match="kind 'trajectory'"):
        restore({"kind": "trajectory"})


def test_probabilities_sum_to_one(made):
    target, rows = made
    scores = target.scores(20.0 * torch.randn(50, target.width))
    if target.kind not in ("multilabel", "regression"):
        torch.testing.assert_close(scores.sum(dim=1), torch.ones(50))
    if target.kind != "regression":
        assert scores.shape == (50, len(target.classes))
        assert ((scores >= 0) & (scores <= 1)).all()
    assert torch.isfinite(target.losses(100.0 * torch.randn(4, target.width), target.encode(rows))).all()


# ---- classes


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        ([0, 1, 1], "1"),
        ([0.0, 1.0, np.nan], "1"),
        ([True, False, True], "True"),
        (["N", "Y", "Y"], "Y"),
        (["x", "x", "z"], "z"),
    ],
)
def test_the_positive_value_is_the_affirmative_or_the_rarer(values, positive):
    target = build(BinaryOption(), frame(values), ROLES)
    assert target.classes[1] == positive
    assert repr(positive) in target.explanation


def test_one_value_against_the_rest():
    rows = frame(["<30", ">30", "NO", "NO"])
    with pytest.raises(ValueError, match=r"3 values .*target\.positive"):
        build(BinaryOption(), rows, ROLES)
    target = build(BinaryOption(positive="<30"), rows, ROLES)
    assert target.classes == ("not <30", "<30")
    assert target.encode(frame([">30", "<30", "anything"])).tolist() == [0, 1, 0]


def test_numbers_sort_by_size_and_whole_floats_are_integers():
    assert build(MulticlassOption(), frame([10.0, 9.0, 2.0, np.nan]), ROLES).classes == ("2", "9", "10")


@pytest.mark.parametrize(
    ("option", "good", "bad", "message"),
    [
        (
            MulticlassOption(),
            ["a", "b", "c"],
            ["a", "d"],
            r"column 'y', row 1: 'd' is none of the classes learnt \(a, b, c\)",
        ),
        (MulticlassOption(), ["a", "b", "c"], ["a", None], "column 'y', row 1 has no label"),
        (BinaryOption(), [0, 1, 0], [2, 0], "column 'y', row 0: '2' is none"),
        (MultilabelOption(), ["a;b", "b"], ["a", "a;e"], "column 'y', row 1: 'e' is none of the labels"),
        (MultilabelOption(), ["a;b", "b"], ["a", None], "column 'y', row 1"),
        (OrdinalOption(), [1, 2, 3], [1, 7], "column 'y', row 1: '7' is none"),
        (RegressionOption(), [1.0, 2.0], ["1", "two"], "column 'y', row 1: 'two' is no finite number"),
        (RegressionOption(), [1.0, 2.0], [1.0, np.inf], "column 'y', row 1: 'inf' is no finite number"),
        (RegressionOption(), [1.0, 2.0], [1.0, np.nan], "column 'y', row 1 has no label"),
    ],
)
def test_rows_that_cannot_be_read_are_named(option, good, bad, message):
    target = build(option, frame(good), ROLES)
    with pytest.raises(ValueError, match=message):
        target.encode(frame(bad))


def test_rows_are_named_as_in_the_source():
    target = build(BinaryOption(), frame([0, 1]), ROLES)
    rows = frame([1, None, 1]).set_axis([40, 41, 42])
    with pytest.raises(ValueError, match="row 41"):
        target.encode(rows)


@pytest.mark.parametrize("option", [BinaryOption(), MulticlassOption(), OrdinalOption(), RegressionOption()])
def test_a_constant_or_absent_target_is_refused(option):
    with pytest.raises(ValueError, match="'y'"):
        build(option, frame([1, 1, 1]), ROLES)
    with pytest.raises(ValueError, match="'y' is missing"):
        build(option, pd.DataFrame({"x": [1]}), ROLES)


@pytest.mark.parametrize(
    ("option", "settings"),
    [
        (BinaryOption, {"class_weights": "equal"}),
        (MulticlassOption, {"label_smoothing": 1.0}),
        (OrdinalOption, {"method": "coral"}),
        (OrdinalOption, {"decision_rule": "max"}),
        (RegressionOption, {"loss": "l3"}),
        (IntentSlotsOption, {"max_words": 0}),
        (SegmentationOption, {"jaccard": -1.0}),
    ],
)
def test_wrong_settings_are_refused_with_their_key(option, settings):
    with pytest.raises(ValueError, match=r"target\.\w+="):
        option(**settings)


def test_a_positive_value_that_the_rows_lack_is_refused():
    with pytest.raises(ValueError, match=r"target\.positive='maybe'"):
        build(BinaryOption(positive="maybe"), frame([0, 1]), ROLES)


def test_the_monitored_metric_is_the_targets_own():
    target = build(BinaryOption(), frame([0, 1]), ROLES)
    assert monitored(target, "auto") == "auroc"
    assert monitored(target, "brier") == "brier"
    assert monitored(target, "loss") == "loss"
    with pytest.raises(ValueError, match=r"training\.monitor='auc'.*auroc"):
        monitored(target, "auc")


def test_targets_of_version_0_1_are_restored():
    binary = {"kind": "binary", "reads": "pooled", "column": "y", "classes": ["0", "1"], "select": None}
    assert restore(binary).classes == ("0", "1")
    grades = {
        "kind": "ordinal",
        "column": "y",
        "classes": ["1", "2"],
        "weights": [1.0, 1.0],
        "decide": "mode",
    }
    assert restore(grades).decision_rule == "mode"
    spoken = {"kind": "tokens", "column": "intent", "text": "text", "slots_column": "slots", "length": 9}
    again = restore({**spoken, "classes": ["on", "off"], "slots": ["room"]})
    assert (again.kind, again.max_words) == ("intent_slots", 9)
    masks = {"kind": "mask", "column": "mask", "classes": ["a", "b"], "weights": [1.0, 1.0], "size": [4, 6]}
    assert restore(masks).size == (4, 6)


# ---- weights and losses


@pytest.mark.parametrize("option", [BinaryOption, MulticlassOption, OrdinalOption])
@pytest.mark.parametrize("how", ["balanced", "sqrt"])
def test_class_weights_keep_the_mean_weight_at_one(option, how):
    rows = frame([0] * 90 + [1] * 10)
    weighted, plain = build(option(class_weights=how), rows, ROLES), build(option(), rows, ROLES)
    truth = plain.encode(rows)
    outputs = torch.zeros(100, plain.width)
    ratio = weighted.losses(outputs, truth) / plain.losses(outputs, truth)
    assert ratio.mean().item() == pytest.approx(1.0, abs=1e-5)
    expected = 9.0 if how == "balanced" else 3.0
    assert (ratio[-1] / ratio[0]).item() == pytest.approx(expected, rel=1e-4)


def test_balanced_labels_weigh_as_much_when_present_as_when_absent():
    rows = frame(["a;b"] * 10 + ["b"] * 30)
    target = build(MultilabelOption(class_weights="balanced"), rows, ROLES)
    (without, present), _ = target.weights
    assert 10 * present == pytest.approx(30 * without)
    assert 10 * present + 30 * without == pytest.approx(40)


def test_binary_and_multiclass_losses_are_torchs():
    logits, truth = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 1, 1])
    target = build(MulticlassOption(label_smoothing=0.1), frame([0, 1, 2, 3]), ROLES)
    expected = torch.nn.functional.cross_entropy(logits, truth, reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(target.losses(logits, truth), expected)
    binary = build(BinaryOption(), frame([0, 1]), ROLES)
    expected = torch.nn.functional.cross_entropy(
        torch.stack([torch.zeros(6), logits[:, 0]], dim=1), (truth > 0).long(), reduction="none"
    )
    torch.testing.assert_close(binary.losses(logits[:, :1], (truth > 0).long()), expected)


def test_ordinal_likelihoods_match_their_definitions():
    outputs = torch.randn(7, 3, dtype=torch.float64).float()
    cumulative = build(OrdinalOption(), frame([1, 2, 3, 4]), ROLES)
    a = [outputs[:, 0]]
    for k in (1, 2):
        a.append(a[-1] - torch.nn.functional.softplus(outputs[:, k]))
    at_least = torch.stack([torch.ones(7), *(torch.sigmoid(x) for x in a), torch.zeros(7)], dim=1)
    torch.testing.assert_close(
        cumulative.scores(outputs), at_least[:, :-1] - at_least[:, 1:], atol=2e-6, rtol=1e-4
    )
    corn = build(OrdinalOption(method="corn"), frame([1, 2, 3, 4]), ROLES)
    step = torch.sigmoid(outputs)
    passed = torch.cat([torch.ones(7, 1), step.cumprod(dim=1)], dim=1)
    stays = torch.cat([1 - step, torch.ones(7, 1)], dim=1)
    torch.testing.assert_close(corn.scores(outputs), passed * stays, atol=2e-6, rtol=1e-4)


def test_ordinal_decisions():
    scores = np.array([[0.4, 0.05, 0.05, 0.5], [0.3, 0.3, 0.3, 0.1]])
    rows = frame([1, 2, 3, 4])
    assert build(OrdinalOption(decision_rule="mode"), rows, ROLES).labels(scores).tolist() == [3, 0]
    median = build(OrdinalOption(), rows, ROLES)
    assert median.labels(scores).tolist() == [3, 1]
    assert build(OrdinalOption(decision_rule="mean"), rows, ROLES).labels(scores).tolist() == [2, 1]
    assert median.labels(scores, {"2": 0.9, "3": 0.9, "4": 0.9}).tolist() == [0, 0]


def test_an_order_that_is_not_known_must_be_given():
    rows = frame(["low", "high", "mid"])
    with pytest.raises(ValueError, match=r"order is not known.*target\.classes"):
        build(OrdinalOption(), rows, ROLES)
    target = build(OrdinalOption(classes=["low", "mid", "high"]), rows, ROLES)
    assert target.encode(rows).tolist() == [0, 2, 1]
    with pytest.raises(ValueError, match=r"target\.classes lacks mid"):
        build(OrdinalOption(classes=["low", "high"]), rows, ROLES)


def test_thresholds_decide():
    binary = build(BinaryOption(), frame([0, 1]), ROLES)
    scores = np.array([[0.8, 0.2], [0.4, 0.6]])
    assert binary.labels(scores).tolist() == [0, 1]
    assert binary.labels(scores, {"1": 0.2}).tolist() == [1, 1]
    multiclass = build(MulticlassOption(), frame([0, 1, 2]), ROLES)
    scores = np.array([[0.6, 0.3, 0.1]])
    assert multiclass.labels(scores).tolist() == [0]
    assert multiclass.labels(scores, {"0": 0.7, "1": 0.2, "2": 0.1}).tolist() == [1]
    multilabel = build(MultilabelOption(at_least_one=True), frame(["a;b", "c"]), ROLES)
    scores = np.array([[0.6, 0.7, 0.1], [0.1, 0.3, 0.2]])
    assert multilabel.labels(scores).tolist() == [[1, 1, 0], [0, 1, 0]]
    assert multilabel.labels(scores, {"a": 0.65, "c": 0.2}).tolist() == [[0, 1, 0], [0, 0, 1]]


def test_regression_works_in_the_answers_units():
    rows = frame([100.0, 200.0, 300.0])
    target = build(RegressionOption(), rows, ROLES)
    assert target.scores(torch.zeros(1, 1)).item() == pytest.approx(200.0)
    assert target.losses(torch.zeros(3, 1), target.encode(rows)).mean().item() == pytest.approx(0.5)
    log = build(RegressionOption(scale="log"), rows, ROLES)
    assert log.scores(torch.zeros(1, 1)).item() == pytest.approx(
        math.expm1(np.log1p(rows["y"]).mean()), rel=1e-5
    )
    with pytest.raises(ValueError, match=r"target\.scale='log'"):
        build(RegressionOption(scale="log"), frame([-1.0, 2.0]), ROLES)


def test_several_columns_are_labels():
    rows = pd.DataFrame({"flu": [1, 0, 0], "cold": [True, True, False]})
    target = build(AutoTarget(), rows, ColumnRoles(target=("flu", "cold")))
    assert (target.kind, target.classes) == ("multilabel", ("flu", "cold"))
    assert target.encode(rows).tolist() == [[1, 1], [0, 1], [0, 0]]
    with pytest.raises(ValueError, match="column 'flu', row 0: '2' is neither 0 nor 1"):
        target.encode(pd.DataFrame({"flu": [2], "cold": [0]}))


def test_an_empty_list_is_a_row_without_labels():
    rows = frame([["a"], ["a", "b"], []])
    assert build(MultilabelOption(), rows, ROLES).encode(rows).tolist() == [[1, 0], [1, 1], [0, 0]]


# ---- finding the kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 1, 0], "binary"),
        (["yes", "no", None], "binary"),
        (["a", "b", "c"] * 4, "multiclass"),
        ([1, 2, 3], "multiclass"),
        ([1.0, 2.0, np.nan, 3.0], "multiclass"),
        (["1", "2", "3"], "multiclass"),
        (list(range(50)), "regression"),
        ([0.5, 1.0, 2.0], "regression"),
        (["a;b", "b", "c"], "multilabel"),
        ([["a"], ["a", "b"]], "multilabel"),
        (GRADES, "ordinal"),
    ],
)
def test_auto_finds_the_kind_and_says_why(values, kind):
    target = build(AutoTarget(), frame(values), ROLES)
    assert target.kind == kind
    assert "'y'" in target.explanation
    assert target.explanation.endswith(".")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([f"note {i}" for i in range(30)], "30 distinct texts in 30 rows"),
        ([None, None], "is empty"),
        ([7, 7, 7], "only the value '7'"),
    ],
)
def test_auto_refuses_what_no_kind_fits(values, message):
    with pytest.raises(ValueError, match=message):
        build(AutoTarget(), frame(values, dtype=object), ROLES)


def test_auto_passes_settings_on_and_refuses_those_that_do_not_fit():
    target = build(AutoTarget(positive="0", class_weights="balanced"), frame([0, 1, 1]), ROLES)
    assert target.classes == ("1", "0")
    assert target.weights[1] == pytest.approx(1.5)
    with pytest.raises(ValueError, match=r"target\.positive=.*multiclass"):
        build(AutoTarget(positive="a"), frame(["a", "b", "c"] * 3), ROLES)
    with pytest.raises(ValueError, match=r"target\.class_weights"):
        build(AutoTarget(class_weights="balanced"), frame([0.5, 1.0, 2.0]), ROLES)
