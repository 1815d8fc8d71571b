"""The verb control, as a user calls it: train both simulated defaults small, utterances, sensors, confirmation."""

from __future__ import annotations

import contextlib
import functools
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import smarthome
from smarthome.command import ControlConfig
from smarthome.controller import PendingPlan, build_controller, confidence_threshold
from smarthome.plan import make_plan
from smarthome.protocol import parse_line, parse_message


def spoken(runs, tmp_path, *lines, **keys):
    commands, scene = runs
    file = tmp_path / "said.jsonl"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    out = tmp_path / f"answers{len(list(tmp_path.iterdir()))}.jsonl"  # a new home each time
    more = [f"{key}={value}" for key, value in keys.items()]
    decisions = smarthome.control(
        f"run={commands.path}",
        f"scene_run={scene.path}",
        f"input={file}",
        f"output={out}",
        *more,
        folder=tmp_path / "x",
    )
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(written) == sum(decisions.values()) == len(lines)
    return written


def test_a_command_becomes_a_plan_and_a_change(runs, tmp_path):
    (answer,) = spoken(runs, tmp_path, "turn on the reading lamp")
    assert answer["intent"] == "HassTurnOn"
    assert answer["slots"] == {"name": "reading lamp"}
    assert answer["decision"] == "done"
    assert answer["plan"] == [
        {"intent": "HassTurnOn", "slots": {"name": "reading lamp"}, "devices": ["reading lamp"]}
    ]
    assert answer["changes"] == [
        {"device": "reading lamp", "attribute": "on", "before": False, "after": True}
    ]
    assert 0.5 < answer["confidence"] <= 1


def controller_of(runs, **keys):
    return build_controller(ControlConfig(run=str(runs[0].path), **keys))


def test_a_lock_waits_until_a_person_confirms(runs):
    controller = controller_of(runs)
    asked = controller.handle({"text": "unlock the front door lock"})
    assert (asked["decision"], asked["changes"]) == ("confirm", [])
    yes = controller.handle({"confirm": True, "id": asked["id"]})
    assert (yes["decision"], yes["reason"], yes["confirmed"]) == ("done", "confirmed by a person", True)
    assert yes["changes"] == [
        {"device": "front door lock", "attribute": "locked", "before": True, "after": False}
    ]
    late = controller.handle({"confirm": True, "id": asked["id"]})  # once
    assert (late["decision"], late["changes"]) == ("refused", [])
    # whatever else is said takes the question off the table
    asked = controller.handle({"text": "lock the front door lock"})
    controller.handle({"text": "turn on the desk lamp"})
    late = controller.handle({"confirm": True, "id": asked["id"]})
    assert late["reason"] == "no plan is waiting for confirmation"


@functools.cache
def _controller_of(path):
    return build_controller(ControlConfig(run=path))


def shared_controller(runs):
    """Return one controller for many lines."""
    return _controller_of(str(runs[0].path))


NO = ["no", "yes", "true", "false", [False], [True], 1, 0, 1.0, None, {}, {"confirm": True}, "", False]


@pytest.mark.parametrize("said", NO, ids=repr)
def test_only_true_confirms(runs, said):
    controller = controller_of(runs)
    asked = controller.handle({"text": "unlock the front door lock"})
    answer = controller.handle({"confirm": said, "id": asked["id"]})
    assert (answer["decision"], answer["confirmed"], answer["changes"]) == ("refused", False, [])
    assert controller.home.device("front door lock").state == {"locked": True}
    assert controller.pending is None


@pytest.mark.parametrize("own", [None, "", "x", "1"], ids=repr)
def test_only_the_id_of_the_question_confirms(runs, own):
    controller = controller_of(runs)
    controller.handle({"text": "unlock the front door lock"})
    answer = controller.handle({"confirm": True, "id": own})
    assert (answer["decision"], answer["changes"]) == ("refused", [])
    assert "not that of the question" in answer["reason"]


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(), st.lists)
)
@settings(max_examples=60, deadline=None)
def test_no_answer_but_the_right_one_opens_the_door(runs, said):
    controller = shared_controller(runs)
    controller.home.device("front door lock").state["locked"] = True
    plan = make_plan("HassTurnOff", {"name": "front door lock"}, controller.home)
    for line in ({"confirm": said}, {"confirm": said, "id": "right"}, {"confirm": True, "id": said}):
        if line.get("confirm") is True and line.get("id") == "right":
            continue
        controller.pending = PendingPlan("right", plan, controller.clock(), None)
        with contextlib.suppress(ValueError):
            assert controller.handle(line)["changes"] == []
    assert controller.home.device("front door lock").state["locked"]


