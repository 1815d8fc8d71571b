"""Studies ``plans`` and ``false_activation``: the outcome of predicted intents and slots in a simulated home."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.data.coercion import to_texts
from core.evaluation.bootstrap import share_estimate
from core.evaluation.study import EvaluationContext, Gate, StudyResult
from core.targets.types import Predictions
from smarthome.home import INITIAL_STATES, Device, Home
from smarthome.plan import INTENT_DOMAINS, Plan, domain_of_name, make_plan, slot_values
from smarthome.simulate.phrases import OUT_OF_SCOPE

if TYPE_CHECKING:
    from core.targets.intent_slots import IntentSlotsTarget

Interpretations = list[tuple[str, dict[str, str]]]
SAFETY_CRITICAL = ("lock", "alarm", "oven")


def interpretations(target: IntentSlotsTarget, codes: NDArray[Any], texts: Sequence[str]) -> Interpretations:
    """Return each row's intent and slot values, from labels (N, 1 + T)."""
    names = target.decoded_slots(codes, texts)
    return [
        (target.classes[int(row[0])], slot_values(text, slots))
        for row, text, slots in zip(codes, texts, names, strict=True)
    ]


def home_from_commands(rows: Interpretations) -> Home:
    """Return the home of these labeled commands: every device and area named, and one device of each domain an area."""
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
            domain = INTENT_DOMAINS.get(intent) or domain_of_name(name) or "switch"
            where = slots.get("area", "").lower() or None
            devices.setdefault(name, Device(name, where, domain, "", dict(INITIAL_STATES[domain])))
    for area in areas:
        for domain in ("light", "cover", "fan", "switch", "climate", "media_player", "vacuum"):
            name = f"{area} {domain}"
            devices.setdefault(name, Device(name, area, domain, "", dict(INITIAL_STATES[domain])))
    return Home(areas, list(devices.values()))


def outcome(intent: str, slots: dict[str, str], home: Home) -> tuple[Any, ...]:
    """Return the outcome of a command in a copy of the home: refused, or its changes and whether it is confirmed."""
    if intent == OUT_OF_SCOPE:
        return ("refused",)
    plan: Plan = make_plan(intent, {k: v.lower() for k, v in slots.items()}, home)
    if plan.refused is not None:
        return ("refused", plan.refused)
    copied = home.copy()
    changes = [change for action in plan.actions for change in copied.execute(action)]
    actions = tuple((a.intent, a.devices) for a in plan.actions)
    return (plan.confirm is not None, actions, tuple((c.device, c.attribute, str(c.after)) for c in changes))


def plan_success(context: EvaluationContext) -> StudyResult:
    """Execute predicted and labeled commands in homes built from the labels; success: the same outcome.

    The home of a row is that of its unit, where rows belong to homes, else one of all rows of its language.
    """
    target: IntentSlotsTarget = context.target  # type: ignore[assignment]
    test = context.parts["test"]
    texts = to_texts(context.frames["test"][target.text])
    true, predicted = (
        interpretations(target, test.targets, texts),
        interpretations(target, test.labels, texts),
    )
    keys = _home_keys(context, test)
    homes = {
        key: home_from_commands([true[n] for n in np.flatnonzero(keys == key)]) for key in set(keys.tolist())
    }
    expected = [outcome(*command, homes[key]) for command, key in zip(true, keys, strict=True)]
    found = [outcome(*command, homes[key]) for command, key in zip(predicted, keys, strict=True)]
    same = np.array([a == b for a, b in zip(expected, found, strict=True)], np.float64)
    executable = np.array([a[0] != "refused" for a in expected])
    if not executable.any():
        return StudyResult("The simulated home can execute none of the commands of the test set.")
    rows = []
    for intent in sorted({command[0] for command in true}):
        members = np.array([command[0] == intent for command in true])
        rows.append(
            {
                "intent": intent,
                "rows": int(members.sum()),
                "same outcome": float(same[members].mean()),
                "executable": float(executable[members].mean()),
            }
        )
    figure = share_estimate(context, same, executable, test.units)
    return StudyResult(
        f"{100 * (figure.value or 0):.1f} % of the executable commands have the right outcome.",
        {"plan_success": figure, "same_outcome": share_estimate(context, same, None, test.units)},
        {"Plans": rows},
        notes=[
            "A plan succeeds if the devices, the changes of state and the need for confirmation are the same.",
            f"{int((~executable).sum())} of {len(executable)} labeled commands are refused by the simulated home "
            "itself (places or devices that the planner can't resolve) and count in same_outcome only.",
        ],
    )


def _home_keys(context: EvaluationContext, test: Predictions) -> NDArray[np.str_]:
    if context.dataset.unit_name == "home" and test.units is not None:
        return test.units
    return test.groups.get("language", np.full(len(test), "all", dtype=np.str_))


def safety_critical_domain(intent: str, slots: dict[str, str]) -> str | None:
    """Return the safety-critical domain that a command would change, or None."""
    if intent not in ("HassTurnOn", "HassTurnOff"):
        return None
    for slot in ("name", "domain"):
        domain = domain_of_name(slots[slot]) if slot in slots else None
        if domain in SAFETY_CRITICAL:
            return domain
    return None


def false_activation(context: EvaluationContext) -> StudyResult:
    """Compute how often utterances would wrongly activate a lock, an alarm or an oven, before confirmation."""
    target: IntentSlotsTarget = context.target  # type: ignore[assignment]
    test = context.parts["test"]
    texts = to_texts(context.frames["test"][target.text])
    true = [safety_critical_domain(*c) for c in interpretations(target, test.targets, texts)]
    predicted = [safety_critical_domain(*c) for c in interpretations(target, test.labels, texts)]
    relevant = np.array([kind is not None for kind in true])
    activated = np.array([kind is not None for kind in predicted])
    opposite = np.array([a is not None and b is not None for a, b in zip(true, predicted, strict=True)])
    opposite &= test.labels[:, 0] != test.targets[:, 0]
    metrics = {
        "false_activation": share_estimate(context, activated.astype(np.float64), ~relevant, test.units),
        "missed_activation": share_estimate(context, (~activated).astype(np.float64), relevant, test.units),
        "opposite_activation": share_estimate(context, opposite.astype(np.float64), relevant, test.units),
    }
    rows = [
        {
            "device": kind,
            "labeled": sum(k == kind for k in true),
            "predicted": sum(k == kind for k in predicted),
            "false activations": sum(b == kind and a is None for a, b in zip(true, predicted, strict=True)),
        }
        for kind in SAFETY_CRITICAL
    ]
    wrong = metrics["false_activation"].value
    if not relevant.any() and not activated.any():
        return StudyResult(
            "No command of the test set, labeled or predicted, is for a lock, an alarm or an oven."
        )
    return StudyResult(
        f"False activation of locks, alarms and ovens: {100 * (wrong or 0):.2f} % of other utterances, before "
        "confirmation.",
        metrics,
        {"Safety-critical devices": rows},
        [
            Gate(
                "false activation of locks, alarms and ovens",
                wrong,
                "<= 0.005",
                bool((wrong or 0.0) <= 0.005),
                "before confirmation; every such action waits for it",
            )
        ],
        ["Domains are identified by English words of the name and domain slots."],
    )
