"""Upgrade a record of schema_version 1, as plinth-core 0.1 wrote it, to schema_version 2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.config.deprecated import upgraded_config
from core.report.upgrade_privacy import upgrade_privacy

Content = dict[str, Any]

RENAMED = {"challenger": "baseline"}
"""Section of schema_version 1 -> its name now."""


def upgraded(content: Mapping[str, Any]) -> Content:
    """Return the content of a schema-1 record in the form of schema_version 2; the seal stays that of the file.

    Sentences that schema 1 stored are left out where today's are computed from the numbers. What today's sections
    ask and schema 1 did not record is null.
    """
    new: Content = {RENAMED.get(key, key): value for key, value in content.items()}
    new["schema_version"] = 2
    config = {"domain": new["run"]["domain"], **new["run"].get("config", {})}
    new["run"] = {**new["run"], "config": upgraded_config(config)}
    for key, upgrade in SECTIONS.items():
        if new.get(key) is not None:
            new[key] = upgrade(new[key])
    return new


SECTIONS: dict[str, Callable[[Content], Content]] = {"privacy": upgrade_privacy}
"""Section -> what its schema-1 content becomes."""
