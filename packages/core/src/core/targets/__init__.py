"""Targets: what is predicted, its losses, its decoding and its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.data.types import Json
    from core.targets.types import Target


def restore(state: dict[str, Json]) -> Target:
    """Make a target again from what its ``state()`` gave, raising ValueError for a kind this version lacks."""
    from core.targets.restoring import restore as restore_target

    return restore_target(state)
