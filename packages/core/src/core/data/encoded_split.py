"""One split, encoded once, from which batches are taken."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.data.coercion import to_categories
from core.data.encoders.storage import Subset
from core.data.types import Batch

if TYPE_CHECKING:
    from core.data.augmentation import Augmentation
    from core.data.groups import Groups
    from core.data.types import ColumnRoles, EncodedRows, Encoder, Layout


def names_of_units(column: pd.Series[Any], rows: NDArray[np.int64]) -> NDArray[np.str_]:
    """Return the unit of each row, (N,); a row without one is a unit of its own."""
    named = zip(to_categories(column), rows, strict=True)
    return np.array([f"row {row}" if name is None else name for name, row in named], dtype=np.str_)


class EncodedSplit:
    """Rows of one split: inputs, targets, groups, units and their positions in the source. N rows."""

    frame: pd.DataFrame
    rows: NDArray[np.int64]
    """(N,) position of each row in the source's frame"""
    encoded: EncodedRows
    """The input tensors, taken by row."""
    targets: Tensor
    """(N, ...) encoded labels"""
    units: NDArray[np.str_] | None
    """(N,) name of the unit each row belongs to, None where the data names no unit"""
    unit_codes: Tensor | None
    """(N,) int64, units numbered in the order they come"""
    groups: dict[str, NDArray[np.str_]]
    """Sensitive attribute -> (N,) group names"""
    group_codes: dict[str, Tensor]
    """Sensitive attribute -> (N,) int64 index in ``Groups.categories(attribute)``"""

    def __init__(
        self,
        frame: pd.DataFrame,
        rows: NDArray[np.int64],
        encoder: Encoder,
        encode_target: Callable[[pd.DataFrame], Tensor],
        roles: ColumnRoles,
        groups: Groups,
        history: pd.DataFrame | None = None,
    ) -> None:
        """Encode rows (raising ``ValueError`` with column and row); ``history``: rows that events may refer to."""
        assert len(frame) == len(rows)
        self.frame = frame
        self.rows = np.asarray(rows, dtype=np.int64)
        self.layout: Layout = encoder.layout()
        self.encoded = encoder.encode(frame, history)
        self.targets = encode_target(frame)
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
        """Return rows as a batch, index (B,) int64; an augmentation changes its inputs, drawing from the generator."""
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

    def with_inputs(self, encoded: EncodedRows) -> EncodedSplit:
        """Return the same rows with other inputs."""
        assert len(encoded) == len(self)
        other = copy.copy(self)
        other.encoded = encoded
        return other

    def subset(self, indices: NDArray[np.int64]) -> EncodedSplit:
        """Return some of the rows as a split of their own, by their positions in this one, (N,)."""
        other = copy.copy(self)
        index = torch.from_numpy(indices)
        other.frame, other.rows = self.frame.iloc[indices], self.rows[indices]
        other.encoded, other.targets = Subset(self.encoded, index), self.targets[index]
        if self.units is not None:
            other.units = self.units[indices]
            other.unit_codes = torch.from_numpy(pd.factorize(other.units)[0].astype(np.int64))
        other.groups = {name: names[indices] for name, names in self.groups.items()}
        other.group_codes = {name: codes[index] for name, codes in self.group_codes.items()}
        return other
