"""Lines in, answers out: the models read, the plan is made, the home carries it out, unsafe steps wait for a person."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import pandas as pd

from core.serving.load import Loaded, load
from core.serving.verbs import SIMULATED
from core.targets.intent_slots import IntentSlotsTarget
from smarthome import home as homes
from smarthome.home import Change, Home
from smarthome.plan import Plan, make_plan, slot_words
from smarthome.scene_policy import scene_plan
from smarthome.simulate.phrases import OUTSIDE

if TYPE_CHECKING:
    from smarthome.command import ControlConfig

YES = ("yes", "confirm", "yes please", "do it", "confirmed")
MOST_READINGS = 2000
"""Readings of a place that are kept as its history."""


@dataclass
class Controller:
    """One home, the models that read what is said and sensed, and what waits for confirmation."""

    commands: Loaded
    scene: Loaded | None
    home: Home
    least: float
    comfort: float = 21.0
    away: float = 17.0
    area: str | None = None
    waiting: Plan | None = None
    readings: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, line: dict[str, Any]) -> dict[str, Any]:
        """Answer one line, raising ValueError that says what a line should hold.

        Keys: decision (done, confirm, refused, nothing), plan, changes, confidence, reason, and what was understood.
        """
        if "confirm" in line or (
            str(line.get("text", "")).strip().lower().rstrip(".!") in YES and self.waiting
        ):
            return self._confirmed(bool(line.get("confirm", True)))
        self.waiting = None  # whatever else is said, the question is off the table
        if "text" in line:
            return self._said(str(line["text"]), line.get("area", self.area))
        if "sensors" in line:
            return self._sensed(line)
        raise ValueError(
            f"{json.dumps(line)[:80]}: a line holds text, sensors or confirm; it has {', '.join(line) or 'nothing'}"
        )

    def _said(self, text: str, here: str | None) -> dict[str, Any]:
        if not text.strip():
            raise ValueError("an empty utterance: a line holds text, sensors or confirm")
        target = self.commands.target
        assert isinstance(target, IntentSlotsTarget)
        frame = pd.DataFrame({target.text: [text]})
        for column in self.commands.roles.inputs():  # columns beside the text are unknown here
            frame[column] = frame.get(column)
        scores = self.commands.scores(frame)
        labels = target.labels(scores)
        intent = target.classes[int(labels[0, 0])]
        slots = slot_words(text, target.named(labels, [text])[0])
        k = len(target.classes)
        sure, path = float(scores[0, labels[0, 0]]), float(scores[0, k])
        said = {
            "said": text,
            "intent": intent,
            "slots": slots,
            "confidence": round(sure, 4),
            "slots_confidence": round(path, 4),
        }
        if intent == OUTSIDE:
            return self._answered(said, Plan(refused="out of scope: nothing that this home does"))
        if sure < self.least:
            told = f"confidence {sure:.3f} is below {self.least:.3f}: out of scope, or not understood"
            return self._answered(said, Plan(refused=told))
        plan = make_plan(intent, slots, self.home, here)
        rules = self.commands.rules
        if rules is not None and rules.method != "none" and plan.refused is None and plan.confirm is None:
            certain = float(rules.confidence(scores, labels)[0])
            if certain < rules.threshold:  # the run's own rule of oversight: a human decides
                told = f"confidence {certain:.3f} is below {rules.threshold:.3f}: a person must confirm"
                plan = replace(plan, confirm=told)
        return self._answered(said, plan)

    def _sensed(self, line: dict[str, Any]) -> dict[str, Any]:
        if self.scene is None:
            raise ValueError("a line with sensors needs scene_run=FOLDER, a finished run of task=scene")
        area = line.get("area", self.area)
        roles = self.scene.roles
        row = dict(line["sensors"])
        for column, key in ((roles.unit, "unit"), (roles.time, "time")):
            if column is not None and column not in row:
                row[column] = line.get(key, area if key == "unit" else None)
        missing = [c for c in roles.inputs() if c not in row]
        if missing:
            raise ValueError(f"sensors lack {', '.join(missing)}; the run reads {', '.join(roles.inputs())}")
        history = bool(self.scene.config["encoder"]["max_events"])
        if history and row.get(roles.time or "") is None:
            raise ValueError(f"sensors need a time ({roles.time}): this run reads what came before")
        self.readings = [*self.readings, row][-MOST_READINGS:]
        frame = pd.DataFrame(self.readings)
        if roles.time is not None:
            frame[roles.time] = pd.to_datetime(frame[roles.time])
        last = frame.iloc[[-1]]
        scores = self.scene.scores(last, history=frame if history else None)
        labels = self.scene.decide(scores, last)
        classes = self.scene.target.classes
        if not classes:
            value = float(scores[0, 0])
            heard = {"sensed": line["sensors"], "area": area, "forecast": round(value, 3)}
            return self._answered(heard, Plan(refused="a forecast sets nothing by itself"))
        found = classes[int(labels[0])]
        sure = float(scores[0, int(labels[0])])
        heard = {"sensed": line["sensors"], "area": area, "scene": found, "confidence": round(sure, 4)}
        plan = scene_plan(self.scene.target.kind, found, area, self.home, self.comfort, self.away)
        return self._answered(heard, plan)

    def _confirmed(self, yes: bool) -> dict[str, Any]:
        plan, self.waiting = self.waiting, None
        if plan is None:
            return self._answered({"confirmed": yes}, Plan(refused="nothing waits for confirmation"))
        if not yes:
            return self._answered({"confirmed": False}, Plan(plan.actions, refused="not confirmed"))
        changes = self._carried_out(plan)
        return _line({"confirmed": True}, "done", plan, changes, "confirmed by a person")

    def _answered(self, heard: dict[str, Any], plan: Plan) -> dict[str, Any]:
        if plan.refused is not None:
            return _line(heard, "refused", plan, [], plan.refused)
        if plan.confirm is not None:
            self.waiting = plan
            return _line(heard, "confirm", plan, [], plan.confirm)
        changes = self._carried_out(plan)
        if not plan.actions:
            return _line(heard, "nothing", plan, [], "all is as it should be")
        told = "done" if changes else "nothing had to change"
        return _line(heard, "done", plan, changes, told)

    def _carried_out(self, plan: Plan) -> list[Change]:
        return [change for action in plan.actions for change in self.home.carry_out(action)]


def _line(
    heard: dict[str, Any], decision: str, plan: Plan, changes: list[Change], reason: str
) -> dict[str, Any]:
    return {
        **heard,
        "decision": decision,
        "plan": [action.json() for action in plan.actions],
        "changes": [asdict(change) for change in changes],
        "reason": reason,
    }


def threshold_of(run: Loaded) -> float:
    """Give the confidence that 99 of 100 commands of validation reached, as the run's record says; else 0.5."""
    study = run.run.record.studies.get("out_of_scope")
    figure = None if study is None else study.figures.get("threshold_99")
    return 0.5 if figure is None or figure.value is None else float(figure.value)


