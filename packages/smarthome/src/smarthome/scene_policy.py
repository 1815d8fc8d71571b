"""The policy for sensed scenes: light and heat in occupied areas, less in empty ones, a step for a preference."""

from __future__ import annotations

from smarthome.home import Action, Device, Home
from smarthome.plan import Plan
from smarthome.safety import COMFORT_RANGE

OCCUPIED = ("yes", "1", "true", "occupied")
EMPTY = ("no", "0", "false", "empty")
STEP = 1.0
"""Degrees Celsius by which a preference for warmer or cooler changes the set-point."""


def plan_for_scene(kind: str, state: str, area: str | None, home: Home, comfort: float, away: float) -> Plan:
    """Return the plan for the state of an area: occupancy (yes or no), or a preference (cooler, no change, warmer).

    Only lights and set-points within the comfort range are changed, so nothing needs confirmation.
    """
    inside = [d for d in home.devices if area is not None and d.area == area]
    if not inside:
        return Plan(refused=f"no area called {area!r} in this home")
    heat = [d for d in inside if d.domain == "climate"]
    value = state.strip().lower()
    if value in ("warmer", "cooler"):
        return _change_set_points(heat, STEP if value == "warmer" else -STEP, str(area))
    if value == "no change":
        return Plan()
    if value not in (*OCCUPIED, *EMPTY):
        return Plan(refused=f"the state {state!r} ({kind}) has no action")
    occupied = value in OCCUPIED
    actions = []
    lights = [d.name for d in inside if d.domain == "light" and bool(d.state["on"]) != occupied]
    if lights:
        actions.append(
            Action(
                "HassTurnOn" if occupied else "HassTurnOff", {"area": area, "domain": "light"}, tuple(lights)
            )
        )
    set_point = comfort if occupied else away
    moved = [d.name for d in heat if d.state["temperature"] != set_point]
    if moved:
        actions.append(
            Action("HassClimateSetTemperature", {"area": area, "temperature": set_point}, tuple(moved))
        )
    return Plan(actions)


def _change_set_points(heat: list[Device], step: float, area: str) -> Plan:
    if not heat:
        return Plan(refused=f"no heating or cooling in {area!r}")
    actions = []
    for device in heat:
        set_point = min(max(float(device.state["temperature"]) + step, COMFORT_RANGE[0]), COMFORT_RANGE[1])
        if set_point != device.state["temperature"]:
            slots = {"name": device.name, "temperature": set_point}
            actions.append(Action("HassClimateSetTemperature", slots, (device.name,)))
    return Plan(actions)
