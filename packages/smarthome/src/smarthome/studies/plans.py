"""Studies ``plans`` and ``false_activation``: what the decided intents and slots would do to a simulated home."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.data.coercion import to_texts
from core.evaluation.study import StudyResult, Gate, EvaluationContext
from core.targets.types import Predictions
from smarthome.home import STARTS, Device, Home
from smarthome.plan import REACHES, Plan, domain_of, make_plan, slot_words
from smarthome.simulate.phrases import OUTSIDE
from smarthome.studies.intervals import share

if TYPE_CHECKING:
    from core.targets.intent_slots import IntentSlotsTarget

Said = list[tuple[str, dict[str, str]]]
GUARDED = ("lock", "alarm", "oven")


def understood(target: IntentSlotsTarget, codes: NDArray[Any], texts: Sequence[str]) -> Said:
    """Give each row's intent and the words of its slots, from labels (N, 1 + T)."""
    names = target.named(codes, texts)
    return [
        (target.classes[int(row[0])], slot_words(text, slots))
        for row, text, slots in zip(codes, texts, names, strict=True)
    ]


def home_of(rows: Said) -> Home:
    """Build the home that these true commands speak of: every device and area named, one of each kind in each area."""
    areas: dict[str, str | None] = {}
    devices: dict[str, Device] = {}
    floors = sorted({slots["floor"].lower() for _, slots in rows if "floor" in slots}) or [None]  # type: ignore[list-item]
    for _, slots in rows:
        if "area" in slots:
            areas.setdefault(slots["area"].lower(), floors[len(areas) % len(floors)])
    areas = areas or {"home": None}
    for intent, slots in rows:
        if "name" in slots:
            name = slots["name"].lower()
            domain = REACHES.get(intent) or domain_of(name) or "switch"
            where = slots.get("area", "").lower() or None
            devices.setdefault(name, Device(name, where, domain, "", dict(STARTS[domain])))
    for area in areas:
        for domain in ("light", "cover", "fan", "switch", "climate", "media_player", "vacuum"):
            name = f"{area} {domain}"
            devices.setdefault(name, Device(name, area, domain, "", dict(STARTS[domain])))
    return Home(areas, list(devices.values()))


def outcome(intent: str, slots: dict[str, str], home: Home) -> tuple[Any, ...]:
    """Say what comes of a command in a copy of the home: refused, or what changes, and whether a person is asked."""
    if intent == OUTSIDE:
        return ("refused",)
    plan: Plan = make_plan(intent, {k: v.lower() for k, v in slots.items()}, home)
    if plan.refused is not None:
        return ("refused", plan.refused)
    place = home.copy()
    changes = [change for action in plan.actions for change in place.carry_out(action)]
    asked = tuple((a.intent, a.devices) for a in plan.actions)
    return (plan.confirm is not None, asked, tuple((c.device, c.attribute, str(c.after)) for c in changes))


def plan_success(context: EvaluationContext) -> StudyResult:
    """Carry out decided and true commands in homes built from what was truly said; success: the same outcome.

    The home of a row is that of its unit, where rows belong to homes, else one of all rows of its language.
    """
    target: IntentSlotsTarget = context.target  # type: ignore[assignment]
    test = context.parts["test"]
    texts = to_texts(context.frames["test"][target.text])
    true, decided = understood(target, test.targets, texts), understood(target, test.labels, texts)
    keys = _homes(context, test)
    homes = {key: home_of([true[n] for n in np.flatnonzero(keys == key)]) for key in set(keys.tolist())}
    wanted = [outcome(*said, homes[key]) for said, key in zip(true, keys, strict=True)]
    found = [outcome(*said, homes[key]) for said, key in zip(decided, keys, strict=True)]
    same = np.array([a == b for a, b in zip(wanted, found, strict=True)], np.float64)
    doable = np.array([a[0] != "refused" for a in wanted])
    if not doable.any():
        return StudyResult("The simulated home can do none of the commands of this test part.")
    rows = []
    for intent in sorted({said[0] for said in true}):
        members = np.array([said[0] == intent for said in true])
        rows.append(
            {
                "intent": intent,
                "rows": int(members.sum()),
                "same outcome": float(same[members].mean()),
                "can be done": float(doable[members].mean()),
            }
        )
    figure = share(context, same, doable, test.units)
    return StudyResult(
        f"{100 * (figure['value'] or 0):.1f} % of the commands that the home can do end as they should.",
        {"plan_success": figure, "same_outcome": share(context, same, None, test.units)},
        {"Plans": rows},
        notes=[
            "A plan succeeds when the same devices are reached, the same states change, and a person is asked alike.",
            f"{int((~doable).sum())} of {len(doable)} true commands are refused by the simulated home itself (places "
            "or kinds of devices that the plan can't resolve) and count in 'same outcome' only.",
        ],
    )


def _homes(context: EvaluationContext, test: Predictions) -> NDArray[np.str_]:
    if context.dataset.unit_name == "home" and test.units is not None:
        return test.units
    return test.groups.get("language", np.full(len(test), "all", dtype=np.str_))


def guarded(intent: str, slots: dict[str, str]) -> str | None:
    """Name the guarded kind of device that a command would change, or None."""
    if intent not in ("HassTurnOn", "HassTurnOff"):
        return None
    for slot in ("name", "domain"):
        kind = domain_of(slots[slot]) if slot in slots else None
        if kind in GUARDED:
            return kind
    return None


def false_activation(context: EvaluationContext) -> StudyResult:
    """Count commands and other sentences that would wrongly reach a lock, an alarm or an oven, before confirmation."""
    target: IntentSlotsTarget = context.target  # type: ignore[assignment]
    test = context.parts["test"]
    texts = to_texts(context.frames["test"][target.text])
    true = [guarded(*said) for said in understood(target, test.targets, texts)]
    decided = [guarded(*said) for said in understood(target, test.labels, texts)]
    meant = np.array([kind is not None for kind in true])
    reached = np.array([kind is not None for kind in decided])
    opposite = np.array([a is not None and b is not None for a, b in zip(true, decided, strict=True)])
    opposite &= test.labels[:, 0] != test.targets[:, 0]
    figures = {
        "false_activation": share(context, reached.astype(np.float64), ~meant, test.units),
        "missed_guarded": share(context, (~reached).astype(np.float64), meant, test.units),
        "opposite": share(context, opposite.astype(np.float64), meant, test.units),
    }
    rows = [
        {
            "device": kind,
            "meant": sum(k == kind for k in true),
            "reached": sum(k == kind for k in decided),
            "wrongly reached": sum(b == kind and a is None for a, b in zip(true, decided, strict=True)),
        }
        for kind in GUARDED
    ]
    wrong = figures["false_activation"]["value"]
    if not meant.any() and not reached.any():
        return StudyResult(
            "No command of the test part, meant or decided, reaches a lock, an alarm or an oven."
        )
    return StudyResult(
        f"{100 * (wrong or 0):.2f} % of what means no lock, alarm or oven would reach one; none acts unconfirmed.",
        figures,
        {"Guarded devices": rows},
        [
            Gate(
                "false activation of locks, alarms and ovens",
                wrong,
                "<= 0.005",
                bool((wrong or 0.0) <= 0.005),
                "before a person confirms; every such step waits for confirmation",
            )
        ],
        ["Kinds of devices are told from English words of the name and domain slots."],
    )
