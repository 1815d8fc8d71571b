"""Upgrade the whole content of a schema-1 record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.config.deprecated import upgraded_config
from core.report.upgrade.evaluation import upgrade_evaluation
from core.report.upgrade.impact import (
    upgrade_energy,
    upgrade_explanation,
    upgrade_fairness,
    upgrade_oversight,
    upgrade_performance,
    upgrade_uncertainty,
)
from core.report.upgrade.privacy import upgrade_privacy
from core.report.upgrade.training import upgrade_training

Content = dict[str, Any]

RENAMED = {"challenger": "baseline"}
"""Section of schema_version 1 -> its name now."""


def _upgrade_data(old: Content) -> Content:
    truth = old.get("truth", {})
    return {**{key: value for key, value in old.items() if key != "truth"}, "ground_truth": truth}


SECTIONS: dict[str, Callable[[Content], Content]] = {
    "data": _upgrade_data,
    "privacy": upgrade_privacy,
    "training": upgrade_training,
    "fairness": upgrade_fairness,
    "energy": upgrade_energy,
    "performance": upgrade_performance,
    "explanation": upgrade_explanation,
    "uncertainty": upgrade_uncertainty,
    "oversight": upgrade_oversight,
}
"""Section -> what its schema-1 content becomes."""


def upgrade_record(content: Mapping[str, Any]) -> Content:
    """Return the content of a schema-1 record in the form of schema_version 2; the seal stays that of the file.

    Sentences that schema 1 stored are left out where today's are computed from the numbers. What today's sections
    hold and schema 1 did not record is null.
    """
    new: Content = {RENAMED.get(key, key): value for key, value in content.items()}
    new["schema_version"] = 2
    config = upgraded_config({"domain": new["run"]["domain"], **new["run"].get("config", {})})
    new["run"] = {**new["run"], "config": config}
    new["model"] = {
        **new["model"],
        **{group: config[group]["option"] for group in ("backbone", "adapter") if config.get(group)},
    }
    for key, upgrade in SECTIONS.items():
        if new.get(key) is not None:
            new[key] = upgrade(new[key])
    return upgrade_evaluation(new)
