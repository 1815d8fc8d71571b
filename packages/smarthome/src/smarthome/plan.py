"""The planner: from an intent and its slot values to actions on devices; impossible commands are refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smarthome.home import HOME_WIDE, QUERY_INTENTS, Action, Device, Home
from smarthome.names import has_word, normalized, same_name, words_of
from smarthome.safety import confirmation_reason, refusal_reason
from smarthome.spoken_numbers import SLOT_UNITS, parse_slot

DOMAIN_WORDS = {
    "light": ("light", "lights", "lamp", "lamps", "lighting", "lantern", "spot", "bulb", "bulbs"),
    "cover": (
        "blind",
        "blinds",
        "curtain",
        "curtains",
        "shutter",
        "shutters",
        "shade",
        "shades",
        "awning",
        "cover",
    ),
    "fan": ("fan", "fans", "ventilator"),
    "switch": ("switch", "switches", "plug", "plugs", "outlet", "socket"),
    "climate": ("heating", "thermostat", "heat", "air conditioning", "temperature", "ac", "climate"),
    "media_player": ("music", "tv", "television", "speaker", "stereo", "media_player"),
    "lock": ("lock", "locks", "door", "doors"),
    "alarm": ("alarm",),
    "oven": ("oven", "stove", "hob", "grill"),
    "vacuum": ("vacuum", "robot"),
}
"""English words for device domains; names and areas are matched in any language."""
INTENT_DOMAINS = {
    "HassLightSet": "light",
    "HassSetPosition": "cover",
    "HassClimateSetTemperature": "climate",
    "HassSetVolume": "media_player",
    "HassVacuumStart": "vacuum",
    "HassVacuumReturnToBase": "vacuum",
    "HassMediaPause": "media_player",
    "HassMediaUnpause": "media_player",
    "HassMediaNext": "media_player",
    "HassMediaPrevious": "media_player",
    "HassMediaSearchAndPlay": "media_player",
}
"""Intent -> the only domain of devices it applies to."""
SWITCH_INTENTS = ("HassTurnOn", "HassTurnOff")
REQUIRED_SLOTS = {
    "HassSetPosition": ("position",),
    "HassClimateSetTemperature": ("temperature",),
    "HassSetVolume": ("volume_level",),
    "HassShoppingListAddItem": ("item",),
    "HassListAddItem": ("item",),
    "HassShoppingListCompleteItem": ("item",),
    "HassListCompleteItem": ("item",),
}
"""Slots without which an intent can't be executed."""
TIMER_INTENTS = ("HassStartTimer", "HassIncreaseTimer", "HassDecreaseTimer")
PERCENT_SLOTS = ("brightness", "position", "volume_level")
TIME_SLOTS = ("hours", "minutes", "seconds")


@dataclass
class Plan:
    """Actions to execute, why a person must confirm them if so, and why they are refused if so."""

    actions: list[Action] = field(default_factory=list)
    confirm: str | None = None
    """Why a person must confirm, or None."""
    refused: str | None = None
    """Why the plan is refused, or None."""
    unsafe: bool = False
    """Whether ``confirm`` is a rule of safety, not a doubt about what was said."""


def make_plan(intent: str, slots: Mapping[str, Any], home: Home, speaker_area: str | None = None) -> Plan:
    """Return the plan of an intent; ``speaker_area`` is used for utterances without a place.

    ``slots`` are texts or numbers. Unknown places, devices and values give a refused plan.
    """
    if intent not in (*QUERY_INTENTS, *HOME_WIDE, *INTENT_DOMAINS, *SWITCH_INTENTS):
        return Plan(refused=f"out of scope: this home has no intent {intent}")
    values, reason = _parse_values(slots)
    if reason:
        return Plan(refused=reason)
    missing = [name for name in REQUIRED_SLOTS.get(intent, ()) if name not in values]
    if missing:
        return Plan(refused=f"{intent} without {' and '.join(missing)}: nothing to set")
    if intent in TIMER_INTENTS and not {"hours", "minutes", "seconds"} & set(values):
        return Plan(refused=f"{intent} without a time: nothing to set")
    if intent == "HassLightSet" and not {"brightness", "color"} & set(values):
        return Plan(refused="HassLightSet without brightness and color: nothing to set")
    if intent in HOME_WIDE:
        return Plan([Action(intent, values)])
    if intent in QUERY_INTENTS and not {"name", "area"} & set(values):
        return Plan([Action(intent, values)])
    found, reason = resolve_devices(intent, values, home, speaker_area)
    if reason:
        return Plan(refused=reason)
    action = Action(intent, values, tuple(d.name for d in found))
    if intent in QUERY_INTENTS:
        return Plan([action])
    limit = refusal_reason(action)
    if limit:
        return Plan([action], refused=limit)
    reason = confirmation_reason(action, found)
    return Plan([action], confirm=reason, unsafe=reason is not None)


