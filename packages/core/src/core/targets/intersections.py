"""The sensitive attributes of predictions and their intersections: pairs of attributes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.targets.types import Predictions

JOIN = " × "


def attributes(p: Predictions, pairs: bool = True) -> Iterator[tuple[str, NDArray[np.str_]]]:
    """Yield each attribute with its rows' groups, (N,), then each pair of attributes as "a × b"."""
    yield from p.groups.items()
    if pairs:
        for (a, groups_a), (b, groups_b) in combinations(p.groups.items(), 2):
            joined = [f"{x}{JOIN}{y}" for x, y in zip(groups_a, groups_b, strict=True)]
            yield f"{a}{JOIN}{b}", np.asarray(joined, np.str_)
