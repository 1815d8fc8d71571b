"""What no model may do alone: locks, alarms, ovens, garage doors and gates, and heating out of bounds."""

from __future__ import annotations

from collections.abc import Sequence

from smarthome.home import Action, Device

COMFORT = (16.0, 26.0)
"""Set-points in degrees Celsius that need no confirmation."""
LIMITS = (5.0, 30.0)
"""Set-points beyond which nothing is done, confirmed or not."""
GUARDED = ("lock", "alarm")
"""Domains whose every change is confirmed."""
ENTRANCES = ("garage", "gate", "door")
"""Kinds of covers that let people in when they open."""


def confirmation(action: Action, devices: Sequence[Device]) -> str | None:
    """Say why a person must confirm an action on these devices, or None."""
    for device in devices:
        if device.domain in GUARDED:
            return f"{device.name}: a {device.domain} is changed only when a person confirms"
        if device.domain == "oven" and action.intent != "HassTurnOff":
            return f"{device.name}: an oven is switched on only when a person confirms"
        if device.domain == "cover" and device.kind in ENTRANCES and action.intent != "HassTurnOff":
            return f"{device.name}: a {device.kind} is opened only when a person confirms"
    wanted = action.slots.get("temperature")
    if wanted is not None and not COMFORT[0] <= float(wanted) <= COMFORT[1]:
        return f"{float(wanted):g} °C is outside {COMFORT[0]:g} to {COMFORT[1]:g} °C: a person must confirm"
    return None


def beyond_limits(action: Action) -> str | None:
    """Say why an action is never done, or None."""
    wanted = action.slots.get("temperature")
    if wanted is not None and not LIMITS[0] <= float(wanted) <= LIMITS[1]:
        return f"{float(wanted):g} °C is outside {LIMITS[0]:g} to {LIMITS[1]:g} °C: never set"
    return None
