"""Encoders: rows of a frame become tensors, in the same way in training and in every later prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.data.encoders.decorrelated import DecorrelatedEncoder
    from core.data.encoders.columns import ColumnsEncoder
    from core.data.types import Json


def restore(state: Mapping[str, Json]) -> ColumnsEncoder | DecorrelatedEncoder:
    """Rebuild a fitted encoder from the JSON that its ``state()`` gave; it gives bit-identical tensors."""
    from core.data.encoders.decorrelated import DecorrelatedEncoder
    from core.data.encoders.columns import ColumnsEncoder
    from core.data.groups import Groups

    if "decorrelated" not in state:
        return ColumnsEncoder.restore(state)
    about = state["decorrelated"]
    return DecorrelatedEncoder(
        ColumnsEncoder.restore(state["encoder"]),
        tuple(about["columns"]),
        tuple(about["attributes"]),
        Groups.restore(about["groups"]),
        about["taken"],
        about["strength"],
    )
