"""A simulated home: areas, devices, their states, timers and lists; actions change it and return every change."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smarthome.names import same_name

State = dict[str, Any]
ON_OFF = ("light", "switch", "fan", "oven", "media_player", "climate", "humidifier")
INITIAL_STATES: dict[str, State] = {
    "light": {"on": False, "brightness": 100, "color": "white"},
    "switch": {"on": False},
    "fan": {"on": False},
    "humidifier": {"on": False},
    "oven": {"on": False},
    "cover": {"position": 0},
    "valve": {"position": 0},
    "lock": {"locked": True},
    "alarm": {"armed": False},
    "climate": {"on": True, "temperature": 20.0, "current": 19.0},
    "media_player": {"on": False, "playing": False, "volume": 30, "track": 0},
    "vacuum": {"cleaning": False},
    "scene": {"activated": 0},
    "script": {"activated": 0},
}
"""Domain of a device -> its attributes and their initial values. Percentages, degrees Celsius."""


@dataclass
class Device:
    """A device of the home."""

    name: str
    area: str | None
    domain: str
    kind: str = ""
    """Device class, such as blind, garage or curtain; empty without one."""
    state: State = field(default_factory=dict)


@dataclass(frozen=True)
class Action:
    """One action of a plan: a Home Assistant intent with its slots, and its devices."""

    intent: str
    slots: Mapping[str, Any]
    devices: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the action as it stands in a response."""
        return {"intent": self.intent, "slots": dict(self.slots), "devices": list(self.devices)}


@dataclass(frozen=True)
class Change:
    """A change by an action: an attribute of a device (or of the home) from one value to another."""

    device: str
    attribute: str
    before: Any
    after: Any


@dataclass
class Home:
    """Areas, floors and devices; timers in seconds by name; lists of things."""

    areas: dict[str, str | None]
    """Name of an area -> its floor."""
    devices: list[Device]
    timers: dict[str, float] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)

    def device(self, name: str) -> Device:
        """Return a device by its exact name."""
        return next(d for d in self.devices if d.name == name)

    def copy(self) -> Home:
        """Return an independent copy in the same state."""
        return copy.deepcopy(self)

    def execute(self, action: Action) -> list[Change]:
        """Execute an action and return the changes; a query, or a state that is as wanted, changes nothing.

        Raises ValueError for an action that this home can't execute.
        """
        if action.intent in _HOME_WIDE:
            found: list[Change] = _HOME_WIDE[action.intent](self, action.slots)
            return found
        if action.intent in QUERY_INTENTS:
            return []
        changes: list[Change] = []
        for name in action.devices:
            device = self.device(name)
            wanted = _target_state(device, action)
            for attribute, value in wanted.items():
                before = device.state.get(attribute)
                if before != value:
                    changes.append(Change(device.name, attribute, before, value))
                    device.state[attribute] = value
        return changes

    def to_dict(self) -> dict[str, Any]:
        """Return the home in the form of ``home_from_dict`` and ``read_home``."""
        return {
            "areas": dict(self.areas),
            "devices": [
                {"name": d.name, "area": d.area, "domain": d.domain, "kind": d.kind, "state": d.state}
                for d in self.devices
            ],
        }


QUERY_INTENTS = (
    "HassGetState",
    "HassClimateGetTemperature",
    "HassGetWeather",
    "HassGetCurrentTime",
    "HassGetCurrentDate",
    "HassTimerStatus",
    "HassNevermind",
    "HassRespond",
    "HassBroadcast",
)
"""Intents that change nothing."""


