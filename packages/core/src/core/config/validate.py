"""Checks of values that the options of several groups share; each error names the key and what would be right."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def config_error(key: str, value: object, right: str) -> ValueError:
    """Return the error for a configuration value: the key, the value, and what would be right."""
    return ValueError(f"{key}={value!r}: {right}")


def positive(group: str, **values: float) -> None:
    """Raise ValueError for values that are not above 0, or not finite."""
    for name, value in values.items():
        if not 0 < value < inf:
            raise config_error(f"{group}.{name}", value, "it must be above 0")


def at_least_zero(group: str, **values: float) -> None:
    """Raise ValueError for values below 0, or not finite."""
    for name, value in values.items():
        if not 0 <= value < inf:
            raise config_error(f"{group}.{name}", value, "it must be 0 or more")


def fractions(group: str, **values: float) -> None:
    """Raise ValueError for values outside 0 to below 1."""
    for name, value in values.items():
        if not 0.0 <= value < 1.0:
            raise config_error(f"{group}.{name}", value, "it must be at least 0 and below 1")


def one_of(key: str, value: object, right: Collection[object]) -> None:
    """Raise ValueError for a value that is none of a few."""
    if value not in right:
        raise config_error(key, value, f"one of {', '.join(str(r) for r in right)}")