def make_controller(config: ControlConfig) -> Controller:
    """Open the runs and the home, raising ValueError for runs of other tasks."""
    commands = load(config.run, config.device)
    if commands.target.kind != "tokens":
        raise ValueError(f"run={config.run}: a run of task=commands (target=tokens) is needed")
    scene = None
    if config.scene_run is not None:
        scene = load(config.scene_run, config.device)
        if scene.run.record.run.task != "scene":
            raise ValueError(f"scene_run={config.scene_run}: a run of task=scene is needed")
    home = homes.example() if config.home is None else homes.read(config.home)
    if config.area is not None and config.area not in home.areas:
        raise ValueError(f"area={config.area}: the home has {', '.join(home.areas)}")
    least = threshold_of(commands) if config.least is None else config.least
    return Controller(commands, scene, home, least, config.comfort, config.away, config.area)


def run_control(config: ControlConfig) -> list[dict[str, Any]]:
    """Answer every line of the input as it comes; one that can't be read is answered with an error and passed over."""
    controller = make_controller(config)
    if controller.commands.run.record.data.simulated:
        print(f"note: {SIMULATED}", file=sys.stderr)
    answers = []
    with _lines(config.input) as lines, _written(config.output) as out:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                answer = controller.answer(_parsed(line))
            except ValueError as error:
                answer = {
                    "line": number,
                    "decision": "error",
                    "plan": [],
                    "changes": [],
                    "reason": str(error),
                }
            answers.append(answer)
            print(json.dumps(answer, ensure_ascii=False, default=_plain), file=out, flush=True)
    return answers


def _parsed(line: str) -> dict[str, Any]:
    text = line.strip()
    if not text.startswith("{"):
        return {"text": text}
    content = json.loads(text)
    assert isinstance(content, dict)
    return content


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else str(value)


@contextlib.contextmanager
def _lines(source: str) -> Iterator[Iterable[str]]:
    if source == "-":
        yield sys.stdin
        return
    path = Path(source)
    if not path.is_file():
        raise ValueError(f"input={source}: no such file; - reads standard input")
    with path.open(encoding="utf-8") as file:
        yield file


@contextlib.contextmanager
def _written(target: str) -> Iterator[TextIO]:
    if target == "-":
        yield sys.stdout
        return
    path = Path(target)
    if not path.parent.is_dir():
        raise ValueError(f"output={target}: there is no folder {path.parent}; make it first")
    with path.open("w", encoding="utf-8") as file:
        yield file
