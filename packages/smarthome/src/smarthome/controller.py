"""The controller: models interpret a line, a plan is built and executed, unsafe actions wait for confirmation."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.report.sentences.notices import SIMULATED_MODEL
from core.serving.load import LoadedRun, load
from core.targets.intent_slots import IntentSlotsTarget
from smarthome import home as homes
from smarthome.home import Change, Home
from smarthome.journal import open_log, restore_state, save_state
from smarthome.names import same_name
from smarthome.plan import Plan, make_plan, slot_values
from smarthome.protocol import Confirmation, Readings, parse_line, parse_message, read_lines
from smarthome.scene_policy import plan_for_scene
from smarthome.simulate.phrases import OUT_OF_SCOPE
from smarthome.uncertainty import ask_if_unsure

if TYPE_CHECKING:
    from core.domain import Domain
    from smarthome.command import ControlConfig

YES = ("yes", "confirm", "yes please", "do it", "confirmed")
MAX_READINGS = 2000
"""Sensor readings that are kept as history."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PendingPlan:
    """A plan that waits for a person."""

    id: str
    plan: Plan
    asked_at: float
    """Seconds on the controller's clock."""
    area: str | None
    """Where the command was spoken."""


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
    confirm_seconds: float = 60.0
    spoken_yes: bool = True
    """Whether a spoken yes confirms what is not unsafe."""
    clock: Callable[[], float] = time.monotonic
    pending: PendingPlan | None = None
    readings: list[dict[str, Any]] = field(default_factory=list)

    def handle(self, line: dict[str, Any]) -> dict[str, Any]:
        """Return the response to one line (see ``smarthome.protocol``); raises ValueError for one that can't be used.

        Keys: decision (done, confirm, refused, nothing), plan, changes, confidence, reason, and the interpretation;
        a question has its id and the seconds that it waits.
        """
        message = parse_message(line)
        if isinstance(message, Confirmation):
            return self._confirmation(message)
        area = self._area(message.area)
        if isinstance(message, Readings):
            return self._readings(message, area)
        if message.text.strip().casefold().rstrip(".!") in YES:
            return self._spoken_yes(area)
        self.pending = None  # another utterance cancels the pending plan
        return self._utterance(message.text, area)

    def _area(self, given: str | None) -> str | None:
        if given is None:
            return self.area
        for area in self.home.areas:
            if same_name(area, given):
                return area
        raise ValueError(f"area {given!r}: the home has {', '.join(self.home.areas)}")

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
            return self._respond(
                interpretation, Plan(refused="out of scope: nothing that this home does"), here
            )
        if confidence < self.min_confidence:
            reason = f"confidence {confidence:.3f} is below {self.min_confidence:.3f}: out of scope, or not understood"
            return self._respond(interpretation, Plan(refused=reason), here)
        plan = make_plan(intent, slots, self.home, here)
        rules = self.commands.decision_rule
        if rules is not None and rules.method != "none":  # the run's own rule of oversight
            certainty = float(rules.confidence(scores, labels)[0])
            plan = ask_if_unsure(plan, slots, self.home, confidence, certainty, rules.threshold)
        return self._respond(interpretation, plan, here)

    def _readings(self, message: Readings, area: str | None) -> dict[str, Any]:
        if self.scene is None:
            raise ValueError("a line with sensors needs scene_run=FOLDER, a finished run of task=scene")
        roles = self.scene.roles
        row = dict(message.sensors)
        unit = area if message.unit is None else message.unit
        for column, value in ((roles.unit, unit), (roles.time, message.time)):
            if column is not None and column not in row:
                row[column] = value
        missing = [c for c in roles.inputs() if c not in row]
        if missing:
            raise ValueError(f"sensors lack {', '.join(missing)}; the run reads {', '.join(roles.inputs())}")
        history = bool(self.scene.config["encoder"]["max_events"])
        if history and row.get(roles.time or "") is None:
            raise ValueError(f"sensors need a time ({roles.time}): this run uses earlier readings")
        readings = [*self.readings, row][-MAX_READINGS:]
        frame = pd.DataFrame(readings)
        if roles.time is not None:
            frame[roles.time] = pd.to_datetime(frame[roles.time])
        last = frame.iloc[[-1]]
        scores = self.scene.scores(last, history=frame if history else None)
        labels = self.scene.labels(scores, last)
        self.readings = readings  # one that can't be read is not kept: it would spoil every later one
        classes = self.scene.target.classes
        if not classes:
            interpretation = {
                "sensors": message.sensors,
                "area": area,
                "forecast": round(float(scores[0, 0]), 3),
            }
            return self._respond(interpretation, Plan(refused="a forecast triggers no action"), area)
        state = classes[int(labels[0])]
        confidence = float(scores[0, int(labels[0])])
        interpretation = {
            "sensors": message.sensors,
            "area": area,
            "scene": state,
            "confidence": round(confidence, 4),
        }
        plan = plan_for_scene(self.scene.target.kind, state, area, self.home, self.comfort, self.away)
        return self._respond(interpretation, plan, area)

    def _confirmation(self, answer: Confirmation) -> dict[str, Any]:
        """Execute the pending plan for JSON true with the id of its question; whatever else is said cancels it."""
        question, self.pending = self.pending, None
        interpretation = {"confirmed": answer.confirm is True}
        if question is None:
            return _refused(interpretation, Plan(), "no plan is waiting for confirmation")
        if answer.confirm is False:
            return _refused(interpretation, question.plan, "not confirmed")
        interpretation = {"confirmed": False}
        if answer.confirm is not True:
            reason = (
                f"confirm is {json.dumps(answer.confirm)[:80]}: only true confirms; the question is withdrawn"
            )
            return _refused(interpretation, question.plan, reason)
        if answer.id != question.id:
            told = "without an id" if answer.id is None else f"with the id {answer.id!r:.80}"
            reason = f"confirmed {told}, which is not that of the question; the question is withdrawn"
            return _refused(interpretation, question.plan, reason)
        return self._confirmed(question, interpretation)

    def _spoken_yes(self, area: str | None) -> dict[str, Any]:
        """Execute the pending plan for a yes that was spoken where the command was, unless it is unsafe."""
        question = self.pending
        interpretation = {"utterance": "yes", "confirmed": False}
        if question is None:
            return _refused(interpretation, Plan(), "no plan is waiting for confirmation")
        if not self.spoken_yes or question.plan.unsafe:
            reason = 'a spoken yes confirms nothing unsafe: answer {"confirm": true, "id": ...}'
            return _refused(interpretation, question.plan, reason)
        if area != question.area:
            return _refused(
                interpretation, question.plan, "the yes was spoken in another area than the command"
            )
        self.pending = None
        return self._confirmed(question, interpretation)

    def _confirmed(self, question: PendingPlan, interpretation: dict[str, Any]) -> dict[str, Any]:
        if self.clock() - question.asked_at > self.confirm_seconds:
            reason = f"the question is more than {self.confirm_seconds:g} s old: say the command again"
            return _refused(interpretation, question.plan, reason)
        changes = self._execute(question.plan)
        answered = {**interpretation, "confirmed": True}
        return _response(answered, "done", question.plan, changes, "confirmed by a person")

    def _respond(self, interpretation: dict[str, Any], plan: Plan, area: str | None) -> dict[str, Any]:
        if plan.refused is not None:
            return _refused(interpretation, plan, plan.refused)
        if plan.confirm is not None:
            self.pending = PendingPlan(secrets.token_urlsafe(6), plan, self.clock(), area)
            asked = {**interpretation, "id": self.pending.id, "seconds": self.confirm_seconds}
            return _response(asked, "confirm", plan, [], plan.confirm)
        changes = self._execute(plan)
        if not plan.actions:
            return _response(interpretation, "nothing", plan, [], "nothing to change")
        reason = "executed" if changes else "every device was in this state already"
        return _response(interpretation, "done", plan, changes, reason)

    def _execute(self, plan: Plan) -> list[Change]:
        return [change for action in plan.actions for change in self.home.execute(action)]


