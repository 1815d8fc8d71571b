"""From an intent and the words in its slots to a plan: which devices, set to what; what can't be done is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smarthome.home import ASKS, HOME_WIDE, Action, Device, Home
from smarthome.safety import beyond_limits, confirmation

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
"""English words for kinds of devices; names and areas are matched in any language."""
REACHES = {
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
"""The domain that an intent reaches whatever was said."""
SWITCHES = ("HassTurnOn", "HassTurnOff")
NUMBERS = ("brightness", "temperature", "position", "volume_level", "minutes", "hours", "seconds")
COUNTED = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
TENS = {
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
}
LEVELS = {"max": 100, "maximum": 100, "highest": 100, "min": 1, "minimum": 1, "lowest": 1, "half": 50}
NEEDS = {
    "HassSetPosition": ("position",),
    "HassClimateSetTemperature": ("temperature",),
    "HassSetVolume": ("volume_level",),
    "HassShoppingListAddItem": ("item",),
    "HassListAddItem": ("item",),
    "HassShoppingListCompleteItem": ("item",),
    "HassListCompleteItem": ("item",),
}
"""Slots without which an intent means nothing."""
TIMED = ("HassStartTimer", "HassIncreaseTimer", "HassDecreaseTimer")
PERCENT = ("brightness", "position", "volume_level")


@dataclass
class Plan:
    """What would be done, whether a person must confirm it, and why nothing is done if so."""

    actions: list[Action] = field(default_factory=list)
    confirm: str | None = None
    """Why a person must confirm, or None."""
    refused: str | None = None
    """Why nothing is done, or None."""


def number(text: str) -> float | None:
    """Read a number in digits or in English words, or a level such as ``max``; None for what is none."""
    low = re.sub(r"[%°]|\b(percent|degrees?|celsius)\b", " ", text.lower()).strip()
    found = re.search(r"-?\d+(?:[.,]\d+)?", low)
    if found:
        return float(found[0].replace(",", "."))
    if low in LEVELS:
        return float(LEVELS[low])
    total = 0
    for word in low.replace("-", " ").split():
        if word in TENS:
            total += TENS[word]
        elif word in COUNTED:
            total += COUNTED.index(word)
        elif word == "hundred":
            total = max(total, 1) * 100
        else:
            return None
    return float(total) if low else None


def make_plan(intent: str, slots: Mapping[str, Any], home: Home, here: str | None = None) -> Plan:
    """Plan what an intent asks of a home; ``here`` is the area it was said in, for what names no place.

    ``slots`` hold what was said, as text or numbers. Unknown places, devices and values give a refused plan.
    """
    if intent not in (*ASKS, *HOME_WIDE, *REACHES, *SWITCHES):
        return Plan(refused=f"out of scope: this home knows no {intent}")
    read, wrong = _values(slots)
    if wrong:
        return Plan(refused=wrong)
    missing = [name for name in NEEDS.get(intent, ()) if name not in read]
    if missing:
        return Plan(refused=f"{intent} without {' and '.join(missing)}: nothing to set")
    if intent in TIMED and not {"hours", "minutes", "seconds"} & set(read):
        return Plan(refused=f"{intent} without a time: nothing to set")
    if intent == "HassLightSet" and not {"brightness", "color"} & set(read):
        return Plan(refused="HassLightSet without brightness and color: nothing to set")
    if intent in HOME_WIDE:
        return Plan([Action(intent, read)])
    if intent in ASKS and not {"name", "area"} & set(read):
        return Plan([Action(intent, read)])
    found, wrong = reached(intent, read, home, here)
    if wrong:
        return Plan(refused=wrong)
    action = Action(intent, read, tuple(d.name for d in found))
    if intent in ASKS:
        return Plan([action])
    limit = beyond_limits(action)
    if limit:
        return Plan([action], refused=limit)
    return Plan([action], confirm=confirmation(action, found))


def _values(slots: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    read: dict[str, Any] = {}
    for name, said in slots.items():
        if name in NUMBERS:
            value = number(str(said))
            if value is None:
                return {}, f"{name} {said!r} is no number"
            if name in PERCENT and not 0 <= value <= 100:
                return {}, f"{name} {value:g} is not between 0 and 100"
            read[name] = int(value) if value.is_integer() else value
        else:
            read[name] = str(said).strip()
    return read, None


def reached(
    intent: str, slots: Mapping[str, Any], home: Home, here: str | None
) -> tuple[list[Device], str | None]:
    """Find the devices that an intent reaches, or say why there are none.

    A name is looked for among devices, then as a kind of device; an area or floor narrows; with neither, the area in
    which it was said.
    """
    inside = list(home.devices)
    if "area" in slots or "floor" in slots:
        said = str(slots.get("area", slots.get("floor")))
        inside = [d for d in home.devices if d.area is not None and in_area(home, d.area, said)]
        if not inside:
            return [], f"no area called {said!r} in this home"
    domain = REACHES.get(intent)
    if "domain" in slots:
        spoken = kind_of(str(slots["domain"]))
        if spoken is None:
            return [], f"no device is called {slots['domain']!r} in this home"
        domain = domain or spoken
    if "name" in slots:
        name = str(slots["name"])
        named = [d for d in inside if _same(d.name, name)]
        named = named or [d for d in inside if _words(name) <= _words(d.name)]
        if (
            not named and kind_of(" ".join(sorted(_words(name)))) is not None
        ):  # "the lamp", not "the purple lamp"
            named = [d for d in inside if d.domain == kind_of(" ".join(sorted(_words(name))))]
        if not named:
            return [], f"no device called {name!r} in this home"
        inside = named if domain is None else [d for d in named if d.domain == domain]
        if not inside:
            return [], f"{named[0].name} is no {domain}"
    elif domain is not None:
        inside = [d for d in inside if d.domain == domain]
    elif intent not in ASKS:
        return [], "neither a device nor a kind of device was named"
    if not inside:
        return [], f"no {domain} there in this home"
    placed = "name" in slots or "area" in slots or "floor" in slots
    if not placed and here is not None:
        inside = [d for d in inside if d.area is not None and _same(d.area, here)] or inside
    return inside, None


def in_area(home: Home, area: str, said: str) -> bool:
    """Tell whether an area is the one that was said, or lies on the floor that was said."""
    floor = home.areas.get(area)
    if _same(area, said) or (floor is not None and _same(floor, said)):
        return True
    return bool(_words(area)) and (_words(area) <= _words(said) or _words(said) == _words(area))


def kind_of(said: str) -> str | None:
    """Name the kind of device that a word stands for, or None."""
    low = said.lower().strip()
    return next((domain for domain, words in DOMAIN_WORDS.items() if low == domain or low in words), None)


def domain_of(said: str) -> str | None:
    """Name the kind of device that a name stands for: its own, or its last word's (``front door lock``)."""
    words = said.lower().split()
    return kind_of(said) or (kind_of(words[-1]) if words else None)


def _same(a: str, b: str) -> bool:
    return a.casefold().strip() == b.casefold().strip()


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold())) - {"the", "my", "our", "a"}


def slot_words(text: str, slots: Sequence[tuple[int, int, str]]) -> dict[str, str]:
    """Give what was said for each slot; of a slot marked twice, the first."""
    said: dict[str, str] = {}
    for start, end, name in slots:
        said.setdefault(name, text[start:end])
    return said
