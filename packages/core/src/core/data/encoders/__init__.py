"""Encoders: rows of a frame become tensors, in the same way in training and in every later prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.data.encoders.decorrelated import Decorrelated
    from core.data.encoders.fields import FieldsEncoder
    from core.data.types import Json


def restore(state: Mapping[str, Json]) -> FieldsEncoder | Decorrelated:
    """Rebuild a fitted encoder from the JSON that its ``state()`` gave; it gives bit-identical tensors."""
    from core.data.encoders.decorrelated import Decorrelated
    from core.data.encoders.fields import FieldsEncoder
    from core.data.groups import Groups

    if "decorrelated" not in state:
        return FieldsEncoder.restore(state)
    about = state["decorrelated"]
    return Decorrelated(
        FieldsEncoder.restore(state["encoder"]),
        tuple(about["columns"]),
        tuple(about["attributes"]),
        Groups.restore(about["groups"]),
        about["taken"],
        about["strength"],
    )
