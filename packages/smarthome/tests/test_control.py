"""The verb control, as a user calls it: train both simulated defaults small, utterances, sensors, confirmation."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import smarthome
from smarthome.command import ControlConfig
from smarthome.controller import build_controller, confidence_threshold

SMALL = (
    "training.progress=none",
    "evaluation.resamples=50",
    "evaluation.resamples_slow=20",
    "baseline=none",
    "threads=1",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    commands = smarthome.train(
        "task=commands",
        "data.rows=2500",
        "training.epochs=6",
        "backbone.hidden_size=48",
        *SMALL,
        folder=folder / "commands",
    )
    scene = smarthome.train(
        "task=scene",
        "data.rows=2000",
        "training.epochs=6",
        *SMALL,
        folder=folder / "scene",
    )
    return commands, scene


def spoken(runs, tmp_path, *lines, **settings):
    commands, scene = runs
    file = tmp_path / "said.jsonl"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    out = tmp_path / "answers.jsonl"
    given = [f"{key}={value}" for key, value in settings.items()]
    answers = smarthome.control(
        f"run={commands.path}",
        f"scene_run={scene.path}",
        f"input={file}",
        f"output={out}",
        *given,
        folder=tmp_path / "x",
    )
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(written) == len(answers) == len(lines)
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


def test_a_lock_waits_until_a_person_confirms(runs, tmp_path):
    asked, yes = spoken(runs, tmp_path, "unlock the front door lock", {"confirm": True})
    assert (asked["decision"], asked["changes"]) == ("confirm", [])
    assert yes["changes"] == [
        {"device": "front door lock", "attribute": "locked", "before": True, "after": False}
    ]
    asked, no, late = spoken(
        runs, tmp_path, "unlock the front door lock", {"confirm": False}, {"confirm": True}
    )
    assert (asked["decision"], no["decision"], late["decision"]) == ("confirm", "refused", "refused")
    assert no["changes"] == late["changes"] == []
    # whatever else is said takes the question off the table
    _, _, late = spoken(
        runs, tmp_path, "unlock the front door lock", "turn on the desk lamp", {"confirm": True}
    )
    assert late["reason"] == "no plan is waiting for confirmation"


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
    ("given", "told"),
    [
        (("min_confidence=2",), "min_confidence=2"),
        (("comfort=40",), "comfort=40"),
        (("input=none.txt",), "no such file"),
        (("area=moon",), "the home has"),
        (("scene_run={commands}",), "task=scene"),
        (("output=/no/where/x.jsonl",), "there is no folder"),
    ],
)
def test_mistakes_are_told(runs, tmp_path, given, told):
    commands, _ = runs
    file = tmp_path / "said.txt"
    file.write_text("stop\n")
    asked = [g.format(commands=commands.path) for g in given]
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
    assert controller.handle({"confirm": True})["decision"] == "done"