def _refused(interpretation: dict[str, Any], plan: Plan, reason: str) -> dict[str, Any]:
    return _response(interpretation, "refused", plan, [], reason)


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
    if config.state_path is not None and config.state_path.exists():
        new = restore_state(config.state_path, home)
        if new:
            log.warning("state=%s: it does not hold %s, which start anew", config.state_path, ", ".join(new))
    threshold = confidence_threshold(commands) if config.min_confidence is None else config.min_confidence
    return Controller(
        commands,
        scene,
        home,
        threshold,
        config.comfort,
        config.away,
        config.area,
        config.confirm_seconds,
        config.spoken_yes,
    )


def control(config: ControlConfig, folder: Path, domain: Domain) -> dict[str, int]:
    """Run the command ``control``; return how many lines had each decision."""
    return run_control(config)


def run_control(config: ControlConfig) -> dict[str, int]:
    """Handle every line of the input as it arrives; a line that can't be used gets an error as response.

    Each response is written as it comes, none is kept; the state of the home is saved with every change.
    """
    controller = build_controller(config)
    if controller.commands.run.record.data.simulated:
        log.warning(SIMULATED_MODEL)
    decisions: Counter[str] = Counter()
    with open_log(config.output) as out:
        for number, line in enumerate(read_lines(config.input), 1):
            if not line.strip():
                continue
            try:
                response = controller.handle(parse_line(line))
            except (
                ValueError,
                TypeError,
                OverflowError,
            ) as error:  # the last two: of values no reader foresaw
                response = {"line": number, **_response({}, "error", Plan(), [], str(error))}
            decisions[response["decision"]] += 1
            print(json.dumps(response, ensure_ascii=False, default=_plain), file=out, flush=True)
            if response["changes"] and config.state_path is not None:
                save_state(config.state_path, controller.home)
    return dict(decisions)


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else str(value)