def _target_state(device: Device, action: Action) -> State:
    """Return the attributes of a device that an action sets, with their values."""
    slots, intent = action.slots, action.intent
    if intent in ("HassTurnOn", "HassTurnOff"):
        yes = intent == "HassTurnOn"
        if device.domain in ("cover", "valve"):
            return {"position": 100 if yes else 0}
        if device.domain in ("scene", "script"):
            return {"activated": device.state["activated"] + 1} if yes else {}
        attribute = {"lock": "locked", "alarm": "armed", "vacuum": "cleaning"}.get(device.domain, "on")
        return {attribute: yes}
    if intent == "HassLightSet":
        wanted: State = {k: slots[k] for k in ("brightness", "color") if k in slots}
        return {"on": wanted.get("brightness", 1) > 0, **wanted}
    if intent == "HassSetPosition":
        return {"position": slots["position"]}
    if intent == "HassClimateSetTemperature":
        return {"on": True, "temperature": slots["temperature"]}
    if intent == "HassSetVolume":
        return {"volume": slots["volume_level"]}
    if intent in ("HassVacuumStart", "HassVacuumReturnToBase"):
        return {"cleaning": intent == "HassVacuumStart"}
    if intent in ("HassMediaPause", "HassMediaUnpause"):
        return {"playing": intent == "HassMediaUnpause"}
    if intent in ("HassMediaNext", "HassMediaPrevious"):
        return {"track": device.state["track"] + (1 if intent == "HassMediaNext" else -1)}
    if intent == "HassMediaSearchAndPlay":
        return {"on": True, "playing": True, "query": slots.get("search_query", "")}
    raise ValueError(f"this home can't execute {intent}")


def _timer(home: Home, slots: Mapping[str, Any], seconds: float | None) -> list[Change]:
    name = str(slots.get("name", "timer"))
    before = home.timers.get(name)
    if seconds is None:
        home.timers.pop(name, None)
    else:
        home.timers[name] = max(seconds, 0.0)
    after = home.timers.get(name)
    return [] if before == after else [Change("home", f"timer {name}", before, after)]


def _length(slots: Mapping[str, Any]) -> float:
    return float(3600 * slots.get("hours", 0) + 60 * slots.get("minutes", 0) + slots.get("seconds", 0))


def _start(home: Home, slots: Mapping[str, Any]) -> list[Change]:
    return _timer(home, slots, _length(slots))


def _cancel(home: Home, slots: Mapping[str, Any]) -> list[Change]:
    return _timer(home, slots, None)


def _cancel_all(home: Home, slots: Mapping[str, Any]) -> list[Change]:
    return [change for name in list(home.timers) for change in _timer(home, {"name": name}, None)]


def _longer(home: Home, slots: Mapping[str, Any]) -> list[Change]:
    return _timer(home, slots, home.timers.get(str(slots.get("name", "timer")), 0.0) + _length(slots))


def _shorter(home: Home, slots: Mapping[str, Any]) -> list[Change]:
    return _timer(home, slots, home.timers.get(str(slots.get("name", "timer")), 0.0) - _length(slots))


def _paused(yes: bool) -> Any:
    def pause(home: Home, slots: Mapping[str, Any]) -> list[Change]:
        name = f"{slots.get('name', 'timer')} paused"
        before = bool(home.timers.get(name))
        home.timers[name] = float(yes)
        return [] if before == yes else [Change("home", f"timer {name}", before, yes)]

    return pause


def _add(home: Home, slots: Mapping[str, Any]) -> list[Change]:
    name, item = str(slots.get("name", "shopping list")), str(slots["item"])
    before = list(home.lists.get(name, []))
    home.lists.setdefault(name, []).append(item)
    return [Change("home", name, before, list(home.lists[name]))]


def _complete(home: Home, slots: Mapping[str, Any]) -> list[Change]:
    name, item = str(slots.get("name", "shopping list")), str(slots["item"])
    before = list(home.lists.get(name, []))
    home.lists[name] = [i for i in before if i != item]
    return [] if before == home.lists[name] else [Change("home", name, before, list(home.lists[name]))]


_HOME_WIDE: dict[str, Any] = {
    "HassStartTimer": _start,
    "HassCancelTimer": _cancel,
    "HassCancelAllTimers": _cancel_all,
    "HassIncreaseTimer": _longer,
    "HassDecreaseTimer": _shorter,
    "HassPauseTimer": _paused(True),
    "HassUnpauseTimer": _paused(False),
    "HassShoppingListAddItem": _add,
    "HassListAddItem": _add,
    "HassShoppingListCompleteItem": _complete,
    "HassListCompleteItem": _complete,
}
"""Intents of the home's timers and lists, without a device."""
HOME_WIDE = tuple(_HOME_WIDE)


