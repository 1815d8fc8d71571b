"""One part of the split, encoded once, from which batches are taken."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.data.encoders.storage import Subset
from core.data.types import Batch
from core.data.coercion import to_categories

if TYPE_CHECKING:
    from core.data.augmentation import Augmentation
    from core.data.groups import Groups
    from core.data.types import Encoder, ColumnRoles, Layout, EncodedRows


class Labels(Protocol):
    """What a part needs of a target: reading the truth of rows."""

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Read the truth of rows as a tensor, (N, ...)."""


def names_of_units(column: pd.Series[Any], rows: NDArray[np.int64]) -> NDArray[np.str_]:
    """Name the unit of each row, (N,); a row without one stands for itself."""
    named = zip(to_categories(column), rows, strict=True)
    return np.array([f"row {row}" if name is None else name for name, row in named], dtype=np.str_)


class EncodedSplit:
    """Rows of one part: inputs, targets, groups, units and where they stand in the source. N rows."""

    frame: pd.DataFrame
    rows: NDArray[np.int64]
    """(N,) position of each row in the source's frame"""
    targets: Tensor
    units: NDArray[np.str_] | None
    """(N,) name of the unit each row belongs to, None where the data names no unit"""
    unit_codes: Tensor | None
    """(N,) int64, units numbered in the order they come"""
    groups: dict[str, NDArray[np.str_]]
    """Sensitive attribute -> (N,) group names"""
    group_codes: dict[str, Tensor]
    """Sensitive attribute -> (N,) int64 place in ``groups_of.categories(attribute)``"""

    def __init__(
        self,
        frame: pd.DataFrame,
        rows: NDArray[np.int64],
        encoder: Encoder,
        target: Labels,
        roles: ColumnRoles,
        groups: Groups,
        history: pd.DataFrame | None = None,
    ) -> None:
        """Encode rows (raising ``ValueError`` with column and row); ``history``: what events may look back to."""
        assert len(frame) == len(rows)
        self.frame = frame
        self.rows = np.asarray(rows, dtype=np.int64)
        self.layout: Layout = encoder.layout()
        self.encoded: EncodedRows = encoder.encode(frame, history)
        self.targets = target.encode(frame)
        self.units, self.unit_codes = None, None
        if roles.unit is not None and roles.unit in frame:
            self.units = names_of_units(frame[roles.unit], self.rows)
            codes, _ = pd.factorize(self.units)
            self.unit_codes = torch.from_numpy(codes.astype(np.int64))
        self.groups = groups.names(frame)
        self.group_codes = {k: torch.from_numpy(v) for k, v in groups.codes(self.groups).items()}

    def __len__(self) -> int:
        return len(self.rows)

    def batch(
        self,
        index: Tensor,
        augmentation: Augmentation | None = None,
        generator: torch.Generator | None = None,
    ) -> Batch:
        """Take rows, index (B,) int64; an augmentation changes the inputs with the generator's random numbers."""
        targets = self.targets[index]
        if augmentation is None:
            inputs = self.encoded.take(index)
        else:
            assert generator is not None, "an augmentation needs a generator"
            inputs = self.encoded.take_for_augmentation(index)
            if targets.ndim == 3:  # a mask moves with its image
                inputs["mask"] = targets.to(inputs["image"].device)
            inputs = augmentation(inputs, generator)
            targets = inputs.pop("mask", targets)
        return Batch(
            inputs,
            targets,
            index,
            {name: codes[index] for name, codes in self.group_codes.items()},
            None if self.unit_codes is None else self.unit_codes[index],
        )

    def reading(self, prepared: EncodedRows) -> EncodedSplit:
        """Give the same rows with other inputs."""
        assert len(prepared) == len(self)
        other = copy.copy(self)
        other.prepared = prepared
        return other

    def some(self, chosen: NDArray[np.int64]) -> EncodedSplit:
        """Give some of the rows as a part of their own, by their places in this one, (N,)."""
        other = copy.copy(self)
        index = torch.from_numpy(chosen)
        other.frame, other.rows = self.frame.iloc[chosen], self.rows[chosen]
        other.prepared, other.targets = Subset(self.encoded, index), self.targets[index]
        if self.units is not None:
            other.units = self.units[chosen]
            other.unit_codes = torch.from_numpy(pd.factorize(other.units)[0].astype(np.int64))
        other.groups = {name: names[chosen] for name, names in self.groups.items()}
        other.group_codes = {name: codes[index] for name, codes in self.group_codes.items()}
        return other

    def keep_on(self, device: torch.device) -> None:
        """Move the dense inputs to a device once, so that batches and their augmentation are made there."""
        self.encoded = self.encoded.to(device)

    def take(self, chosen: NDArray[Any] | list[int]) -> pd.DataFrame:
        """Give the raw rows of some places in this part."""
        return self.frame.iloc[chosen]
