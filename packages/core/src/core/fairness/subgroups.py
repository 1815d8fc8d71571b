"""Which group, and which class, each training row is of: what mitigation in training goes by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Protocol

import torch

from core.config import config_error
from core.targets.intersections import JOIN

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.groups import Groups
    from core.targets.types import Target

CLASSED = ("binary", "multiclass", "ordinal")
"""Kinds whose rows each have one class."""


class Grouped(Protocol):
    """Training rows: a part of the split, or a share of one."""

    targets: Tensor
    group_codes: dict[str, Tensor]


def select_attributes(asked: str, there: Sequence[str]) -> tuple[str, ...]:
    """Resolve ``fairness.attribute``: the first by default, ``a+b`` joins; ValueError names those that there are."""
    if not there:
        raise ValueError(
            "fairness: the data names no sensitive attribute to mitigate by; name its columns with data.sensitive, "
            "or choose fairness=none"
        )
    if not asked:
        return (there[0],)
    names = (asked,) if asked in there else tuple(part.strip() for part in asked.split("+"))
    unknown = [name for name in names if name not in there]
    if unknown:
        raise config_error(
            "fairness.attribute",
            asked,
            f"no attribute {unknown[0]!r}; there are {', '.join(there)} (a+b joins two)",
        )
    return names


@dataclass(frozen=True)
class SubgroupIndex:
    """Cells of a group, or of a group and a class. G groups, Y classes (1: not told apart), G * Y cells."""

    attributes: tuple[str, ...]
    names: tuple[str, ...]
    """Of the groups."""
    sizes: tuple[int, ...]
    """Groups of each attribute."""
    classes: int

    @classmethod
    def of(cls, asked: str, groups: Groups, target: Target, by_class: bool) -> SubgroupIndex:
        """Make the cells of the attributes asked for."""
        attributes = select_attributes(asked, list(groups.groupings))
        each = [groups.categories(name) for name in attributes]
        names = tuple(JOIN.join(parts) for parts in product(*each))
        return cls(attributes, names, tuple(len(c) for c in each), len(target.classes) if by_class else 1)

    @property
    def label(self) -> str:
        """Name the attributes together."""
        return JOIN.join(self.attributes)

    @property
    def count(self) -> int:
        """Count the cells."""
        return len(self.names) * self.classes

    def groups(self, codes: Mapping[str, Tensor]) -> Tensor:
        """Number the group of each row, (B,) int64."""
        found = codes[self.attributes[0]]
        for name, size in zip(self.attributes[1:], self.sizes[1:], strict=True):
            found = found * size + codes[name]
        return found

    def cells(self, codes: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """Number the cell of each row, (B,) int64: group * Y + class."""
        groups = self.groups(codes)
        return groups if self.classes == 1 else groups * self.classes + targets

    def counts(self, rows: Grouped) -> Tensor:
        """Count the rows of each cell, (G * Y,) float64."""
        return torch.bincount(self.cells(rows.group_codes, rows.targets), minlength=self.count).double()
