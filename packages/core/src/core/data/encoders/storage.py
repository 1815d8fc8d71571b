"""Encoded columns as they are kept: dense, sparse, or images that are decoded when they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.data.types import EncodedRows


class Storage(Protocol):
    """One encoded input of N rows."""

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> Tensor:
        """Give some rows as the tensor a batch holds, index (B,) int64."""


@dataclass
class DenseRows:
    """A tensor of all rows, kept in a compact type."""

    rows: Tensor
    dtype: torch.dtype | None = None
    """Type of a batch, if it is another than the kept one."""

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Tensor) -> Tensor:
        """Copy some rows."""
        chosen = self.rows.index_select(0, index.to(self.rows.device))
        return chosen if self.dtype is None else chosen.to(self.dtype)


@dataclass
class SparseRows:
    """Rows of few non-zero features (scipy CSR parts), made dense batch by batch. V features."""

    data: NDArray[np.float32]
    columns: NDArray[np.int32]
    starts: NDArray[np.int64]
    """(N + 1,)"""
    width: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def take(self, index: Tensor) -> Tensor:
        """Give (B, V) float32."""
        rows = index.cpu().numpy()
        counts = self.starts[rows + 1] - self.starts[rows]
        places = np.repeat(self.starts[rows] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        dense = torch.zeros(len(rows), self.width)
        where = np.repeat(np.arange(len(rows)), counts)
        dense[torch.from_numpy(where), torch.from_numpy(self.columns[places].astype(np.int64))] = (
            torch.from_numpy(self.data[places])
        )
        return dense


@dataclass
class LazyRows:
    """Rows that a function makes when they are wanted."""

    length: int
    make: Callable[[NDArray[np.int64]], Tensor]

    def __len__(self) -> int:
        return self.length

    def take(self, index: Tensor) -> Tensor:
        """Make some rows."""
        return self.make(index.cpu().numpy().astype(np.int64))


class StoredRows:
    """Rows that were encoded once; gives the tensors of batches."""

    def __init__(
        self, stores: Mapping[str, Storage], length: int, padding: int, size: tuple[int, int] | None
    ) -> None:
        self._stores = dict(stores)
        self._length = length
        self._padding = padding
        self._size = size
        """(height, width) of a finished image"""

    def __len__(self) -> int:
        return self._length

    def take(self, index: Tensor) -> dict[str, Tensor]:
        """Give the tensors that ``Layout`` describes; tokens are cut to the batch's longest, in steps of 16."""
        inputs = self.take_for_augmentation(index)
        if self._size is not None and inputs["image"].shape[-2:] != self._size:
            inputs["image"] = resized(inputs["image"], self._size)
        return inputs

    def take_for_augmentation(self, index: Tensor) -> dict[str, Tensor]:
        """Like ``take``, but images in the size kept for random crops."""
        inputs = {name: store.take(index) for name, store in self._stores.items()}
        if "tokens" in inputs:
            inputs["tokens"] = _trimmed(inputs["tokens"], self._padding)
        if "words" in inputs:
            longest = max(int(inputs["words_mask"].sum(1).max()) if len(inputs["words"]) else 1, 1)
            longest = min(inputs["words"].shape[1], -(-longest // 4) * 4)
            for name in ("words", "words_mask", "word_starts"):
                if name in inputs:
                    inputs[name] = inputs[name][:, :longest]
        return inputs

    def to(self, device: torch.device) -> StoredRows:
        """Keep the dense inputs on a device, where they fit."""
        moved: dict[str, Any] = {
            name: DenseRows(store.rows.to(device), store.dtype) if isinstance(store, DenseRows) else store
            for name, store in self._stores.items()
        }
        return StoredRows(moved, self._length, self._padding, self._size)


class Subset:
    """Some of the rows of another store of inputs."""

    def __init__(self, rows: EncodedRows, chosen: Tensor) -> None:
        """Take the rows' numbers, (N,) int64."""
        self._rows, self._chosen = rows, chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def take(self, index: Tensor) -> dict[str, Tensor]:
        """Give the tensors of some of them."""
        return self._rows.take(self._chosen[index])

    def take_for_augmentation(self, index: Tensor) -> dict[str, Tensor]:
        """Like ``take``, but images in the size kept for random crops."""
        return self._rows.take_for_augmentation(self._chosen[index])

    def to(self, device: torch.device) -> Subset:
        """Keep what is dense on a device."""
        return Subset(self._rows.to(device), self._chosen)


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize uint8 images (B, C, H, W) bilinearly with antialiasing."""
    scaled = torch.nn.functional.interpolate(image.float(), size=size, mode="bilinear", antialias=True)
    return scaled.round_().clamp_(0, 255).to(torch.uint8)


def _trimmed(tokens: Tensor, padding: int) -> Tensor:
    longest = int((tokens != padding).sum(1).max()) if len(tokens) else 0
    return tokens[:, : min(tokens.shape[1], -(-max(longest, 1) // 16) * 16)]
