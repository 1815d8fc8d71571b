"""Studies of held-out rows, on predictions made by hand."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from core.data.types import Dataset, ColumnRoles
from core.data.slot_alignment import parse_slots, word_spans
from core.evaluation.study import EvaluationContext
from core.targets.config import MulticlassOption, RegressionOption, TokensOption
from core.targets.types import Predictions
from smarthome.simulate.text_corruption import changed, misheard, mistyped
from smarthome.simulate.phrases import ASKED, COMMANDS, UNSEEN, written
from smarthome.studies.languages import languages
from smarthome.studies.out_of_scope import auroc, in_scope, rejection, unseen_outside
from smarthome.studies.plans import false_activation, guarded, home_of, plan_success
from smarthome.studies.scene import comfort, forecast

FIELDS = ColumnRoles(target=("intent",), text=("text",), slots="slots", sensitive=("tongue",))
SAID = [
    ("turn on the lamp", "HassTurnOn", [[12, 16, "name"]]),
    ("turn off the lamp", "HassTurnOff", [[13, 17, "name"]]),
    ("unlock the front lock", "HassTurnOff", [[11, 21, "name"]]),
    ("who is there", "OutOfScope", []),
] * 15


def held(decided, dataset=None, **groups):
    """Make what a study sees; ``decided`` maps a row's number to another (intent, slots)."""
    frame = pd.DataFrame([(t, i, json.dumps(s)) for t, i, s in SAID], columns=["text", "intent", "slots"])
    target = TokensOption(length=6).build(frame, FIELDS)
    truth = target.truth(target.encode(frame))
    rows = frame.copy()
    for n, (intent, slots) in decided.items():
        rows.loc[n, "intent"], rows.loc[n, "slots"] = intent, json.dumps(slots)
    labels = target.truth(target.encode(rows))
    k = len(target.classes)
    scores = np.column_stack([np.eye(k)[labels[:, 0]] * 0.8 + 0.05, np.ones(len(labels)), labels[:, 1:]])
    made = {name: np.asarray(v, np.str_) for name, v in groups.items()}
    test = Predictions(scores, labels, truth, target.classes, "tokens", made, slots=target.slots)
    scorer = SimpleNamespace(scores=lambda rows: np.tile(scores[3], (len(rows), 1)))
    dataset = dataset or Dataset(frame, FIELDS, "said")
    return EvaluationContext(
        dataset, {"test": frame}, {"validation": test, "test": test}, target, {}, scorer, 0, 100, 0.95, 10
    )


def test_every_right_plan_succeeds_and_each_wrong_one_fails():
    assert plan_success(held({})).figures["plan_success"]["value"] == 1.0
    found = plan_success(held({0: ("HassTurnOff", [[12, 16, "name"]]), 4: ("OutOfScope", [])}))
    assert found.figures["plan_success"]["value"] == pytest.approx(1 - 2 / 45)
    assert found.figures["same_outcome"]["value"] == pytest.approx(1 - 2 / 60)
    (row,) = [r for r in found.tables["Plans"] if r["intent"] == "HassTurnOn"]
    assert row["same outcome"] == pytest.approx(1 - 2 / 15)


def test_a_slot_too_many_need_not_change_the_outcome():
    """The right device by another span is the right outcome, though no exact match."""
    found = plan_success(held({0: ("HassTurnOn", [[8, 16, "name"]])}))  # "the lamp"
    assert found.figures["plan_success"]["value"] == 1.0


def test_false_activation_counts_what_would_reach_a_lock():
    found = false_activation(held({}))
    assert found.figures["false_activation"]["value"] == 0.0
    assert found.gates[0].passed
    wrong = {1: ("HassTurnOff", [[9, 17, "name"]]), 3: ("HassTurnOn", [[0, 12, "name"]])}
    frame = held(wrong)
    assert false_activation(frame).figures["false_activation"]["value"] == 0.0  # neither name is a lock's
    missed = false_activation(held({2: ("OutOfScope", []), 6: ("HassTurnOn", [[11, 21, "name"]])}))
    assert missed.figures["missed_guarded"]["value"] == pytest.approx(1 / 15)
    assert missed.figures["opposite"]["value"] == pytest.approx(1 / 15)
    assert guarded("HassTurnOff", {"name": "front lock"}) == "lock"
    assert guarded("HassGetState", {"name": "front lock"}) is None
    assert guarded("HassTurnOn", {"domain": "alarm"}) == "alarm"


