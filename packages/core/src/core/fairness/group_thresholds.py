"""Decisions by thresholds of single groups, wherever rows are decided: in evaluation, in studies, in serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from core.targets.intersections import JOIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.fairness.section import GroupThresholds
    from core.targets.types import Array, Labels, Target


def decide_by_group(
    target: Target,
    scores: Array,
    thresholds: Mapping[str, float] | None,
    by_group: GroupThresholds | None,
    groups: Mapping[str, NDArray[np.str_]],
) -> Labels:
    """Decide rows by their group's thresholds, others by the common ones.

    Raises ValueError where the thresholds go by an attribute that the rows do not have.
    """
    labels = target.labels(scores, thresholds)
    if by_group is None:
        return labels
    missing = [name for name in by_group.attributes if name not in groups]
    if missing:
        raise ValueError(
            f"column {missing[0]!r}: not in the table; the run decides each group of it by thresholds of its own "
            "(fairness=threshold), so it must be known of every row"
        )
    group_of = joined_groups([groups[name] for name in by_group.attributes])
    for name, own in by_group.values.items():
        rows = np.flatnonzero(group_of == name)
        if len(rows):
            labels[rows] = target.labels(scores[rows], own)
    return labels


def joined_groups(columns: Sequence[NDArray[np.str_]]) -> NDArray[np.str_]:
    """Return the group of each row by all attributes together, (N,).

    >>> joined_groups([np.array(["f", "m"]), np.array(["old", "young"])]).tolist()
    ['f × old', 'm × young']
    """
    if len(columns) == 1:
        return columns[0]
    return np.asarray([JOIN.join(parts) for parts in zip(*columns, strict=True)], np.str_)
