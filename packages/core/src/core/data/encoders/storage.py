"""How encoded inputs are stored: dense, sparse, or computed when a batch wants them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

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
        """Return some rows as the tensor that a batch holds, index (B,) int64."""


@dataclass
class DenseRows:
    """A tensor of all rows, kept in a compact type."""

    rows: Tensor
    dtype: torch.dtype | None = None
    """Type of a batch, if it is another than the kept one."""

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Tensor) -> Tensor:
        """Return a copy of some rows."""
        chosen = self.rows.index_select(0, index.to(self.rows.device))
        return chosen if self.dtype is None else chosen.to(self.dtype)


@dataclass
class SparseRows:
    """Rows of few non-zero features (scipy CSR arrays), converted to dense batch by batch. V features."""

    data: NDArray[np.float32]
    columns: NDArray[np.int32]
    starts: NDArray[np.int64]
    """(N + 1,)"""
    width: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def take(self, index: Tensor) -> Tensor:
        """Return some rows, (B, V) float32."""
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
    """Rows that a function computes when they are wanted."""

    length: int
    compute: Callable[[NDArray[np.int64]], Tensor]

    def __len__(self) -> int:
        return self.length

    def take(self, index: Tensor) -> Tensor:
        """Compute some rows."""
        return self.compute(index.cpu().numpy().astype(np.int64))


class StoredRows:
    """Rows that were encoded once, input by input; batches are taken from them."""

    def __init__(
        self, inputs: Mapping[str, Storage], length: int, pad_token_id: int, size: tuple[int, int] | None
    ) -> None:
        """``size``: (height, width) of an image as a model sees it, None where there is none."""
        self._inputs = dict(inputs)
        self._length = length
        self._pad_token_id = pad_token_id
        self._size = size

    def __len__(self) -> int:
        return self._length

    def take(self, index: Tensor) -> dict[str, Tensor]:
        """Return the tensors that ``Layout`` describes; tokens are truncated to the batch's longest, in steps of 16."""
        inputs = self.take_for_augmentation(index)
        if self._size is not None and inputs["image"].shape[-2:] != self._size:
            inputs["image"] = resized(inputs["image"], self._size)
        return inputs

    def take_for_augmentation(self, index: Tensor) -> dict[str, Tensor]:
        """Return the same as ``take``, but images in the size kept for random crops."""
        inputs = {name: stored.take(index) for name, stored in self._inputs.items()}
        if "tokens" in inputs:
            inputs["tokens"] = _trimmed(inputs["tokens"], self._pad_token_id)
        if "words" in inputs:
            longest = max(int(inputs["words_mask"].sum(1).max()) if len(inputs["words"]) else 1, 1)
            longest = min(inputs["words"].shape[1], -(-longest // 4) * 4)
            for name in ("words", "words_mask", "word_starts"):
                if name in inputs:
                    inputs[name] = inputs[name][:, :longest]
        return inputs


class Subset:
    """Some of the rows of other encoded rows (as ``torch.utils.data.Subset`` of a data set)."""

    def __init__(self, rows: EncodedRows, indices: Tensor) -> None:
        """Take the rows' numbers, (N,) int64."""
        self._rows, self._indices = rows, indices

    def __len__(self) -> int:
        return len(self._indices)

    def take(self, index: Tensor) -> dict[str, Tensor]:
        """Return the tensors of some of them."""
        return self._rows.take(self._indices[index])

    def take_for_augmentation(self, index: Tensor) -> dict[str, Tensor]:
        """Return the same as ``take``, but images in the size kept for random crops."""
        return self._rows.take_for_augmentation(self._indices[index])


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize uint8 images (B, C, H, W) bilinearly with antialiasing."""
    scaled = torch.nn.functional.interpolate(image.float(), size=size, mode="bilinear", antialias=True)
    return scaled.round_().clamp_(0, 255).to(torch.uint8)


def _trimmed(tokens: Tensor, pad_token_id: int) -> Tensor:
    longest = int((tokens != pad_token_id).sum(1).max()) if len(tokens) else 0
    return tokens[:, : min(tokens.shape[1], -(-max(longest, 1) // 16) * 16)]
