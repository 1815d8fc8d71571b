"""When a plan that is safe is asked back: where the run is not sure, and the home does not settle it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from smarthome.home import HOME_WIDE, QUERY_INTENTS, Home
from smarthome.names import same_name
from smarthome.plan import Plan, device_domain
from smarthome.spoken_numbers import SLOT_UNITS

VALUES_OF_INTENT: dict[str, tuple[str, ...]] = {
    "HassLightSet": ("brightness", "color"),
    "HassSetPosition": ("position",),
    "HassClimateSetTemperature": ("temperature",),
    "HassSetVolume": ("volume_level",),
    "HassMediaSearchAndPlay": ("search_query",),
    **{intent: ("item",) for intent in HOME_WIDE if "List" in intent},
    **{intent: ("hours", "minutes", "seconds") for intent in HOME_WIDE if "Timer" in intent},
}
"""Intent -> the slots with values that it uses."""
VALUE_SLOTS = frozenset(slot for slots in VALUES_OF_INTENT.values() for slot in slots)
PLACE_SLOTS = ("area", "floor", "domain")
"""What timers and lists of the home have no use for."""


def ask_if_unsure(
    plan: Plan,
    slots: Mapping[str, str],
    home: Home,
    intent_confidence: float,
    confidence: float,
    threshold: float,
) -> Plan:
    """Return the plan, with the question of a person where the run is not sure of it.

    ``confidence``: that intent and slots are right, which counts unless the home bears the slots out; then that of
    the intent does. Not asked: whatever is refused or asked for its safety, a query, and what changes nothing, unless
    a slot was heard that the intent has no use for.
    """
    if plan.refused is not None or plan.confirm is not None:
        return plan
    if all(action.intent in QUERY_INTENTS for action in plan.actions):
        return plan
    sure = intent_confidence if is_borne_out(plan, slots, home) else confidence
    if sure >= threshold:
        return plan
    trial = home.copy()
    if not has_unused(plan, slots) and not any(trial.execute(action) for action in plan.actions):
        return plan
    return replace(plan, confirm=f"confidence {sure:.3f} is below {threshold:.3f}: a person must confirm")


def has_unused(plan: Plan, slots: Mapping[str, str]) -> bool:
    """Return whether a slot was heard that an action would drop, such as a color when a fan is switched off."""
    for action in plan.actions:
        takes = VALUES_OF_INTENT.get(action.intent, ())
        if any(slot in VALUE_SLOTS and slot not in takes for slot in slots):
            return True
        if action.intent in HOME_WIDE and any(slot in PLACE_SLOTS for slot in slots):
            return True
    return False


def is_borne_out(plan: Plan, slots: Mapping[str, str], home: Home) -> bool:
    """Return whether every slot is wholly a name, a place, a kind of device or a number that this home knows.

    A wrong part of an utterance is hardly ever one of these. Several devices need a place: one that was missed
    would reach the whole home.
    """
    if has_unused(plan, slots):
        return False
    places = [*home.areas, *(floor for floor in home.areas.values() if floor is not None)]
    known = {"name": [d.name for d in home.devices], "area": places, "floor": places}
    for slot, value in slots.items():
        if slot in known:
            if not any(same_name(value, name) for name in known[slot]):
                return False
        elif slot == "domain":
            if device_domain(value) is None:
                return False
        elif slot not in SLOT_UNITS and slot != "temperature_unit":
            return False
    devices = sum(len(action.devices) for action in plan.actions)
    return devices <= 1 or "area" in slots or "floor" in slots
