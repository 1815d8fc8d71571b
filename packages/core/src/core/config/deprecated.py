"""Names of keys and options that were changed: the old ones work for one more version, with a warning.

Overrides of the command line and of Python, and the ``config.yaml`` of runs written before, pass through here.
Every row is removed in version 0.3.0 (see "Deprecation" in CONTRIBUTING.md).
"""

from __future__ import annotations

import warnings
from typing import Any

REMOVED_IN = "0.3.0"

RENAMED_GROUPS: dict[str, str] = {
    "challenger": "baseline",
}
"""Old group -> new group."""

RENAMED_OPTIONS: dict[tuple[str, str], str] = {
    ("task", "beats"): "ecg",
}
"""(group, old option) -> new option. The group is the new one where it was renamed too."""

RENAMED_TASKS: dict[tuple[str, str], str] = {
    ("driving", "scene"): "segmentation",
}
"""(domain, old task) -> new task, where another domain has a task of the old name."""

RENAMED_KEYS: dict[str, str] = {
    "fairness.baseline": "fairness.reference_run",
}
"""Old key -> new key, groups by their new name. A new key may lie deeper: ``encoder.vocabulary`` -> ``encoder.text.vocab_size``."""

RENAMED_VALUES: dict[tuple[str, str], str] = {}
"""(new key, old value) -> new value."""


def renamed_override(override: str, domain: str) -> str:
    """Return an override of the command line (``optimizer.rate=1e-3``) in today's words, warning of old ones.

    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     renamed_override("challenger=none", "healthcare")
    'baseline=none'
    >>> print(told[0].message)
    challenger=none is called baseline=none since 0.2.0; the old name is removed in 0.3.0
    """
    key, equals, value = override.partition("=")
    mark = key[: len(key) - len(key.lstrip("+~"))]
    new_key, new_value = _renamed(key.lstrip("+~"), value, domain)
    if (mark + new_key, new_value) == (key, value):
        return override
    new = f"{mark}{new_key}{equals}{new_value}"
    warnings.warn(
        f"{override} is called {new} since 0.2.0; the old name is removed in {REMOVED_IN}",
        DeprecationWarning,
        stacklevel=2,
    )
    return new


def _renamed(key: str, value: str, domain: str) -> tuple[str, str]:
    group, dot, rest = key.partition(".")
    group = RENAMED_GROUPS.get(group, group)
    if not dot:
        choice = RENAMED_TASKS.get((domain, value), value) if group == "task" else value
        return group, RENAMED_OPTIONS.get((group, choice), choice)
    path = f"{group}.{rest}"
    path = RENAMED_KEYS.get(path, path)
    return path, RENAMED_VALUES.get((path, value), value)


def upgraded_config(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a run's ``config.yaml`` in today's words; nothing is warned of, nobody typed it.

    >>> upgraded_config({"domain": "driving", "challenger": {"option": "none"}, "task": {"option": "scene"}})
    {'domain': 'driving', 'baseline': {'option': 'none'}, 'task': {'option': 'segmentation'}}
    """
    domain = str(content.get("domain", ""))
    upgraded: dict[str, Any] = {}
    for old_group, value in content.items():
        group = RENAMED_GROUPS.get(old_group, old_group)
        if not isinstance(value, dict):
            upgraded[group] = value
            continue
        option = str(value.get("option", ""))
        if group == "task":
            option = RENAMED_TASKS.get((domain, option), option)
        keys: dict[str, Any] = {}
        if "option" in value:
            keys["option"] = RENAMED_OPTIONS.get((group, option), option)
        for key, entry in value.items():
            if key == "option":
                continue
            path = RENAMED_KEYS.get(f"{group}.{key}", f"{group}.{key}")
            entry = RENAMED_VALUES.get((path, str(entry)), entry) if isinstance(entry, str) else entry
            if path == "":
                continue  # an option that is gone without a successor
            *inner, last = path.split(".")[1:]
            place = keys
            for step in inner:
                place = place.setdefault(step, {})
            place[last] = entry
        upgraded[group] = keys
    return upgraded