def checked_state(domain: str, state: Mapping[str, Any]) -> State:
    """Return the state of a device of a domain; raises ValueError for an attribute of a wrong type."""
    checked = {str(name): value for name, value in state.items()}
    for name, initial in INITIAL_STATES[domain].items():
        value = checked.get(name, initial)
        if isinstance(initial, bool | str):
            right = isinstance(value, type(initial))
        else:
            right = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not right:
            raise ValueError(f"{name} is {value!r:.80}, unlike {initial!r}")
    return checked


def home_from_dict(content: Mapping[str, Any], where: str) -> Home:
    """Return a home from ``areas`` {name: floor or null} and ``devices`` [{name, area, domain, state}].

    Raises ValueError with what is wrong in the description.
    """
    listed = content.get("areas", {}) if isinstance(content, Mapping) else None
    if not isinstance(listed, Mapping) or not isinstance(content.get("devices", []), list):
        raise ValueError(
            f"{where}: a home is an object with areas (name: floor or null) and a list of devices"
        )
    areas = {str(k): None if v is None else str(v) for k, v in listed.items()}
    devices: list[Device] = []
    for n, given in enumerate(content.get("devices", [])):
        if not isinstance(given, Mapping) or not {"name", "domain"} <= set(given):
            raise ValueError(f"{where}: device {n} needs a name and a domain")
        domain = str(given["domain"])
        if domain not in INITIAL_STATES:
            raise ValueError(
                f"{where}: device {given['name']!r} is of domain {domain!r}; known are {', '.join(INITIAL_STATES)}"
            )
        area = given.get("area")
        if area is not None and (not isinstance(area, str) or area not in areas):
            raise ValueError(f"{where}: device {given['name']!r} is in area {area!r}, which is not listed")
        if any(same_name(str(given["name"]), other.name) for other in devices):
            raise ValueError(
                f"{where}: two devices are called {given['name']!r}: a command could not tell them apart"
            )
        try:
            state = {**INITIAL_STATES[domain], **checked_state(domain, given.get("state", {}))}
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{where}: the state of {given['name']!r} can't be: {error}") from error
        devices.append(Device(str(given["name"]), area, domain, str(given.get("kind", "")), state))
    if not devices:
        raise ValueError(f"{where}: a home needs at least one device")
    return Home(areas, devices)


def read_home(path: str | Path) -> Home:
    """Return the home of a JSON file; raises ValueError with the file and what is wrong."""
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"home={path}: no such file")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"home={path}: not JSON ({error})") from error
    return home_from_dict(content, f"home={path}")


def example_home() -> Home:
    """Return the home of the package: six areas on two floors, two dozen devices."""
    areas = {
        "kitchen": "ground floor",
        "living room": "ground floor",
        "hallway": "ground floor",
        "bedroom": "first floor",
        "office": "first floor",
        "garage": None,
    }
    devices = [Device("ceiling light", a, "light") for a in ("kitchen", "bedroom", "garage")]
    devices += [
        Device("reading lamp", "living room", "light"),
        Device("corner lamp", "living room", "light"),
        Device("desk lamp", "office", "light"),
        Device("hall light", "hallway", "light"),
        Device("coffee maker", "kitchen", "switch"),
        Device("radio", "bedroom", "switch"),
        Device("fan", "office", "fan"),
        Device("left curtain", "living room", "cover", "curtain"),
        Device("window blind", "bedroom", "cover", "blind"),
        Device("garage door", "garage", "cover", "garage"),
        Device("front door lock", "hallway", "lock"),
        Device("back door lock", "kitchen", "lock"),
        Device("burglar alarm", "hallway", "alarm"),
        Device("oven", "kitchen", "oven"),
        Device("living room thermostat", "living room", "climate"),
        Device("bedroom thermostat", "bedroom", "climate"),
        Device("office thermostat", "office", "climate"),
        Device("television", "living room", "media_player"),
        Device("speaker", "kitchen", "media_player"),
        Device("vacuum", "living room", "vacuum"),
        Device("movie night", None, "scene"),
    ]
    for number, device in enumerate(devices):
        device.state = {**INITIAL_STATES[device.domain], **device.state}
        if device.name == "ceiling light":  # names are unique in a home
            devices[number].name = f"{device.area} ceiling light"
    return Home(areas, devices)
