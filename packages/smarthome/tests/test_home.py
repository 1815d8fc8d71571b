"""The simulated home, the plans for it, and what no model may do alone."""

from __future__ import annotations

import json

import pytest

from smarthome.home import HOME_WIDE, INITIAL_STATES, Action, example_home, home_from_dict, read_home
from smarthome.plan import domain_of_name, make_plan
from smarthome.safety import COMFORT_RANGE, HARD_LIMITS
from smarthome.scene_policy import plan_for_scene
from smarthome.spoken_numbers import parse_number


def done(home, intent, slots, here=None):
    plan = make_plan(intent, slots, home, here)
    assert plan.refused is None, plan.refused
    assert plan.confirm is None, plan.confirm
    return [(c.device, c.attribute, c.after) for a in plan.actions for c in home.execute(a)]


def test_a_named_lamp_is_switched_and_again_changes_nothing():
    home = example_home()
    assert done(home, "HassTurnOn", {"name": "the Reading Lamp"}) == [("reading lamp", "on", True)]
    assert done(home, "HassTurnOn", {"name": "reading lamp"}) == []


def test_areas_floors_and_where_it_was_said():
    home = example_home()
    reached = done(home, "HassTurnOn", {"domain": "lights", "area": "living room"})
    assert {name for name, _, _ in reached} == {"reading lamp", "corner lamp"}
    home = example_home()
    reached = done(home, "HassTurnOn", {"domain": "lights", "floor": "first floor"})
    assert {name for name, _, _ in reached} == {"bedroom ceiling light", "desk lamp"}
    home = example_home()
    assert done(home, "HassTurnOn", {"domain": "light"}, here="office") == [("desk lamp", "on", True)]


def test_values_are_read_from_words():
    home = example_home()
    changes = done(home, "HassLightSet", {"name": "desk lamp", "brightness": "forty five percent"})
    assert ("desk lamp", "brightness", 45) in changes
    assert done(home, "HassSetPosition", {"name": "left curtain", "position": "30"}) == [
        ("left curtain", "position", 30)
    ]
    assert done(home, "HassStartTimer", {"minutes": "12"}) == [("home", "timer timer", 720.0)]
    assert done(home, "HassShoppingListAddItem", {"item": "milk"}) == [("home", "shopping list", ["milk"])]


@pytest.mark.parametrize(
    ("said", "value"),
    [("22,5 °", 22.5), ("max", 100), ("twenty one", 21), ("100", 100), ("two hundred", 200), ("soon", None)],
)
def test_numbers(said, value):
    assert parse_number(said) == value


@pytest.mark.parametrize(
    ("intent", "slots", "why"),
    [
        ("HassTurnOff", {"name": "front door lock"}, "a lock is changed only"),
        ("HassTurnOn", {"name": "front door lock"}, "a lock is changed only"),
        ("HassTurnOff", {"name": "burglar alarm"}, "an? alarm is changed only"),
        ("HassTurnOn", {"name": "oven"}, "an oven is switched on only"),
        ("HassTurnOn", {"name": "garage door"}, "a garage is opened only"),
        ("HassSetPosition", {"name": "garage door", "position": "50"}, "a garage is opened only"),
        ("HassClimateSetTemperature", {"area": "office", "temperature": "28"}, "outside 16 to 26"),
    ],
)
def test_unsafe_steps_wait_for_a_person(intent, slots, why):
    plan = make_plan(intent, slots, example_home())
    assert plan.refused is None
    assert plan.confirm is not None
    import re

    assert re.search(why, plan.confirm)


def test_what_is_safe_needs_no_one():
    assert make_plan("HassTurnOff", {"name": "oven"}, example_home()).confirm is None
    assert make_plan("HassTurnOff", {"name": "garage door"}, example_home()).confirm is None
    assert make_plan("HassGetState", {"name": "front door lock"}, example_home()).confirm is None


def test_everything_in_a_place_includes_its_lock():
    """A command that reaches a lock among other things waits too."""
    home = example_home()
    home.device("hall light").name = "front door light"
    plan = make_plan("HassTurnOff", {"name": "front door"}, home)
    assert set(plan.actions[0].devices) == {"front door light", "front door lock"}
    assert plan.confirm is not None


