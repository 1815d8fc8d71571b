"""Checks of settings that the options of several rooms share; each error names the key. Imports nothing heavy."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from core.config import wrong

if TYPE_CHECKING:
    from collections.abc import Collection


def positive(group: str, **values: float) -> None:
    """Refuse values that are not above 0, or not finite."""
    for name, value in values.items():
        if not 0 < value < inf:
            raise wrong(f"{group}.{name}", value, "it must be above 0")


def at_least_zero(group: str, **values: float) -> None:
    """Refuse values below 0, or not finite."""
    for name, value in values.items():
        if not 0 <= value < inf:
            raise wrong(f"{group}.{name}", value, "it must be 0 or more")


def shares(group: str, **values: float) -> None:
    """Refuse values outside 0 to below 1."""
    for name, value in values.items():
        if not 0.0 <= value < 1.0:
            raise wrong(f"{group}.{name}", value, "it must be at least 0 and below 1")


def one_of(key: str, value: object, right: Collection[object]) -> None:
    """Refuse a value that is none of a few."""
    if value not in right:
        raise wrong(key, value, f"one of {', '.join(str(r) for r in right)}")
