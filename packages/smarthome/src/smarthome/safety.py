"""Safety rules: which actions need a person's confirmation, and which are never executed."""

from __future__ import annotations

from collections.abc import Sequence

from smarthome.home import Action, Device

COMFORT_RANGE = (16.0, 26.0)
"""Set-points in degrees Celsius that need no confirmation."""
HARD_LIMITS = (5.0, 30.0)
"""Set-points outside of this range are refused, confirmed or not."""
ALWAYS_CONFIRMED = ("lock", "alarm")
"""Domains of which every change needs confirmation."""
ENTRANCES = ("garage", "gate", "door")
"""Kinds of covers that are entrances."""


def confirmation_reason(action: Action, devices: Sequence[Device]) -> str | None:
    """Return why a person must confirm an action on these devices, or None."""
    for device in devices:
        if device.domain in ALWAYS_CONFIRMED:
            return f"{device.name}: a {device.domain} is changed only when a person confirms"
        if device.domain == "oven" and action.intent != "HassTurnOff":
            return f"{device.name}: an oven is switched on only when a person confirms"
        if device.domain == "cover" and device.kind in ENTRANCES and action.intent != "HassTurnOff":
            return f"{device.name}: a {device.kind} is opened only when a person confirms"
    set_point = action.slots.get("temperature")
    if set_point is not None and not COMFORT_RANGE[0] <= float(set_point) <= COMFORT_RANGE[1]:
        low, high = COMFORT_RANGE
        return f"{float(set_point):g} °C is outside {low:g} to {high:g} °C: a person must confirm"
    return None


def refusal_reason(action: Action) -> str | None:
    """Return why an action is never executed, or None."""
    set_point = action.slots.get("temperature")
    if set_point is not None and not HARD_LIMITS[0] <= float(set_point) <= HARD_LIMITS[1]:
        return f"{float(set_point):g} °C is outside {HARD_LIMITS[0]:g} to {HARD_LIMITS[1]:g} °C: never set"
    return None