@pytest.mark.parametrize(
    ("intent", "slots", "why"),
    [
        ("HassTurnOn", {"name": "espresso robot"}, "no device called 'espresso robot'"),
        ("HassTurnOn", {"domain": "lights", "area": "ballroom"}, "no area called 'ballroom'"),
        ("HassTurnOn", {}, "neither a device"),
        ("HassSetPosition", {"name": "left curtain"}, "without position"),
        ("HassSetPosition", {"name": "left curtain", "position": "400"}, "not between 0 and 100"),
        ("HassSetPosition", {"name": "left curtain", "position": "soon"}, "is not a number"),
        ("HassLightSet", {"name": "desk lamp"}, "without brightness and color"),
        ("HassStartTimer", {}, "without a time"),
        ("PlayMusic", {"name": "speaker"}, "has no intent PlayMusic"),
        ("HassMediaNext", {"name": "oven"}, "oven is not a media_player"),
        ("HassLightSet", {"name": "radio", "brightness": "20"}, "radio is not a light"),
        ("HassClimateSetTemperature", {"area": "office", "temperature": "45"}, "never set"),
    ],
)
def test_what_can_not_be_done_is_refused_with_the_reason(intent, slots, why):
    plan = make_plan(intent, slots, example_home())
    assert plan.refused is not None
    assert why in plan.refused


def test_every_intent_of_the_home_changes_what_it_says():
    home = example_home()
    told = {
        "HassStartTimer": {"minutes": 5},
        "HassIncreaseTimer": {"minutes": 5},
        "HassDecreaseTimer": {"minutes": 2},
        "HassPauseTimer": {},
        "HassUnpauseTimer": {},
        "HassCancelTimer": {},
        "HassShoppingListAddItem": {"item": "milk"},
        "HassShoppingListCompleteItem": {"item": "milk"},
        "HassListAddItem": {"item": "walk", "name": "todo"},
        "HassListCompleteItem": {"item": "walk", "name": "todo"},
        "HassCancelAllTimers": {},
    }
    assert set(told) == set(HOME_WIDE)
    home.execute(Action("HassStartTimer", {"hours": 1, "name": "roast"}))
    for intent, slots in told.items():
        assert home.execute(Action(intent, slots)), intent
    assert home.timers.get("roast") is None
    assert home.lists == {"shopping list": [], "todo": []}


def test_an_intent_that_the_home_does_not_know_is_refused():
    with pytest.raises(ValueError, match="can't execute HassFly"):
        example_home().execute(Action("HassFly", {}, ("desk lamp",)))


def test_a_home_is_read_from_json(tmp_path):
    file = tmp_path / "home.json"
    file.write_text(json.dumps(example_home().to_dict()))
    again = read_home(file)
    assert again.to_dict() == example_home().to_dict()
    file.write_text(json.dumps({"areas": {}, "devices": [{"name": "x", "domain": "rocket"}]}))
    with pytest.raises(ValueError, match="known are light"):
        read_home(file)
    with pytest.raises(ValueError, match="no such file"):
        read_home(tmp_path / "none.json")
    with pytest.raises(ValueError, match="at least one device"):
        home_from_dict({"areas": {}, "devices": []}, "here")


def test_kinds_of_devices():
    assert domain_of_name("curtains") == "cover"
    assert domain_of_name("front door lock") == "lock"
    assert domain_of_name("quasar") is None
    assert set(INITIAL_STATES) >= {"light", "lock", "alarm", "oven", "climate"}


def test_sensed_presence_lights_and_heats_and_absence_saves():
    home = example_home()
    plan = plan_for_scene("binary", "yes", "office", home, 21.0, 17.0)
    assert [(a.intent, a.devices) for a in plan.actions] == [
        ("HassTurnOn", ("desk lamp",)),
        ("HassClimateSetTemperature", ("office thermostat",)),
    ]
    for action in plan.actions:
        home.execute(action)
    assert plan_for_scene("binary", "yes", "office", home, 21.0, 17.0).actions == []
    plan = plan_for_scene("binary", "no", "office", home, 21.0, 17.0)
    changes = [c for a in plan.actions for c in home.execute(a)]
    assert {(c.attribute, c.after) for c in changes} == {("on", False), ("temperature", 17.0)}


def test_preferences_move_the_set_point_within_comfort():
    home = example_home()
    home.device("office thermostat").state["temperature"] = COMFORT_RANGE[1] - 0.5
    for _ in range(3):
        for action in plan_for_scene("multiclass", "warmer", "office", home, 21.0, 17.0).actions:
            home.execute(action)
    assert home.device("office thermostat").state["temperature"] == COMFORT_RANGE[1] <= HARD_LIMITS[1]
    assert plan_for_scene("multiclass", "no change", "office", home, 21.0, 17.0).actions == []
    assert plan_for_scene("multiclass", "warmer", "garage", home, 21.0, 17.0).refused is not None
    assert plan_for_scene("binary", "yes", "moon", home, 21.0, 17.0).refused is not None
