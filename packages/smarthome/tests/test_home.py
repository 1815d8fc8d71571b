"""The simulated home, the plans for it, and what no model may do alone."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smarthome.home import HOME_WIDE, INITIAL_STATES, Action, Device, example_home, home_from_dict, read_home
from smarthome.names import words_of
from smarthome.plan import domain_of_name, make_plan
from smarthome.safety import COMFORT_RANGE, HARD_LIMITS
from smarthome.scene_policy import plan_for_scene
from smarthome.spoken_numbers import NUMBER_WORDS, TENS_WORDS, parse_number, parse_slot
from smarthome.uncertainty import ask_if_unsure


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
    [
        ("22,5 °", 22.5),
        ("max", 100),
        ("twenty one", 21),
        ("100", 100),
        ("two hundred", 200),
        ("2 hundred", 200),
        ("a hundred", 100),
        ("one hundred and five", 105),
        ("three thousand", 3000),
        ("fifteen", 15),
        ("thirteen", 13),
        ("nineteen percent", 19),
        ("minus five", -5),
        ("- 5 °C", -5),
        ("20 point 5", 20.5),
        ("twenty point two five", 20.25),
        ("19 and a half", 19.5),
        ("nineteen and a half degrees", 19.5),
        ("25 degrees fahrenheit", -3.9),
        ("68 °F", 20),
        *(
            (unread, None)
            for unread in (
                *(
                    "soon",
                    "",
                    "1,500",
                    "1.500",
                    "20 or 30",
                    "20-30",
                    "one two",
                    "twenty twenty",
                    "five hundred thirty forty",
                ),
                *(
                    "1.5.2",
                    "minus",
                    "20 point",
                    "point 5",
                    "about 20",
                    "20 ish",
                    "9" * 400,
                    "percent",
                    "hundred hundred",
                ),
            )
        ),
    ],
)
def test_numbers(said, value):
    assert parse_number(said) == value


@given(
    st.text(max_size=20)
    | st.lists(st.sampled_from([*NUMBER_WORDS, "hundred", "a", "and", "half", "point", "20", "7"])).map(
        " ".join
    )
)
def test_a_number_is_read_whole_or_not_at_all(said):
    """Whatever is read says nothing more when a word is added that is no unit."""
    value = parse_number(said)
    assert value is None or abs(value) < 1e9
    assert parse_number(f"{said} or so") is None
    assert parse_number(f"or {said}") is None


@given(st.integers(0, 99))
def test_a_number_in_words_is_that_in_digits(n):
    tens, rest = divmod(n, 10)
    words = (
        NUMBER_WORDS[n]
        if n < 20
        else " ".join([list(TENS_WORDS)[tens - 2], *([NUMBER_WORDS[rest]] if rest else [])])
    )
    assert parse_number(words) == parse_number(words.replace(" ", "-")) == parse_number(str(n)) == n
    assert parse_number(f"a hundred and {words}") == (100 + n)


@pytest.mark.parametrize(
    ("slot", "said", "unit", "value"),
    [
        ("temperature", "70", "fahrenheit", 21.1),
        ("temperature", "21", "celsius", 21),
        ("temperature", "70", "kelvin", None),
        ("temperature", "20 percent", None, None),
        ("temperature", "max", None, None),
        ("temperature", "half", None, None),
        ("temperature", "20 celsius", "fahrenheit", None),
        ("brightness", "half", None, 50),
        ("brightness", "20 degrees", None, None),
        ("minutes", "half a", None, 0.5),
        ("hours", "an", None, 1),
        ("minutes", "max", None, None),
        ("minutes", "2 hours", None, None),
    ],
)
def test_a_unit_is_converted_or_refused(slot, said, unit, value):
    assert parse_slot(slot, said, unit) == value


@pytest.mark.parametrize(
    "empty", ["the", "a", "my", "...", "", " ", "the my our", "!", "\u0301", "die", "all the"]
)
@pytest.mark.parametrize("intent", ["HassTurnOff", "HassTurnOn"])
@pytest.mark.parametrize("area", [None, "living room", "bedroom"])
def test_a_slot_without_a_word_reaches_nothing(empty, intent, area):
    home = example_home()
    for slot in ("name", "area", "floor", "domain"):
        slots = {"domain": "lights", **({} if area is None else {"area": area}), slot: empty}
        plan = make_plan(intent, slots, home)
        assert plan.refused is not None, slots
        assert plan.actions == []
    assert make_plan("HassShoppingListAddItem", {"item": empty}, home).refused is not None


@given(st.text(alphabet=" .,-_!?'/\u0301\u200dthemyaour", max_size=12))
def test_whatever_device_is_reached_shares_a_word_with_what_was_said(name):
    home = example_home()
    plan = make_plan("HassTurnOff", {"name": name}, home)
    for action in plan.actions:
        for device in action.devices:
            assert words_of(name)
            assert words_of(name) <= words_of(device) or home.device(device).domain == domain_of_name(name)


def test_an_accent_is_the_same_in_every_encoding():
    home = home_from_dict(
        {
            "areas": {"K\u00fcche": "\u00c9tage"},
            "devices": [
                {"name": "Caf\u00e9-Lampe", "area": "K\u00fcche", "domain": "light"},
                {
                    "name": "\u0930\u0938\u094b\u0908 \u092c\u0924\u094d\u0924\u0940",
                    "area": None,
                    "domain": "light",
                },
            ],
        },
        "here",
    )
    for slots in (
        {"domain": "light", "area": "Ku\u0308che"},
        {"domain": "light", "area": "KU\u0308CHE"},
        {"domain": "light", "floor": "e\u0301tage"},
        {"name": "cafe\u0301"},
    ):
        plan = make_plan("HassTurnOn", slots, home)
        assert plan.actions[0].devices == ("Caf\u00e9-Lampe",), (slots, plan.refused)
    # vowel signs are part of a word: \u092c is no name of it
    assert make_plan("HassTurnOn", {"name": "\u092c"}, home).refused is not None


def test_the_whole_home_is_not_reached_for_want_of_one_in_the_room():
    plan = make_plan("HassTurnOn", {"domain": "lights"}, example_home(), "hallway")
    assert plan.actions[0].devices == ("hall light",)
    plan = make_plan("HassSetVolume", {"volume_level": "30"}, example_home(), "hallway")
    assert plan.refused is not None
    assert "say where" in plan.refused
    plan = make_plan("HassVacuumStart", {}, example_home(), "office")
    assert plan.actions[0].devices == ("vacuum",)  # there is one


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
        (
            "HassClimateSetTemperature",
            {"area": "bedroom", "temperature": "26"},
            "from 17 to 26 °C is more than",
        ),
        ("HassTurnOn", {"name": "heater"}, "an oven is switched on only"),
        ("HassTurnOn", {"name": "side gate"}, "a gate is opened only"),
        ("HassTurnOn", {"name": "gas"}, "a valve is opened only"),
    ],
)
def test_unsafe_steps_wait_for_a_person(intent, slots, why):
    home = example_home()
    home.device("bedroom thermostat").state["temperature"] = 17.0
    home.devices += [
        Device("heater", "office", "switch", "", {"on": False}),
        Device("side gate", None, "cover", "", {"position": 0}),
        Device("gas", None, "valve", "", {"position": 0}),
    ]
    plan = make_plan(intent, slots, home)
    assert plan.refused is None
    assert plan.confirm is not None
    assert plan.unsafe

    assert re.search(why, plan.confirm)


def test_what_is_safe_needs_no_one():
    for slots in ({"domain": "light", "area": "kitchen"}, {"domain": "lights", "area": "garage"}):
        assert make_plan("HassTurnOn", slots, example_home()).confirm is None
    assert (
        make_plan(
            "HassClimateSetTemperature", {"area": "office", "temperature": "24"}, example_home()
        ).confirm
        is None
    )
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
    lamp = {"name": "Lamp", "domain": "light"}
    for wrong, told in (
        ([1], "areas"),
        ({"devices": 3}, "list of devices"),
        ({"devices": [3]}, "a name and a domain"),
        ({"devices": [lamp, lamp | {"name": "lamp "}]}, "two devices are called"),
        ({"devices": [lamp | {"state": {"on": "no"}}]}, "the state of 'Lamp' can't be"),
        ({"devices": [lamp | {"area": ["x"]}]}, "which is not listed"),
    ):
        with pytest.raises(ValueError, match=told):
            home_from_dict(wrong, "here")
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


def asked_of(intent, slots, sure, home=None):
    home = home or example_home()
    plan = make_plan(intent, slots, home)
    assert plan.refused is None, plan.refused
    return ask_if_unsure(plan, slots, home, intent_confidence=0.9, confidence=sure, threshold=0.8).confirm


def test_what_the_home_bears_out_is_not_asked_back():
    for slots in (
        {"name": "Desk Lamp"},
        {"domain": "lights", "area": "kitchen"},
        {"domain": "lamps", "floor": "first floor"},
    ):
        assert asked_of("HassTurnOn", slots, 0.3) is None, slots
    assert asked_of("HassLightSet", {"name": "desk lamp", "brightness": "20"}, 0.3) is None
    # half a name, a free text, or a whole home
    assert asked_of("HassTurnOn", {"name": "desk"}, 0.3) is not None
    assert asked_of("HassShoppingListAddItem", {"item": "milk"}, 0.3) is not None
    assert asked_of("HassTurnOn", {"domain": "lights"}, 0.3) is not None
    assert asked_of("HassTurnOn", {"name": "desk"}, 0.85) is None


def test_what_changes_nothing_is_not_asked_back_unless_a_word_would_be_dropped():
    assert asked_of("HassGetState", {"name": "desk"}, 0.3) is None
    assert asked_of("HassTurnOff", {"name": "desk"}, 0.3) is None  # it is off
    assert asked_of("HassTurnOff", {"name": "desk lamp", "color": "blue"}, 0.3) is not None
    assert asked_of("HassCancelTimer", {}, 0.3) is None
    assert asked_of("HassCancelTimer", {"area": "kitchen"}, 0.3) is not None


def test_what_is_unsafe_is_asked_however_sure_the_run_is():
    for intent, slots in (("HassTurnOff", {"name": "front door lock"}), ("HassTurnOn", {"name": "oven"})):
        assert asked_of(intent, slots, 1.0) is not None
