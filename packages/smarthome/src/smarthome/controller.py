"""The controller: models interpret a line, a plan is built and executed, unsafe actions wait for confirmation."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import pandas as pd

from core.report.sentences.notices import SIMULATED_MODEL
from core.serving.load import LoadedRun, load
from core.targets.intent_slots import IntentSlotsTarget
from smarthome import home as homes
from smarthome.home import Change, Home
from smarthome.plan import Plan, make_plan, slot_values
from smarthome.scene_policy import plan_for_scene
from smarthome.simulate.phrases import OUT_OF_SCOPE

if TYPE_CHECKING:
    from core.domain import Domain
    from smarthome.command import ControlConfig

YES = ("yes", "confirm", "yes please", "do it", "confirmed")
MAX_READINGS = 2000
"""Sensor readings that are kept as history."""
log = logging.getLogger(__name__)


@dataclass
class Controller:
    """A home, the models of utterances and sensor readings, and the plan that waits for confirmation."""

    commands: LoadedRun
    scene: LoadedRun | None
    home: Home
    min_confidence: float
    comfort: float = 21.0
    away: float = 17.0
    area: str | None = None
    pending: Plan | None = None
    readings: list[dict[str, Any]] = field(default_factory=list)

    def handle(self, line: dict[str, Any]) -> dict[str, Any]:
        """Return the response to one line; raises ValueError for a line without text, sensors or confirm.

        Keys: decision (done, confirm, refused, nothing), plan, changes, confidence, reason, and the interpretation.
        """
        if "confirm" in line or (
            str(line.get("text", "")).strip().lower().rstrip(".!") in YES and self.pending
        ):
            return self._confirmation(bool(line.get("confirm", True)))
        self.pending = None  # any other line cancels the pending plan
        if "text" in line:
            return self._utterance(str(line["text"]), line.get("area", self.area))
        if "sensors" in line:
            return self._readings(line)
        raise ValueError(
            f"{json.dumps(line)[:80]}: a line holds text, sensors or confirm; it has {', '.join(line) or 'nothing'}"
        )

    def _utterance(self, text: str, here: str | None) -> dict[str, Any]:
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
        slots = slot_values(text, target.decoded_slots(labels, [text])[0])
        k = len(target.classes)
        confidence, slots_confidence = float(scores[0, labels[0, 0]]), float(scores[0, k])
        interpretation = {
            "utterance": text,
            "intent": intent,
            "slots": slots,
            "confidence": round(confidence, 4),
            "slots_confidence": round(slots_confidence, 4),
        }
        if intent == OUT_OF_SCOPE:
            return self._respond(interpretation, Plan(refused="out of scope: nothing that this home does"))
        if confidence < self.min_confidence:
            reason = f"confidence {confidence:.3f} is below {self.min_confidence:.3f}: out of scope, or not understood"
            return self._respond(interpretation, Plan(refused=reason))
        plan = make_plan(intent, slots, self.home, here)
        rules = self.commands.decision_rule
        if rules is not None and rules.method != "none" and plan.refused is None and plan.confirm is None:
            certainty = float(rules.confidence(scores, labels)[0])
            if certainty < rules.threshold:  # the run's own rule of oversight: a human decides
                reason = f"confidence {certainty:.3f} is below {rules.threshold:.3f}: a person must confirm"
                plan = replace(plan, confirm=reason)
        return self._respond(interpretation, plan)

    def _readings(self, line: dict[str, Any]) -> dict[str, Any]:
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
            raise ValueError(f"sensors need a time ({roles.time}): this run uses earlier readings")
        self.readings = [*self.readings, row][-MAX_READINGS:]
        frame = pd.DataFrame(self.readings)
        if roles.time is not None:
            frame[roles.time] = pd.to_datetime(frame[roles.time])
        last = frame.iloc[[-1]]
        scores = self.scene.scores(last, history=frame if history else None)
        labels = self.scene.labels(scores, last)
        classes = self.scene.target.classes
        if not classes:
            interpretation = {
                "sensors": line["sensors"],
                "area": area,
                "forecast": round(float(scores[0, 0]), 3),
            }
            return self._respond(interpretation, Plan(refused="a forecast triggers no action"))
        state = classes[int(labels[0])]
        confidence = float(scores[0, int(labels[0])])
        interpretation = {
            "sensors": line["sensors"],
            "area": area,
            "scene": state,
            "confidence": round(confidence, 4),
        }
        plan = plan_for_scene(self.scene.target.kind, state, area, self.home, self.comfort, self.away)
        return self._respond(interpretation, plan)

    def _confirmation(self, yes: bool) -> dict[str, Any]:
        plan, self.pending = self.pending, None
        if plan is None:
            return self._respond({"confirmed": yes}, Plan(refused="no plan is waiting for confirmation"))
        if not yes:
            return self._respond({"confirmed": False}, Plan(plan.actions, refused="not confirmed"))
        changes = self._execute(plan)
        return _response({"confirmed": True}, "done", plan, changes, "confirmed by a person")

    def _respond(self, interpretation: dict[str, Any], plan: Plan) -> dict[str, Any]:
        if plan.refused is not None:
            return _response(interpretation, "refused", plan, [], plan.refused)
        if plan.confirm is not None:
            self.pending = plan
            return _response(interpretation, "confirm", plan, [], plan.confirm)
        changes = self._execute(plan)
        if not plan.actions:
            return _response(interpretation, "nothing", plan, [], "nothing to change")
        reason = "executed" if changes else "every device was in this state already"
        return _response(interpretation, "done", plan, changes, reason)

    def _execute(self, plan: Plan) -> list[Change]:
        return [change for action in plan.actions for change in self.home.execute(action)]


def _response(
    interpretation: dict[str, Any], decision: str, plan: Plan, changes: list[Change], reason: str
) -> dict[str, Any]:
    return {
        **interpretation,
        "decision": decision,
        "plan": [action.to_dict() for action in plan.actions],
        "changes": [asdict(change) for change in changes],
        "reason": reason,
    }


def confidence_threshold(run: LoadedRun) -> float:
    """Return the run's threshold that keeps 99 % of validation commands, 0.5 where the record has none."""
    study = run.run.record.studies.get("out_of_scope")
    figure = None if study is None else study.metrics.get("threshold_99")
    return 0.5 if figure is None or figure.value is None else float(figure.value)


