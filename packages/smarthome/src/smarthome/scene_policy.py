"""From what sensors say to a plan: light and heat where someone is, less where not, a step where someone minds."""

from __future__ import annotations

from smarthome.home import Action, Device, Home
from smarthome.plan import Plan
from smarthome.safety import COMFORT

PRESENT = ("yes", "1", "true", "occupied")
ABSENT = ("no", "0", "false", "empty")
STEP = 1.0
"""Degrees Celsius by which a vote for warmer or cooler moves the set-point."""


def scene_plan(kind: str, found: str, area: str | None, home: Home, comfort: float, away: float) -> Plan:
    """Plan what a sensed scene asks of an area: presence (yes or no), or a preference (cooler, no change, warmer).

    Only lights and set-points within comfort are touched, so nothing needs confirmation.
    """
    inside = [d for d in home.devices if area is not None and d.area == area]
    if not inside:
        return Plan(refused=f"no area called {area!r} in this home")
    heat = [d for d in inside if d.domain == "climate"]
    low = found.strip().lower()
    if low in ("warmer", "cooler"):
        return _moved(heat, STEP if low == "warmer" else -STEP, str(area))
    if low == "no change":
        return Plan()
    if low not in (*PRESENT, *ABSENT):
        return Plan(refused=f"the scene {found!r} ({kind}) asks nothing of a home")
    present = low in PRESENT
    actions = []
    lights = [d.name for d in inside if d.domain == "light" and bool(d.state["on"]) != present]
    if lights:
        actions.append(
            Action(
                "HassTurnOn" if present else "HassTurnOff", {"area": area, "domain": "light"}, tuple(lights)
            )
        )
    wanted = comfort if present else away
    moved = [d.name for d in heat if d.state["temperature"] != wanted]
    if moved:
        actions.append(
            Action("HassClimateSetTemperature", {"area": area, "temperature": wanted}, tuple(moved))
        )
    return Plan(actions)


def _moved(heat: list[Device], step: float, area: str) -> Plan:
    if not heat:
        return Plan(refused=f"nothing heats or cools in {area!r}")
    actions = []
    for device in heat:
        wanted = min(max(float(device.state["temperature"]) + step, COMFORT[0]), COMFORT[1])
        if wanted != device.state["temperature"]:
            slots = {"name": device.name, "temperature": wanted}
            actions.append(Action("HassClimateSetTemperature", slots, (device.name,)))
    return Plan(actions)
