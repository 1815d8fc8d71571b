"""Upgrade what evaluation filled in a schema-1 record: thresholds, calibration, curves, groups, studies, baseline."""

from __future__ import annotations

import re
from typing import Any

from core.report.upgrade.impact import upgrade_group_thresholds

Content = dict[str, Any]

REASONS = {
    "not asked for": "not_requested",
    "asked for": "requested",
    "cross-fitted": "improves",
    "left as they are: cross-fitted": "no_clear_gain",
    "left as they are: too few": "too_few_rows",
    "left as they are for want": "requested",
    "values have no probabilities": "no_probabilities",
    "pixels keep": "kept_by_network",
}
"""How a sentence of schema 1 begins -> why probabilities were or were not recalibrated."""


def upgrade_evaluation(old: Content) -> Content:
    """Return the parts of a record, or of its baseline, in the form of schema 2."""
    new = dict(old)
    for key, upgrade in (
        ("intervals", _intervals),
        ("thresholds", _thresholds),
        ("calibration", _calibration),
        ("curves", _curves),
        ("groups", _groups),
        ("studies", _studies),
        ("baseline", upgrade_evaluation),
    ):
        if new.get(key):
            new[key] = upgrade(new[key])
    return new


def _intervals(old: Content) -> Content:
    names = {"resamples_single": "resamples_slow", "without_vectorised_form": "without_weighted_form"}
    return {names.get(key, key): value for key, value in old.items()}


def _thresholds(old: Content) -> Content:
    new = {key: value for key, value in old.items() if value is not None}
    if new.get("by_group"):
        new["by_group"] = upgrade_group_thresholds(new["by_group"])
    new["points"] = {
        rule: {
            "threshold": point["threshold"],
            **{name: _operating_point(point.get(name)) for name in ("validation", "test")},
        }
        for rule, point in old.get("points", {}).items()
    }
    return new


def _operating_point(old: Content | None) -> Content | None:
    if old is None:
        return None
    return {("selection_rate" if key == "called" else key): value for key, value in old.items()}


def _calibration(old: Content) -> Content:
    scaling = old.get("scaling")
    new = {key: value for key, value in old.items() if key != "scaling"}
    if scaling:
        new["recalibration"] = _recalibration(scaling)
    return new


def _recalibration(old: Content) -> Content:
    reason: str = old.get("reason", "")
    figures = re.search(r"falls by (-?[\d.]+) \(standard error ([\d.]+)\)", reason)
    unfitted = re.match(r"left as they are for want of answers: (.*)", reason)
    return {
        **old,
        "reason": next(
            (code for start, code in REASONS.items() if reason.startswith(start)), "not_requested"
        ),
        "gain": float(figures[1]) if figures else None,
        "standard_error": float(figures[2]) if figures else None,
        "unfitted": unfitted[1].split(", ") if unfitted else [],
    }


def _curves(old: Content) -> Content:
    new = dict(old)
    if new.get("pr"):
        new["pr"] = {
            name: None if c is None else _renamed(c, "share", "prevalence") for name, c in new["pr"].items()
        }
    if new.get("reliability"):
        new["reliability"] = [_renamed(point, "forecast", "predicted") for point in new["reliability"]]
    return new


def _renamed(old: Content, name: str, now: str) -> Content:
    return {(now if key == name else key): value for key, value in old.items()}


def _groups(old: Content) -> Content:
    return {attribute: _renamed(table, "minimum", "min_group_rows") for attribute, table in old.items()}


def _studies(old: Content) -> Content:
    return {
        name: {
            **{key: value for key, value in study.items() if key != "figures"},
            "metrics": {
                metric: {part: found.get(part) for part in ("value", "low", "high")}
                for metric, found in study.get("figures", {}).items()
            },
        }
        for name, study in old.items()
    }