def test_a_question_waits_for_a_limited_time(runs):
    controller = controller_of(runs, confirm_seconds=30)
    now = 100.0
    controller.clock = lambda: now
    asked = controller.handle({"text": "unlock the front door lock"})
    assert asked["seconds"] == 30
    now = 131.0
    late = controller.handle({"confirm": True, "id": asked["id"]})
    assert (late["decision"], late["changes"]) == ("refused", [])
    assert "more than 30 s old" in late["reason"]


def test_a_spoken_yes_confirms_what_is_not_unsafe_in_the_same_area(runs):
    controller = controller_of(runs)
    controller.handle({"text": "unlock the front door lock"})
    spoken_yes = controller.handle({"text": "Yes."})
    assert (spoken_yes["decision"], spoken_yes["changes"]) == ("refused", [])
    assert "a spoken yes confirms nothing unsafe" in spoken_yes["reason"]
    doubtful = replace(make_plan("HassTurnOn", {"name": "desk lamp"}, controller.home), confirm="unsure")
    controller.pending = PendingPlan("q", doubtful, controller.clock(), "office")
    assert controller.handle({"text": "yes", "area": "kitchen"})["changes"] == []
    done = controller.handle({"text": "yes please!", "area": "office"})
    assert [change["device"] for change in done["changes"]] == ["desk lamp"]
    assert controller.handle({"text": "yes"})["reason"] == "no plan is waiting for confirmation"
    controller.spoken_yes = False
    controller.home.device("desk lamp").state["on"] = False
    controller.pending = PendingPlan("q", doubtful, controller.clock(), None)
    assert controller.handle({"text": "yes"})["changes"] == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"text": "turn on the lights", "area": "mars"}, "area 'mars': the home has kitchen"),
        ({"text": "turn on the lights", "area": ["kitchen"]}, "area should be a text"),
        ({"text": "turn on the lights", "area": 5}, "area should be a text, not 5"),
        ({"text": "turn on the lights", "aera": "kitchen"}, "'aera' is no key"),
        ({"text": "no", "confirm": "x"}, "one of text, sensors and confirm"),
        ({"text": ["turn on the lights"]}, "text should be a text"),
        ({"text": None}, "text is null"),
        ({"text": "turn on \ud800"}, "surrogate"),
        ({"sensors": 3}, "sensors should be an object"),
        ({"sensors": {"co2": [1]}}, "co2 should be one value"),
        ({"sensors": {"co2": 10**400}}, "too large"),
        ({}, "nothing"),
    ],
)
def test_a_line_is_used_as_it_was_meant_or_not_at_all(runs, line, told):
    controller = shared_controller(runs)
    before = controller.home.to_dict()["devices"]
    with pytest.raises(ValueError, match=re.escape(told)):
        controller.handle(line)
    assert controller.home.to_dict()["devices"] == before


@given(
    st.binary(max_size=60) | st.text(max_size=40).map(lambda s: json.dumps({"text": s, "area": s}).encode())
)
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b'{"sensors": {"co2": NaN}}')
@example(b'{"confirm": false, "confirm": true}')
@example(b"\xff\xfe")
@example(b"9" * 5000)
@settings(max_examples=150, deadline=None)
def test_every_line_is_read_or_refused_with_a_reason(line):
    with contextlib.suppress(ValueError):
        parse_message(parse_line(line))


def test_the_log_is_appended_and_the_home_kept_over_a_restart(runs, tmp_path):
    out, source = tmp_path / "log.jsonl", tmp_path / "said.jsonl"
    asked = (f"run={runs[0].path}", f"input={source}", f"output={out}")
    source.write_bytes(b"turn on the desk lamp\n" + b'{"a":' * 20_000 + b"\n\xff\n" + b"x" * 200_000 + b"\n")
    assert smarthome.control(*asked, folder=tmp_path / "x") == {"done": 1, "error": 3}
    with out.open("a") as file:
        file.write('{"utterance": "cut by a k')
    source.write_text("turn on the desk lamp\nturn on the reading lamp\n")
    assert smarthome.control(*asked, folder=tmp_path / "x") == {"done": 2}
    lines = out.read_text().splitlines()
    assert len(lines) == 4 + 1 + 2
    again, new = json.loads(lines[-2]), json.loads(lines[-1])
    assert again["reason"] == "every device was in this state already"
    assert new["changes"][0]["device"] == "reading lamp"
    for kept in (out, tmp_path / "log.jsonl.home"):
        assert kept.stat().st_mode & 0o777 == 0o600
    (tmp_path / "log.jsonl.home").write_text(
        '{"devices": {"desk lamp": {"domain": "light", "state": {"on": 3}}}}'
    )
    with pytest.raises(ValueError, match="not the state of a home"):
        smarthome.control(*asked, folder=tmp_path / "x")


