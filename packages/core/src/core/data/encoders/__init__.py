"""Encoders: rows of a frame become tensors, in the same way in training and in every later prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.data.encoders.fields import FieldsEncoder
    from core.data.types import Json


def restore(state: Mapping[str, Json]) -> FieldsEncoder:
    """Rebuild a fitted encoder from the JSON that its ``state()`` gave; it gives bit-identical tensors."""
    from core.data.encoders.fields import FieldsEncoder

    return FieldsEncoder.restore(state)
