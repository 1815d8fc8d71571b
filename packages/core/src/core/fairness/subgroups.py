"""Subgroups of training rows, by group or by group and class: what mitigation in training weighs by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import torch

from core.config import config_error
from core.targets.intersections import JOIN

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.encoded_split import EncodedSplit
    from core.data.groups import Groups
    from core.targets.types import Target


def select_attributes(asked: str, known: Sequence[str]) -> tuple[str, ...]:
    """Resolve ``fairness.attribute``: the first by default, ``a+b`` joins; ValueError lists those that are known.

    >>> select_attributes("", ["sex", "age"]), select_attributes("sex+age", ["sex", "age"])
    (('sex',), ('sex', 'age'))
    """
    if not known:
        raise ValueError(
            "fairness: the data names no sensitive attribute to mitigate by; name its columns with data.sensitive, "
            "or choose fairness=none"
        )
    if not asked:
        return (known[0],)
    names = (asked,) if asked in known else tuple(part.strip() for part in asked.split("+"))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise config_error(
            "fairness.attribute",
            asked,
            f"no attribute {unknown[0]!r}; there are {', '.join(known)} (a+b joins two)",
        )
    return names


@dataclass(frozen=True)
class SubgroupIndex:
    """Numbers subgroups of group, or of group and class. G groups, Y classes (1: not told apart), G * Y subgroups."""

    attributes: tuple[str, ...]
    names: tuple[str, ...]
    """Of the groups."""
    sizes: tuple[int, ...]
    """Groups of each attribute."""
    classes: int

    @classmethod
    def of(cls, asked: str, groups: Groups, target: Target, by_class: bool) -> SubgroupIndex:
        """Return the subgroups of the attributes that ``fairness.attribute`` asks for."""
        attributes = select_attributes(asked, list(groups.groupings))
        each = [groups.categories(name) for name in attributes]
        names = tuple(JOIN.join(parts) for parts in product(*each))
        return cls(attributes, names, tuple(len(c) for c in each), len(target.classes) if by_class else 1)

    @property
    def count(self) -> int:
        """Number of subgroups."""
        return len(self.names) * self.classes

    def groups(self, codes: Mapping[str, Tensor]) -> Tensor:
        """Return the group number of each row, (B,) int64."""
        found = codes[self.attributes[0]]
        for name, size in zip(self.attributes[1:], self.sizes[1:], strict=True):
            found = found * size + codes[name]
        return found

    def subgroups(self, codes: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Return the subgroup number of each row, (B,) int64: group * Y + class."""
        groups = self.groups(codes)
        return groups if self.classes == 1 else groups * self.classes + targets

    def counts(self, rows: EncodedSplit) -> Tensor:
        """Count the rows of each subgroup, (G * Y,) float64."""
        numbers = self.subgroups(rows.group_codes, rows.targets)
        return torch.bincount(numbers, minlength=self.count).double()