def test_what_is_out_of_scope_is_refused(runs, tmp_path):
    answers = spoken(runs, tmp_path, "what is the capital of Peru", "tell me a joke about owls")
    for answer in answers:
        assert (answer["decision"], answer["plan"], answer["changes"]) == ("refused", [], [])
        assert "out of scope" in answer["reason"]


def test_confidence_below_the_threshold_is_refused(runs, tmp_path):
    (answer,) = spoken(runs, tmp_path, "turn on the reading lamp", min_confidence=1.0)
    assert answer["decision"] == "refused"
    assert "below 1.000" in answer["reason"]


def test_heating_out_of_bounds(runs, tmp_path):
    answers = spoken(
        runs,
        tmp_path,
        "make it 22 degrees in the bedroom",
        "make it 16 degrees in the bedroom",
        comfort=21,
        away=17,
    )
    assert [a["decision"] for a in answers] == ["done", "done"]
    assert answers[0]["changes"][0]["after"] == 22


def test_a_sensed_scene_becomes_a_plan(runs, tmp_path):
    rising = [(20.0, 40.0, 430), (20.3, 41.0, 560), (20.6, 42.5, 690), (20.9, 44.0, 800), (21.1, 45.0, 880)]
    readings = [
        {
            "sensors": {"temperature": t, "humidity": h, "co2": c},
            "area": "office",
            "time": f"2024-01-08 10:{n}0",
        }
        for n, (t, h, c) in enumerate(rising)
    ]
    empty = [
        {
            "sensors": {"temperature": 19.5, "humidity": 40.0, "co2": 425.0},
            "area": "bedroom",
            "time": f"2024-01-08 11:{n}0",
        }
        for n in range(5)
    ]
    answers = spoken(runs, tmp_path, *readings, *empty)
    assert answers[4]["scene"] == "yes"
    assert any(c["device"] == "desk lamp" and c["after"] for a in answers[:5] for c in a["changes"])
    assert answers[-1]["scene"] == "no"
    last = [c for a in answers[5:] for c in a["changes"] if c["device"] == "bedroom thermostat"]
    assert last[-1]["after"] == 17.0


def test_a_reading_that_can_not_be_read_spoils_no_later_one(runs, tmp_path):
    good = {"temperature": 20.0, "humidity": 40.0, "co2": 430}
    lines = [
        {"sensors": good | {"co2": value}, "area": "office", "time": f"2024-01-08 {time}"}
        for value, time in (
            (430, "2024-01-08 10:00"),
            ("much", "2024-01-08 10:10"),
            (430, "soon"),
            (440, "2024-01-08 10:20"),
        )
    ]
    answers = spoken(runs, tmp_path, *lines)
    assert [a["decision"] == "error" for a in answers] == [False, True, True, False]


def test_lines_that_can_not_be_read_are_answered_and_passed_over(runs, tmp_path):
    answers = spoken(
        runs,
        tmp_path,
        '{"what": 1}',
        '{"broken',
        {"sensors": {"co2": 3}, "area": "office"},
        "turn on the desk lamp",
    )
    assert [a["decision"] for a in answers] == ["error", "error", "error", "done"]
    assert "sensors lack temperature, humidity" in answers[2]["reason"]


def test_an_own_home(runs, tmp_path):
    home = tmp_path / "home.json"
    home.write_text(
        json.dumps(
            {
                "areas": {"attic": None},
                "devices": [{"name": "blue lantern", "area": "attic", "domain": "light"}],
            }
        )
    )
    found, lost = spoken(runs, tmp_path, "turn on the blue lantern", "turn on the desk lamp", home=home)
    assert found["changes"][0]["device"] == "blue lantern"
    assert lost["reason"] == "no device called 'desk lamp' in this home"


def test_the_threshold_comes_from_validation(runs):
    from core.serving.load import load

    commands, _ = runs
    study = commands.record.studies["out_of_scope"]
    assert confidence_threshold(load(commands.path)) == study.metrics["threshold_99"].value
    assert 0 < study.metrics["threshold_99"].value <= study.metrics["threshold_95"].value <= 1


def test_studies_are_in_the_record_and_on_the_page(runs):
    commands, _ = runs
    record = commands.record
    assert set(record.studies) == {
        "out_of_scope",
        "plans",
        "false_activation",
        "languages",
        "text_robustness",
        "footprint",
    }
    assert record.studies["plans"].metrics["plan_success"].value > 0.5
    assert record.studies["footprint"].metrics["p95_ms"].value > 0
    noisy = {
        (r["corruption"], r["probability"]): r["exact match"]
        for r in record.studies["text_robustness"].tables["Robustness to typos and speech recognition errors"]
    }
    assert noisy["typos", 0.4] < noisy["none", 0.0]
    page = (commands.path / "report.html").read_text()
    for study in record.studies.values():
        assert study.summary.split(",")[0][:40] in page.replace("&#x27;", "'")


