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


def split_fractions(group: str, validation_fraction: float, test_fraction: float | None = None) -> None:
    """Raise ValueError for fractions of a split that are not between 0 and 1, or leave nothing to train on."""
    given = {"validation_fraction": validation_fraction, "test_fraction": test_fraction}
    for name, value in given.items():
        if value is not None and not 0.0 < value < 1.0:
            raise config_error(f"{group}.{name}", value, "it must be a fraction between 0 and 1")
    if test_fraction is not None and validation_fraction + test_fraction >= 1.0:
        raise config_error(
            f"{group}.validation_fraction",
            validation_fraction,
            f"with {group}.test_fraction={test_fraction} nothing is left to train on",
        )


def one_of(key: str, value: object, right: Collection[object]) -> None:
    """Raise ValueError for a value that is none of a few."""
    if value not in right:
        raise config_error(key, value, f"one of {', '.join(str(r) for r in right)}")
