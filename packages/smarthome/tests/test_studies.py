"""Studies of held-out rows, on predictions made by hand."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from core.config import build
from core.data.slot_alignment import parse_slots, word_spans
from core.data.types import ColumnRoles, Dataset
from core.evaluation.study import EvaluationContext
from core.targets.config import IntentSlotsOption, MulticlassOption, RegressionOption
from core.targets.metrics import auroc_of
from core.targets.types import Predictions
from smarthome.simulate.phrases import COMMANDS, HELD_OUT_PHRASES, OUT_OF_SCOPE_PHRASES, sample_phrase
from smarthome.simulate.text_corruption import corrupt_words, mishear, mistype
from smarthome.studies.languages import languages
from smarthome.studies.out_of_scope import held_out_sentences, in_scope_score, out_of_scope
from smarthome.studies.plans import false_activation, home_from_commands, plan_success, safety_critical_domain
from smarthome.studies.scene import forecast, thermal_preference

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
    target = build(IntentSlotsOption(max_words=6), frame, FIELDS)
    truth = target.truth(target.encode(frame))
    rows = frame.copy()
    for n, (intent, slots) in decided.items():
        rows.loc[n, "intent"], rows.loc[n, "slots"] = intent, json.dumps(slots)
    labels = target.truth(target.encode(rows))
    k = len(target.classes)
    scores = np.column_stack([np.eye(k)[labels[:, 0]] * 0.8 + 0.05, np.ones(len(labels)), labels[:, 1:]])
    made = {name: np.asarray(v, np.str_) for name, v in groups.items()}
    test = Predictions(scores, labels, truth, target.classes, "intent_slots", made, slots=target.slots)
    scorer = SimpleNamespace(scores=lambda rows: np.tile(scores[3], (len(rows), 1)))
    dataset = dataset or Dataset(frame, FIELDS, "said")
    return EvaluationContext(
        dataset, {"test": frame}, {"validation": test, "test": test}, target, {}, scorer, 0, 100, 0.95, 10
    )


def test_every_right_plan_succeeds_and_each_wrong_one_fails():
    assert plan_success(held({})).metrics["plan_success"].value == 1.0
    found = plan_success(held({0: ("HassTurnOff", [[12, 16, "name"]]), 4: ("OutOfScope", [])}))
    assert found.metrics["plan_success"].value == pytest.approx(1 - 2 / 45)
    assert found.metrics["same_outcome"].value == pytest.approx(1 - 2 / 60)
    (row,) = [r for r in found.tables["Plans"] if r["intent"] == "HassTurnOn"]
    assert row["same outcome"] == pytest.approx(1 - 2 / 15)


def test_a_slot_too_many_need_not_change_the_outcome():
    """The right device by another span is the right outcome, though no exact match."""
    found = plan_success(held({0: ("HassTurnOn", [[8, 16, "name"]])}))  # "the lamp"
    assert found.metrics["plan_success"].value == 1.0


def test_false_activation_counts_what_would_reach_a_lock():
    found = false_activation(held({}))
    assert found.metrics["false_activation"].value == 0.0
    assert found.gates[0].passed
    wrong = {1: ("HassTurnOff", [[9, 17, "name"]]), 3: ("HassTurnOn", [[0, 12, "name"]])}
    frame = held(wrong)
    assert false_activation(frame).metrics["false_activation"].value == 0.0  # neither name is a lock's
    missed = false_activation(held({2: ("OutOfScope", []), 6: ("HassTurnOn", [[11, 21, "name"]])}))
    assert missed.metrics["missed_activation"].value == pytest.approx(1 / 15)
    assert missed.metrics["opposite_activation"].value == pytest.approx(1 / 15)
    assert safety_critical_domain("HassTurnOff", {"name": "front lock"}) == "lock"
    assert safety_critical_domain("HassGetState", {"name": "front lock"}) is None
    assert safety_critical_domain("HassTurnOn", {"domain": "alarm"}) == "alarm"


def test_out_of_scope_metrics():
    commands = np.array([True, True, False, False])
    assert auroc_of(np.array([0.9, 0.8, 0.1, 0.8]), commands) == pytest.approx((1 + 1 + 1 + 0.5) / 4)
    assert np.isnan(auroc_of(np.array([1.0]), np.array([False])))
    assert in_scope_score(np.array([[0.2, 0.7, 0.1]]), ("HassTurnOn", "OutOfScope", "x")).tolist() == [0.2]
    found = out_of_scope(held({}))
    assert found.metrics["auroc"].value == 1.0
    assert found.metrics["fpr_at_95_tpr"].value == 0.0
    assert found.metrics["threshold_95"].value == pytest.approx(0.85)
    blind = out_of_scope(held({n: ("HassTurnOn", []) for n in range(3, 60, 4)}))
    assert blind.metrics["auroc"].value == pytest.approx(0.5)
    assert blind.metrics["fpr_at_95_tpr"].value == 1.0


def test_unseen_kinds_are_in_no_training_phrase():
    assert not set(HELD_OUT_PHRASES) & set(OUT_OF_SCOPE_PHRASES)
    drawn = held_out_sentences(np.random.default_rng(0), 50)
    assert len(set(drawn)) == 50


def test_the_worst_language_is_found():
    tongue = ["a", "b", "b", "c"] * 15
    found = languages(held({n: ("OutOfScope", []) for n in range(0, 20, 4)}, tongue=tongue))
    assert found.metrics["worst_tongue"].value == pytest.approx(10 / 15)
    assert found.metrics["gap_tongue"].value == pytest.approx(5 / 15)
    assert found.tables["By tongue"][0]["tongue"] == "a"
    assert not languages(held({}, tongue=["a"] * 60)).metrics


@pytest.mark.parametrize("change", [mistype, mishear])
def test_noise_keeps_the_number_of_words_and_moves_slots(change):
    rng = np.random.default_rng(0)
    for _ in range(200):
        intent = str(rng.choice(list(COMMANDS)))
        text, slots = sample_phrase(
            str(rng.choice(COMMANDS[intent])),
            {"device": "desk lamp", "lamp": "desk lamp", "cover": "left blind", "media": "tv"},
            rng,
        )
        noisy, moved = corrupt_words(text, slots, 0.5, change, rng)
        assert len(word_spans(noisy)) == len(word_spans(text))
        before, after = word_spans(text), word_spans(noisy)
        for (a, b, name), (c, d, same) in zip(slots, moved, strict=True):
            assert name == same
            assert [n for n, (x, _) in enumerate(before) if a <= x < b] == [
                n for n, (x, _) in enumerate(after) if c <= x < d
            ]
    assert corrupt_words("turn it on", [], 0.0, change, rng) == ("turn it on", [])


def test_phrases_mark_their_slots():
    text, slots = sample_phrase(
        "set {area} to {brightness:percent}", {"area": "den"}, np.random.default_rng(0)
    )
    assert text.startswith("set den to ")
    assert next((text[a:b], name) for a, b, name in slots) == ("den", "area")
    assert parse_slots(json.dumps(slots), "x") == slots


def test_a_home_of_what_was_said():
    home = home_from_commands(
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


def test_preferences_with_the_opposite_change_are_counted():
    frame = pd.DataFrame({"wish": ["warmer", "cooler", "no change", "warmer"] * 5})
    roles = ColumnRoles(target=("wish",))
    target = build(MulticlassOption(), frame, roles)
    order = list(target.classes)
    decided = ["cooler", "cooler", "no change", "warmer"] * 5
    found = thermal_preference(scene_held(frame, target, np.eye(3)[[order.index(d) for d in decided]], roles))
    assert found.metrics["opposite_change_rate"].value == pytest.approx(1 / 3)
    assert found.metrics["preference_recall"].value == pytest.approx(2 / 3)
    assert found.metrics["needless_change_rate"].value == 0.0


def test_forecast_is_compared_with_persistence():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"Appliances": rng.normal(100, 10, 200)})
    frame["next"] = frame["Appliances"] + rng.normal(0, 5, 200)
    roles = ColumnRoles(target=("next",), numeric=("Appliances",))
    target = build(RegressionOption(), frame, roles)
    found = forecast(scene_held(frame, target, frame[["next"]].to_numpy() + 2.0, roles))
    assert found.metrics["rmse"].value == pytest.approx(2.0)
    assert found.metrics["rmse_persistence"].value == pytest.approx(5.0, rel=0.15)
    assert found.metrics["skill_score"].low > 0.4
