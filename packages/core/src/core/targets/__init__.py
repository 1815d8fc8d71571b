"""Targets: what is predicted, its losses, its decoding and its metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.data.types import Json
    from core.targets.types import Target


def restore(state: dict[str, Json]) -> Target:
    """Return the target whose ``state()`` this is, raising ValueError for a kind this version lacks."""
    from core.targets.types import target_type  # numpy stays out of --help, which reads core.targets.config

    return target_type(str(state.get("kind"))).from_state(state)