def test_out_of_scope_figures():
    assert auroc(np.array([0.9, 0.8]), np.array([0.1, 0.8])) == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    assert np.isnan(auroc(np.array([]), np.array([1.0])))
    assert in_scope(np.array([[0.2, 0.7, 0.1]]), ("HassTurnOn", "OutOfScope", "x")).tolist() == [0.2]
    found = rejection(held({}))
    assert found.figures["auroc"]["value"] == 1.0
    assert found.figures["fpr_at_95_tpr"]["value"] == 0.0
    assert found.figures["threshold_95"]["value"] == pytest.approx(0.85)
    blind = rejection(held({n: ("HassTurnOn", []) for n in range(3, 60, 4)}))
    assert blind.figures["auroc"]["value"] == pytest.approx(0.5)
    assert blind.figures["fpr_at_95_tpr"]["value"] == 1.0


def test_unseen_kinds_are_in_no_training_phrase():
    assert not set(UNSEEN) & set(ASKED)
    drawn = unseen_outside(np.random.default_rng(0), 50)
    assert len(set(drawn)) == 50


def test_the_worst_language_is_found():
    tongue = ["a", "b", "b", "c"] * 15
    found = languages(held({n: ("OutOfScope", []) for n in range(0, 20, 4)}, tongue=tongue))
    assert found.figures["worst_tongue"]["value"] == pytest.approx(10 / 15)
    assert found.figures["gap_tongue"]["value"] == pytest.approx(5 / 15)
    assert found.tables["By tongue"][0]["tongue"] == "a"
    assert not languages(held({}, tongue=["a"] * 60)).figures


@pytest.mark.parametrize("change", [mistyped, misheard])
def test_noise_keeps_the_number_of_words_and_moves_slots(change):
    rng = np.random.default_rng(0)
    for _ in range(200):
        intent = str(rng.choice(list(COMMANDS)))
        text, slots = written(
            str(rng.choice(COMMANDS[intent])),
            {"device": "desk lamp", "lamp": "desk lamp", "cover": "left blind", "media": "tv"},
            rng,
        )
        noisy, moved = changed(text, slots, 0.5, change, rng)
        assert len(word_spans(noisy)) == len(word_spans(text))
        before, after = word_spans(text), word_spans(noisy)
        for (a, b, name), (c, d, same) in zip(slots, moved, strict=True):
            assert name == same
            assert [n for n, (x, _) in enumerate(before) if a <= x < b] == [
                n for n, (x, _) in enumerate(after) if c <= x < d
            ]
    assert changed("turn it on", [], 0.0, change, rng) == ("turn it on", [])


def test_phrases_mark_their_slots():
    text, slots = written("set {area} to {brightness:percent}", {"area": "den"}, np.random.default_rng(0))
    assert text.startswith("set den to ")
    assert next((text[a:b], name) for a, b, name in slots) == ("den", "area")
    assert parse_slots(json.dumps(slots), "x") == slots


def test_a_home_of_what_was_said():
    home = home_of(
        [("HassTurnOn", {"name": "Desk Lamp", "area": "Den"}), ("HassTurnOff", {"name": "gate lock"})]
    )
    assert home.device("desk lamp").domain == "light"
    assert home.device("gate lock").domain == "lock"
    assert "den" in home.areas


def scene_held(frame, target, scores, roles):
    truth = target.truth(target.encode(frame))
    part = Predictions(scores, target.labels(scores), truth, target.classes, target.kind)
    return EvaluationContext(
        Dataset(frame, roles, "s"),
        {"test": frame, "train": frame},
        {"test": part},
        target,
        {},
        None,
        0,
        100,
        0.95,
        10,
    )


def test_comfort_counts_wishes_answered_the_wrong_way():
    frame = pd.DataFrame({"wish": ["warmer", "cooler", "no change", "warmer"] * 5})
    roles = ColumnRoles(target=("wish",))
    target = MulticlassOption().build(frame, roles)
    order = list(target.classes)
    decided = ["cooler", "cooler", "no change", "warmer"] * 5
    found = comfort(scene_held(frame, target, np.eye(3)[[order.index(d) for d in decided]], roles))
    assert found.figures["wrong_way"]["value"] == pytest.approx(1 / 3)
    assert found.figures["wishes_met"]["value"] == pytest.approx(2 / 3)
    assert found.figures["moved_for_the_content"]["value"] == 0.0


def test_forecast_is_compared_with_persistence():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"Appliances": rng.normal(100, 10, 200)})
    frame["next"] = frame["Appliances"] + rng.normal(0, 5, 200)
    roles = ColumnRoles(target=("next",), numeric=("Appliances",))
    target = RegressionOption().build(frame, roles)
    found = forecast(scene_held(frame, target, frame[["next"]].to_numpy() + 2.0, roles))
    assert found.figures["rmse"]["value"] == pytest.approx(2.0)
    assert found.figures["rmse_persistence"]["value"] == pytest.approx(5.0, rel=0.15)
    assert found.figures["gain"]["low"] > 0.4
