"""Safety rules: which actions need a person's confirmation, and which are never executed."""

from __future__ import annotations

from collections.abc import Sequence

from smarthome.home import Action, Device
from smarthome.names import words_of

COMFORT_RANGE = (16.0, 26.0)
"""Set-points in degrees Celsius that need no confirmation."""
HARD_LIMITS = (5.0, 30.0)
"""Set-points outside of this range are refused, confirmed or not."""
ALWAYS_CONFIRMED = ("lock", "alarm")
"""Domains of which every change needs confirmation."""
ENTRANCES = ("garage", "gate", "door")
"""Kinds of covers, or words of their names, that are entrances."""
HEATERS = frozenset(
    ("oven", "stove", "hob", "grill", "cooker", "heater", "iron", "sauna", "fireplace", "boiler", "furnace")
)
"""Words of a switch's name with which it is an oven."""
MAX_STEP = 6.0
"""Degrees Celsius by which a set-point moves without confirmation."""


def confirmation_reason(action: Action, devices: Sequence[Device]) -> str | None:
    """Return why a person must confirm an action on these devices, or None."""
    for device in devices:
        if device.domain in ALWAYS_CONFIRMED:
            return f"{device.name}: a {device.domain} is changed only when a person confirms"
        words = words_of(device.name)
        heats = device.domain == "oven" or (device.domain in ("switch", "script") and words & HEATERS)
        if heats and action.intent != "HassTurnOff":
            return f"{device.name}: an oven is switched on only when a person confirms"
        if device.domain == "valve" and action.intent != "HassTurnOff":
            return f"{device.name}: a valve is opened only when a person confirms"
        entrance = next((kind for kind in ENTRANCES if kind == device.kind or kind in words), None)
        if device.domain == "cover" and entrance is not None and action.intent != "HassTurnOff":
            return f"{device.name}: a {entrance} is opened only when a person confirms"
    set_point = action.slots.get("temperature")
    if set_point is None:
        return None
    low, high = COMFORT_RANGE
    if not low <= float(set_point) <= high:
        return f"{float(set_point):g} °C is outside {low:g} to {high:g} °C: a person must confirm"
    for device in devices:
        before = float(device.state.get("temperature", set_point))
        if abs(before - float(set_point)) > MAX_STEP:
            step = f"from {before:g} to {float(set_point):g} °C is more than {MAX_STEP:g} °C at once"
            return f"{device.name}: {step}: a person must confirm"
    return None


def refusal_reason(action: Action) -> str | None:
    """Return why an action is never executed, or None."""
    set_point = action.slots.get("temperature")
    if set_point is not None and not HARD_LIMITS[0] <= float(set_point) <= HARD_LIMITS[1]:
        return f"{float(set_point):g} °C is outside {HARD_LIMITS[0]:g} to {HARD_LIMITS[1]:g} °C: never set"
    return None
