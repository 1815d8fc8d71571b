"""Making a target again from its saved state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from core.targets.binary import BinaryTarget
from core.targets.segmentation import SegmentationTarget
from core.targets.multiclass import MulticlassTarget
from core.targets.multilabel import MultilabelTarget
from core.targets.ordinal import OrdinalTarget
from core.targets.regression import RegressionTarget
from core.targets.intent_slots import IntentSlotsTarget

if TYPE_CHECKING:
    from core.data.types import Json
    from core.targets.types import Target

KINDS: dict[str, Callable[[dict[str, Json]], Target]] = {
    "binary": BinaryTarget.from_state,
    "mask": SegmentationTarget.from_state,
    "multiclass": MulticlassTarget.from_state,
    "multilabel": MultilabelTarget.from_state,
    "ordinal": OrdinalTarget.from_state,
    "regression": RegressionTarget.from_state,
    "tokens": IntentSlotsTarget.from_state,
}


def restore(state: dict[str, Json]) -> Target:
    """Make a target again from what its ``state()`` gave, raising ValueError for a kind this version lacks."""
    if state.get("kind") not in KINDS:
        raise ValueError(
            f"this version of core knows no target of kind {state.get('kind')!r}; it knows {list(KINDS)}"
        )
    return KINDS[state["kind"]](state)