def build_controller(config: ControlConfig) -> Controller:
    """Return the controller of a configuration; raises ValueError for runs of other tasks."""
    commands = load(config.run, config.device)
    if not isinstance(commands.target, IntentSlotsTarget):
        raise ValueError(f"run={config.run}: a run of task=commands (target=intent_slots) is needed")
    scene = None
    if config.scene_run is not None:
        scene = load(config.scene_run, config.device)
        if scene.run.record.run.task != "scene":
            raise ValueError(f"scene_run={config.scene_run}: a run of task=scene is needed")
    home = homes.example_home() if config.home is None else homes.read_home(config.home)
    if config.area is not None and config.area not in home.areas:
        raise ValueError(f"area={config.area}: the home has {', '.join(home.areas)}")
    threshold = confidence_threshold(commands) if config.min_confidence is None else config.min_confidence
    return Controller(commands, scene, home, threshold, config.comfort, config.away, config.area)


def control(config: ControlConfig, folder: Path, domain: Domain) -> list[dict[str, Any]]:
    """Run the command ``control``; return the responses, which were written as they came."""
    return run_control(config)


def run_control(config: ControlConfig) -> list[dict[str, Any]]:
    """Handle every line of the input as it arrives; a line that can't be parsed gets an error as response."""
    controller = build_controller(config)
    if controller.commands.run.record.data.simulated:
        log.warning(SIMULATED_MODEL)
    responses = []
    with _lines(config.input) as lines, _opened(config.output) as out:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                response = controller.handle(_parsed(line))
            except ValueError as error:
                response = {
                    "line": number,
                    "decision": "error",
                    "plan": [],
                    "changes": [],
                    "reason": str(error),
                }
            responses.append(response)
            print(json.dumps(response, ensure_ascii=False, default=_plain), file=out, flush=True)
    return responses


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
def _opened(target: str) -> Iterator[TextIO]:
    if target == "-":
        yield sys.stdout
        return
    path = Path(target)
    if not path.parent.is_dir():
        raise ValueError(f"output={target}: there is no folder {path.parent}; create it first")
    with path.open("w", encoding="utf-8") as file:
        yield file
