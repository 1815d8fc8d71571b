"""Encoders: rows of a frame become tensors, in the same way in training and in every later prediction."""

from __future__ import annotations

from collections.abc import Mapping

from core.data.encoders.columns import ColumnsEncoder
from core.data.encoders.decorrelated import DecorrelatedEncoder
from core.data.groups import Groups
from core.data.types import Encoder, Json


def restore(state: Mapping[str, Json]) -> Encoder:
    """Rebuild a fitted encoder from the JSON of its ``state()``; its tensors are bit-identical."""
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
