"""Sources in their published layouts: small files made by hand, and the real sets where PLINTH_DATA has them."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pytest
from real_data import ROOT
from real_data import needs_data as real

import smarthome
from core.config import build
from core.data.slot_alignment import parse_slots, word_spans
from core.data.splits import split
from smarthome.sources.home_assistant import HomeAssistant, fixtures_home, locate_slots
from smarthome.sources.slurp import slots_from_tokens
from smarthome.sources.snips import separate_slots
from smarthome.templates import Grammar, sample_sentence

REAL = ROOT / "smarthome"


def dataset(*asked, task="commands"):
    config = smarthome.train.configure(f"task={task}", *asked)
    return build(config.data, config.task, 0)


def marks(dataset):
    """Give the texts of every slot: (name, words)."""
    return {
        (name, text[a:b])
        for text, cell in zip(dataset.frame["text"], dataset.frame["slots"], strict=True)
        for a, b, name in parse_slots(cell, "x")
    }


# --- by hand


def test_snips_leaves_copies_of_test_utterances_out_of_training(tmp_path):
    rows = [
        {"split": "train", "intent": "PlayMusic", "text": "Play Jazz now ", "slots": [[5, 9, "genre"]]},
        {
            "split": "train",
            "intent": "GetWeather",
            "text": "rain at one pmnear Bath",
            "slots": [[8, 14, "time"], [14, 18, "spatial"]],
        },
        {"split": "train", "intent": "PlayMusic", "text": "play  the BLUES", "slots": []},
        {"split": "validate", "intent": "PlayMusic", "text": "play the blues", "slots": [[9, 14, "genre"]]},
    ]
    file = tmp_path / "snips.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join(json.dumps(r) for r in rows).encode()))
    found = dataset("data=snips", f"data.path={file}")
    assert found.frame["text"].tolist() == ["Play Jazz now ", "rain at one pm near Bath", "play the blues"]
    assert found.frame["split"].tolist() == ["train", "train", "test"]
    assert {("time", "one pm"), ("spatial", "near")} <= marks(found)
    assert any("1 training utterances" in note for note in found.notes)


def test_slots_that_meet_inside_a_word_are_parted():
    assert separate_slots("one pmnear x", [[0, 6, "a"], [6, 10, "b"]]) == (
        "one pm near x",
        [[0, 6, "a"], [7, 11, "b"]],
    )
    assert separate_slots("one near", [[0, 3, "a"], [4, 8, "b"]]) == ("one near", [[0, 3, "a"], [4, 8, "b"]])


def test_slurp_entities_become_characters():
    text, slots = slots_from_tokens(["wake", "me", "at", "five", "am"], [{"span": [3, 4], "type": "time"}])
    assert text == "wake me at five am"
    assert json.loads(slots) == [[11, 18, "time"]]


def grammar(**lists):
    rules = {"the": "(the|my)", "area": "[<the>] {area}", "degrees": "{temperature}[[ ]°]"}
    return Grammar(
        rules,
        {
            "temperature": {"range": {"from": 20, "to": 20}},
            "state": {"values": [{"in": "on", "out": "on"}]},
            **lists,
        },
        {"area": ["office"]},
    )


def test_templates_expand_with_their_slots_marked():
    rng = np.random.default_rng(0)
    seen = {
        sample_sentence("(turn|switch) on [all] lights (in <area>|)", grammar(), rng)[0] for _ in range(200)
    }
    assert "turn on lights in my office" in seen
    assert "switch on all lights" in seen
    for _ in range(50):
        text, slots = sample_sentence("set <area> to <degrees> {state:mode}", grammar(), rng)
        said = {name: text[a:b] for a, b, name in slots}
        assert said == {"area": "office", "temperature": "20", "mode": "on"}
    orders = {sample_sentence("(one;two)", grammar(), rng)[0] for _ in range(30)}
    assert orders == {"one two", "two one"}
    assert sample_sentence("<unknown>", grammar(), rng) is None
    assert sample_sentence("{empty}", grammar(), rng) is None


def test_spoken_slots_are_whole_words_that_do_not_overlap():
    text = "stelle die Lampe im Wohnzimmers auf 15 Prozent"
    slots, lost = locate_slots(
        text, {"area": "Wohnzimmer", "name": ["Lampe", "die Lampe"], "brightness": 15, "domain": "light"}, {}
    )
    assert {(text[a:b], name) for a, b, name in slots} == {
        ("die Lampe", "name"),
        ("Wohnzimmers", "area"),
        ("15", "brightness"),
    }
    assert lost == 0
    assert locate_slots("set to 150", {"brightness": 15}, {}) == ([], 1)
    assert locate_slots("lights on", {"area": "Office"}, {"area": "Office"}) == (
        [],
        0,
    )  # told by where it was said


def write_home_assistant(folder):
    rows = [
        {
            "lang": lang,
            "file": "light_HassTurnOn",
            "sentence": f"{word} {area} {extra}",
            "intent": intent,
            "slots": {"area": area, "domain": "light"},
            "context": {},
        }
        for lang, word in (("en", "light"), ("de", "Licht"))
        for n, area in enumerate([f"room{i}" for i in range(30)])
        for extra, intent in (("on", "HassTurnOn"), ("off", "HassTurnOff"))
    ]
    (folder / "tests_all_languages.jsonl.gz").write_bytes(
        gzip.compress("\n".join(map(json.dumps, rows)).encode())
    )
    templates = {
        "_common.yaml": {"expansion_rules": {}, "lists": {}},
        "light_HassTurnOn.yaml": {
            "intents": {"HassTurnOn": {"data": [{"sentences": ["turn on the {name} in {area}"]}]}}
        },
    }
    (folder / "en_sentence_templates.json.gz").write_bytes(gzip.compress(json.dumps(templates).encode()))
    fixtures = {
        "floors": [{"name": "Upstairs", "id": "u"}],
        "areas": [{"name": "Attic", "id": "a", "floor": "u"}],
        "entities": [{"name": "Lamp", "id": "light.lamp", "area": "a"}, {"name": "Front", "id": "lock.front"},
                     {"name": "CO2", "id": "sensor.co2", "area": "a"}],
    }  # fmt: skip
    (folder / "en_fixtures.json.gz").write_bytes(gzip.compress(json.dumps(fixtures).encode()))
    return fixtures


def test_home_assistant_blocks_stay_in_one_part_and_templates_train(tmp_path):
    fixtures = write_home_assistant(tmp_path)
    found = build(HomeAssistant(path=str(tmp_path), min_count=10, out_of_scope_sentences=50), None, 0)
    rows = split(found)
    parts = {name: set(found.frame["block"].iloc[chosen]) for name, chosen in rows.items()}
    assert not parts["train"] & parts["test"]
    assert not parts["validation"] & parts["test"]
    drawn = found.frame[found.frame["block"].str.startswith("template")]
    assert len(drawn) > 5
    assert set(drawn["part"]) == {"train"}
    assert not found.frame["text"].str.lower().duplicated().any()
    assert {"en", "de"} == set(found.frame["language"])
    home = fixtures_home(fixtures)
    assert [(d.name, d.domain, d.area) for d in home.devices] == [
        ("Lamp", "light", "Attic"),
        ("Front", "lock", None),
    ]
    with pytest.raises(ValueError, match="the languages are de, en"):
        build(HomeAssistant(path=str(tmp_path), languages=["xx"]), None, 0)
    with pytest.raises(ValueError, match=r"no tests_all_languages\.jsonl"):
        build(HomeAssistant(path=str(tmp_path.parent)), None, 0)


def test_own_utterances(tmp_path):
    file = tmp_path / "said.csv"
    lines = ["said,meant,marked,home,tongue"]
    lines += [f'switch lamp {n},on,"[[7,11,""name""]]",h{n % 20},{"a" if n % 2 else "b"}' for n in range(60)]
    lines += [f"stop it {n},off,,h{n % 20},a" for n in range(60)]
    file.write_text("\n".join(lines))
    asked = (
        "data.text=said",
        "data.intent=meant",
        "data.slots=marked",
        "data.unit=home",
        "data.sensitive=tongue",
    )
    found = dataset("data=utterances", f"data.path={file}", *asked)
    assert found.roles.unit == "home"
    assert found.roles.sensitive == ("tongue",)
    rows = split(found)
    homes = [set(found.frame["home"].iloc[chosen]) for chosen in rows.values()]
    assert not homes[0] & homes[2]
    with pytest.raises(ValueError, match=r"data\.slots: no column 'mark'"):
        dataset("data=utterances", f"data.path={file}", *asked[:2], "data.slots=mark")
    file.write_text("text,intent,slots\nhello there,on,[[0]]\n")
    with pytest.raises(ValueError, match="row 1"):
        dataset("data=utterances", f"data.path={file}")


def write_occupancy(folder):
    rng = np.random.default_rng(0)
    for name, start in (
        ("datatraining", "2015-02-08 00:00"),
        ("datatest", "2015-02-02 00:00"),
        ("datatest2", "2015-02-12 00:00"),
    ):
        times = pd.date_range(start, periods=2 * 1440, freq="min")
        there = ((times.hour >= 9) & (times.hour < 17)).astype(int)
        lines = ['"date","Temperature","Humidity","Light","CO2","HumidityRatio","Occupancy"']
        lines += [
            f'"{n}","{t:%Y-%m-%d %H:%M:%S}",{20 + there[n]},{25 + rng.random():.2f},{400 * there[n]},'
            f"{450 + 300 * there[n]},0.004,{there[n]}"
            for n, t in enumerate(times)
        ]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")


def test_occupancy_never_shows_light_alone_and_keeps_the_published_files_apart(tmp_path):
    write_occupancy(tmp_path)
    found = dataset("data=occupancy", f"data.path={tmp_path}", task="scene")
    assert "Light" not in found.roles.numeric
    assert "hour" not in found.roles.numeric
    assert len(found.files) == 3
    rows = split(found)
    days = {part: set(found.frame["day"].iloc[chosen].str.split().str[0]) for part, chosen in rows.items()}
    assert days == {
        "train": {"datatraining"},
        "validation": {"datatraining"},
        "test": {"datatest", "datatest2"},
    }
    one = dataset(
        "data=occupancy", f"data.path={tmp_path}", "data.test_set=1", "data.light=true", task="scene"
    )
    assert "Light" in one.roles.numeric
    assert len(one.roles.numeric) > 5
    assert set(one.frame["day"].str.split().str[0]) == {"datatraining", "datatest"}
    change = found.frame.loc[found.frame["day"] == "datatest 2015-02-02", "CO2_10_min"]
    assert change.iloc[9 * 60] == 300  # ten minutes before, no one was there
    assert change.iloc[:10].isna().all()
    with pytest.raises(ValueError, match="never used without"):
        dataset(
            "data=occupancy", f"data.path={tmp_path}", "data.inputs=clock", "data.light=true", task="scene"
        )
    with pytest.raises(ValueError, match="no datatraining"):
        dataset("data=occupancy", f"data.path={tmp_path.parent}", task="scene")


# --- the real sets


@real
def test_real_snips():
    found = dataset("data=snips")
    rows = split(found)
    assert len(rows["test"]) == 700
    assert len(rows["train"]) + len(rows["validation"]) == 13_784 - int(found.notes[-1].split()[0])
    assert found.frame["intent"].nunique() == 7
    assert len({name for name, _ in marks(found)}) == 39


@real
def test_real_slurp():
    found = dataset("data=slurp")
    assert found.frame["intent"].nunique() == 59
    assert (found.frame["part"] == "test").sum() >= 2960
    for text, cell in zip(found.frame["text"], found.frame["slots"], strict=True):
        starts = {a for a, _ in word_spans(text)}
        assert all(a in starts for a, _, _ in parse_slots(cell, "x"))


@real
def test_real_home_assistant_in_two_languages():
    found = dataset("data=home_assistant", "data.languages=[en,de]", "data.sentences_per_template=2")
    rows = split(found)
    held = set(found.frame["text"].iloc[rows["test"]].str.lower())
    assert not held & set(found.frame["text"].iloc[rows["train"]].str.lower())
    assert {"name", "area", "brightness"} <= {name for name, _ in marks(found)}
    assert ("area", "Wohnzimmer") in marks(found)


@real
def test_real_occupancy():
    found = dataset("data=occupancy", task="scene")
    rows = split(found)
    assert len(rows["train"]) + len(rows["validation"]) == 8143
    assert len(rows["test"]) == 2665 + 9752


@real
def test_real_appliances_are_split_by_time_and_know_nothing_of_the_future():
    found = dataset("data=appliances", task="scene")
    rows = split(found)
    times = pd.to_datetime(found.frame["date"])
    assert times.iloc[rows["train"]].max() < times.iloc[rows["validation"]].min()
    assert times.iloc[rows["validation"]].max() < times.iloc[rows["test"]].min()
    now, ahead = found.frame["Appliances"].to_numpy(), found.frame["next"].to_numpy()
    np.testing.assert_array_equal(ahead[:-1], now[1:])
    assert not {"rv1", "rv2", "next"} & set(found.roles.numeric)


@real
def test_real_ashrae_keeps_buildings_together():
    found = dataset("data=ashrae", "data.max_rows=8000", task="scene")
    rows = split(found)
    buildings = [set(found.frame["building_id"].iloc[chosen]) for chosen in rows.values()]
    assert not buildings[0] & buildings[2]
    assert set(found.frame["thermal_preference"]) == {"cooler", "no change", "warmer"}
    assert "pmv" not in found.roles.numeric
