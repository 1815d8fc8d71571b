"""Targets: what is predicted, its losses, its decoding and its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.targets.types import target_type

if TYPE_CHECKING:
    from core.data.types import Json
    from core.targets.types import Target


def restore(state: dict[str, Json]) -> Target:
    """Return the target whose ``state()`` this is, raising ValueError for a kind this version lacks."""
    return target_type(str(state.get("kind"))).from_state(state)
