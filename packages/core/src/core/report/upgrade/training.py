"""Upgrade the ``training`` of a schema-1 record: sentences become codes, the learning curve's points are nested."""

from __future__ import annotations

import re
from typing import Any

from core.report.upgrade.impact import upgrade_phases

Content = dict[str, Any]

STOP_REASONS = {
    "steps were taken": "all_steps",
    "validation": "patience",
    "time budget": "time_limit",
    "energy budget": "energy_budget",
}
"""What a sentence of schema 1 contains -> why training ended."""
WEIGHTS = {"best on": "best", "the average": "average", "those of the last": "last"}
PRECISION = {
    "was asked for": "requested",
    "no native bf16": "no_native_bf16",
    "not measured: the run has": "short_run",
    "measured by an earlier run": "measured_before",
    "measured": "measured",
}
"""What a sentence of schema 1 contains -> why the number format; the first that fits."""
KEPT = ("epochs", "steps", "stopped_early", "precision", "seconds", "device")


def upgrade_training(old: Content) -> Content:
    """Return the section in the form of schema 2."""
    messages = old.get("messages", [])
    validation = old.get("validation") or {}
    speedup = re.search(r"bf16 is ([\d.]+) times as fast", old.get("precision_reason") or "")
    return {
        **{key: old[key] for key in KEPT if old.get(key) is not None},
        "stop_reason": _code(STOP_REASONS, old.get("reason"), "other"),
        "weights": _code(WEIGHTS, old.get("weights"), None),
        "best": _best(validation.get("best"), old.get("reason") or ""),
        "precision_reason": _code(PRECISION, old.get("precision_reason"), "other"),
        "bf16_speedup": float(speedup[1]) if speedup else None,
        "unsynchronized_batch_norm": any(m.startswith("batch normalisation took") for m in messages),
        "feature_cache": _feature_cache(messages),
        "linear_probe": _linear_probe(messages),
        "warnings": [m for m in messages if not _is_coded(m)],
        "history": [_point(point) for point in old.get("history", [])],
        "step_timings": old.get("times"),
        "phases": upgrade_phases(old.get("phases", {})),
    }


def _code(codes: dict[str, str], text: str | None, otherwise: str | None) -> str | None:
    if text is None:
        return None
    return next((code for words, code in codes.items() if words in text), otherwise)


def _best(old: Content | None, reason: str) -> Content | None:
    if old is None:
        return None
    waited = re.search(r"not better (\d+) times since", reason)
    return {
        "monitor": old["metric"],
        "step": old["step"],
        "value": old["value"],
        "without_improvement": int(waited[1]) if waited else 0,
    }


def _is_coded(message: str) -> bool:
    starts = (
        "batch normalisation took",
        "what frozen layers",
        "frozen layers are",
        "before training, the head",
    )
    return message.startswith(starts)


def _feature_cache(messages: list[str]) -> Content | None:
    for message in messages:
        cached = re.search(r"what frozen layers give was computed once \(([\d.e+-]+) GiB\)", message)
        if cached:
            return {"status": "cached", "mib": 1024 * float(cached[1])}
        large = re.search(r"features take ([\d.]+) GiB, training\.once_gib=([\d.e+-]+) allows less", message)
        if large:
            return {
                "status": "too_large",
                "mib": 1024 * float(large[1]),
                "limit_mib": 1024 * float(large[2]),
            }
        if message.startswith("frozen layers are computed in each step"):
            return {"status": "disabled" if "once_gib=0" in message else "augmentation"}
    return None


def _linear_probe(messages: list[str]) -> Content | None:
    for message in messages:
        found = re.match(r"before training, the head alone was trained for ([\d,]+) steps; ?(.*)", message)
        if found:
            return {
                "steps": int(found[1].replace(",", "")),
                "feature_cache": _feature_cache([found[2]]) if found[2] else None,
            }
    return None


def _point(old: Content) -> Content:
    prefix = "validation_"
    validation = {key.removeprefix(prefix): value for key, value in old.items() if key.startswith(prefix)}
    return {
        "step": old["step"],
        "loss": old.get("loss"),
        "lr": old.get("rate"),
        "validation": validation or None,
    }