def test_a_scene_says_what_its_plans_cost(runs):
    _, scene = runs
    study = scene.record.studies["occupancy"]
    p = scene.predictions("test")
    there = p.targets == p.classes.index("yes")
    decided = p.labels == p.classes.index("yes")
    assert study.metrics["missed_occupancy_rate"].value == pytest.approx(float(np.mean(~decided[there])))
    assert study.metrics["false_occupancy_rate"].value == pytest.approx(float(np.mean(decided[~there])))
    assert study.metrics["switches_per_day"].value > 0
    model, schedule = study.tables["Occupancy"]
    assert model["accuracy"] > schedule["accuracy"] > 0.3  # simulated people keep no hours


def test_predict_gives_intent_and_slots(runs, tmp_path):
    commands, _ = runs
    table = tmp_path / "said.csv"
    table.write_text("text\nturn on the reading lamp\nset the volume of the big speaker to 30\n")
    found = smarthome.predict(f"run={commands.path}", f"input={table}", f"output={tmp_path / 'out.jsonl'}")
    assert found["prediction"].tolist() == ["HassTurnOn", "HassSetVolume"]
    assert json.loads(found["slots"][0 if 0 in found.index else found.index[0]]) == [[12, 24, "name"]]
    assert found["slots_probability"].between(0, 1).all()


def test_evaluate_judges_own_utterances(runs, tmp_path):
    commands, _ = runs
    file = tmp_path / "own.jsonl"
    rows = [
        {"text": "switch off the floor lamp", "intent": "HassTurnOff", "slots": [[15, 25, "name"]]},
        {
            "text": "dim the corner lamp to 35 percent",
            "intent": "HassLightSet",
            "slots": [[8, 19, "name"], [23, 25, "brightness"]],
        },
    ]
    rows = [
        {**row, "text": row["text"] + after} for row in rows for after in ("", " please", " now", " thanks")
    ]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    found = smarthome.evaluate(
        f"run={commands.path}", "data=utterances", f"data.path={file}", folder=tmp_path / "judged"
    )
    assert found.metrics["intent_accuracy"].value > 0.6
    assert (tmp_path / "judged/evaluation.json").is_file()


def test_the_command_line_reads_standard_input(runs, tmp_path):
    commands, _ = runs
    done = subprocess.run(
        [sys.executable, "-m", "smarthome.control", f"run={commands.path}", "input=-"],
        input="turn on the desk lamp\n",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["changes"][0]["device"] == "desk lamp"
    assert "simulated data" in done.stderr
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").rglob("*.json"))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (("min_confidence=2",), "min_confidence=2"),
        (("comfort=40",), "comfort=40"),
        (("input=none.txt",), "no such file"),
        (("area=moon",), "the home has"),
        (("scene_run={commands}",), "task=scene"),
        (("output=/no/where/x.jsonl",), "there is no folder"),
    ],
)
def test_mistakes_are_told(runs, tmp_path, keys, told):
    commands, _ = runs
    file = tmp_path / "said.txt"
    file.write_text("stop\n")
    asked = [g.format(commands=commands.path) for g in keys]
    base = [f"run={commands.path}", *([] if any(a.startswith("input") for a in asked) else [f"input={file}"])]
    with pytest.raises(ValueError, match=told):
        smarthome.control(*base, *asked, folder=Path(tmp_path / "y"))


def test_a_scene_run_does_not_command(runs, tmp_path):
    _, scene = runs
    with pytest.raises(ValueError, match="task=commands"):
        smarthome.control(f"run={scene.path}", f"input={tmp_path / 'x'}", folder=tmp_path / "y")


def test_a_plan_that_the_run_is_not_sure_of_waits_for_a_person(runs):
    controller = build_controller(ControlConfig(run=str(runs[0].path)))
    assert controller.handle({"text": "turn on the reading lamp"})["decision"] == "done"
    controller.commands.decision_rule = replace(controller.commands.decision_rule, threshold=1.01)
    asked = controller.handle({"text": "turn on the desk lamp"})
    assert (asked["decision"], asked["changes"]) == ("confirm", [])
    assert "below 1.010" in asked["reason"]
    assert controller.handle({"confirm": True, "id": asked["id"]})["decision"] == "done"
    # unlike a query, or what changes nothing
    assert controller.handle({"text": "turn on the desk lamp"})["decision"] == "done"
    assert controller.handle({"text": "is the desk lamp on"})["decision"] == "done"