def _parse_values(slots: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    values: dict[str, Any] = {}
    unit = slots.get("temperature_unit")
    for name, text in slots.items():
        if name in SLOT_UNITS:
            value = parse_slot(name, str(text), None if unit is None else str(unit))
            if value is None:
                return {}, f"{name} {text!r} is not a number that can be read whole"
            if name in PERCENT_SLOTS and not 0 <= value <= 100:
                return {}, f"{name} {value:g} is not between 0 and 100"
            if name in TIME_SLOTS and value < 0:
                return {}, f"{name} {value:g} is below 0"
            values[name] = int(value) if value.is_integer() else value
        elif not has_word(str(text)):
            return {}, f"{name} {str(text)!r} names nothing"
        elif name != "temperature_unit":  # it went into the temperature
            values[name] = str(text).strip()
    return values, None


def resolve_devices(
    intent: str, slots: Mapping[str, Any], home: Home, speaker_area: str | None
) -> tuple[list[Device], str | None]:
    """Return the devices of an intent, or why there are none.

    A name is matched with devices, then with domains; an area or floor restricts them; without either, the area of
    the speaker does.
    """
    inside = list(home.devices)
    if "area" in slots or "floor" in slots:
        place = str(slots.get("area", slots.get("floor")))
        inside = [d for d in home.devices if d.area is not None and in_area(home, d.area, place)]
        if not inside:
            return [], f"no area called {place!r} in this home"
    domain = INTENT_DOMAINS.get(intent)
    if "domain" in slots:
        spoken_domain = device_domain(str(slots["domain"]))
        if spoken_domain is None:
            return [], f"no device is called {slots['domain']!r} in this home"
        domain = domain or spoken_domain
    if "name" in slots:
        name = str(slots["name"])
        named = [d for d in inside if same_name(d.name, name)]
        named = named or [d for d in inside if words_of(name) and words_of(name) <= words_of(d.name)]
        spoken = device_domain(" ".join(sorted(words_of(name))))
        if not named and spoken is not None:  # "the lamp", not "the purple lamp"
            named = [d for d in inside if d.domain == spoken]
        if not named:
            return [], f"no device called {name!r} in this home"
        inside = named if domain is None else [d for d in named if d.domain == domain]
        if not inside:
            return [], f"{named[0].name} is not a {domain}"
    elif domain is not None:
        inside = [d for d in inside if d.domain == domain]
    elif intent not in QUERY_INTENTS:
        return [], "neither a device nor a domain of devices was named"
    if not inside:
        return [], f"no {domain} there in this home"
    placed = "name" in slots or "area" in slots or "floor" in slots
    if not placed and speaker_area is not None:
        near = [d for d in inside if d.area is not None and same_name(d.area, speaker_area)]
        if not near and len(inside) > 1 and intent not in QUERY_INTENTS:
            return [], f"no {domain} in {speaker_area!r}, and several elsewhere: say where"
        inside = near or inside
    return inside, None


def in_area(home: Home, area: str, place: str) -> bool:
    """Return whether an area is, or is on the floor of, the spoken place."""
    floor = home.areas.get(area)
    if same_name(area, place) or (floor is not None and same_name(floor, place)):
        return True
    return bool(words_of(area)) and words_of(area) <= words_of(place)


def device_domain(word: str) -> str | None:
    """Return the device domain of a word, or None."""
    low = normalized(word)
    return next((domain for domain, words in DOMAIN_WORDS.items() if low == domain or low in words), None)


def domain_of_name(name: str) -> str | None:
    """Return the device domain of a name or of its last word (``front door lock``), or None."""
    words = name.lower().split()
    return device_domain(name) or (device_domain(words[-1]) if words else None)


def slot_values(text: str, slots: Sequence[tuple[int, int, str]]) -> dict[str, str]:
    """Return the text of each slot; of a slot that occurs twice, the first."""
    values: dict[str, str] = {}
    for start, end, name in slots:
        values.setdefault(name, text[start:end])
    return values
