"""Images for pretraining: read from strips, kept on the device, augmented there batch by batch."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from core.config import derive_seed
from core.data.readers.files import resolve_path
from core.data.readers.table import read_table
from core.data.roles import require_columns
from core.data.types import Batch
from core.pretrain.sampling import IndexedBatches, held_out

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

SIDE = 32
ERASED = 120
"""Pixel value of an erased square: about the mean of natural images."""


@dataclass
class Images:
    """N images of one data set."""

    image: Tensor
    """(N, 3, 32, 32) uint8"""
    label: Tensor
    """(N,) int64"""
    unit: NDArray[np.str_]
    """(N,) what belongs together: the track, or the image itself"""

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: NDArray[np.int64]) -> Images:
        """Return some of the images."""
        index = torch.from_numpy(rows)
        return Images(self.image[index], self.label[index], self.unit[rows])


def read_strips(path: str, key: str, split: str, files: dict[str, str]) -> Images:
    """Read one split of a data set of strips of images and add the file's hash to ``files``.

    Raises ValueError naming the file and row where a strip can't be decoded.
    """
    file = resolve_path(path, key)
    table = read_table(file)
    require_columns(table.frame, {key: ["split", "strip", "n", "labels", "image"]}, file)
    files.update(table.files)
    frame = table.frame[table.frame["split"] == split]
    if frame.empty:
        raise ValueError(f"{key}={path!r}: it has no rows of the {split} split")
    images, labels, units = [], [], []
    for row, strip in frame.iterrows():
        count = int(strip["n"])
        try:
            with Image.open(io.BytesIO(strip["image"])) as opened:
                pixels = np.asarray(opened.convert("RGB"))
        except OSError as error:
            raise ValueError(f"{file}, row {row}: the strip of images can't be decoded ({error})") from error
        if pixels.shape != (SIDE * count, SIDE, 3):
            raise ValueError(
                f"{file}, row {row}: a strip of {count} should be {SIDE} x {SIDE * count} pixels"
            )
        images.append(pixels.reshape(count, SIDE, SIDE, 3))
        labels.append(np.asarray(strip["labels"], dtype=np.int64))
        tracks = strip["tracks"] if "tracks" in frame else range(count)
        owners = labels[-1] if "tracks" in frame else [strip["strip"]] * count
        units += [f"{owner}-{track}" for owner, track in zip(owners, tracks, strict=True)]
    image = torch.from_numpy(np.concatenate(images)).permute(0, 3, 1, 2).contiguous()
    return Images(image, torch.from_numpy(np.concatenate(labels)), np.array(units))


def split_by_unit(images: Images, fraction: float, seed: int) -> tuple[Images, Images]:
    """Split into a training set and a fraction for validation, by unit, at least one of which is held out."""
    mask = held_out(images.unit, fraction, seed)
    return images.take(np.flatnonzero(~mask)), images.take(np.flatnonzero(mask))


@dataclass(frozen=True)
class BatchAugmentation:
    """Random flip, crop and erasing (Cutout) of a batch, image by image, on its device.

    An image that may be flipped is so in every second epoch, so that two epochs show both (alternating flip, Jordan
    2024, arXiv:2404.00498, section 3.6).
    """

    flip: Tensor
    """(N,) bool: may the image be flipped? A traffic sign may not."""
    even_first: Tensor
    """(N,) bool: is it flipped in the even epochs, or in the odd ones?"""
    crop_padding: int
    cutout: int

    def __call__(
        self, image_BCHW: Tensor, rows_B: Tensor, epochs_B: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Augment images (B, C, H, W) uint8, given their rows and the epoch over their set that each is in."""
        b, _, h, w = image_BCHW.shape
        device = image_BCHW.device

        def draw(high: int) -> Tensor:
            return torch.randint(0, high, (b,), generator=generator, device=device)

        flipped_B = self.flip[rows_B] & (self.even_first[rows_B] ^ (epochs_B % 2 == 1))
        down_B, across_B = draw(2 * self.crop_padding + 1), draw(2 * self.crop_padding + 1)
        x = functional.pad(image_BCHW.float(), (self.crop_padding,) * 4, mode="reflect").to(torch.uint8)
        lines = torch.arange(h, device=device)[None] + down_B[:, None]
        columns = torch.arange(w, device=device)
        columns = torch.where(flipped_B[:, None], columns.flip(0)[None], columns[None]) + across_B[:, None]
        each = torch.arange(b, device=device)[:, None, None]
        x = x[each, :, lines[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        if self.cutout:
            top_B, left_B = draw(h), draw(w)
            half = self.cutout // 2
            rows = torch.arange(h, device=device)[None] - top_B[:, None]
            cols = torch.arange(w, device=device)[None] - left_B[:, None]
            hole = ((rows >= -half) & (rows < half))[:, :, None] & ((cols >= -half) & (cols < half))[:, None]
            x = torch.where(hole[:, None], torch.full_like(x, ERASED), x)
        return x.contiguous(memory_format=torch.channels_last)


class ImageBatches(IndexedBatches):
    """Batches of one or several data sets in fixed numbers of each, everything on the device.

    Each set is shuffled anew for each of its epochs. ``targets`` (B, 2): set, class.
    """

    def __init__(
        self,
        sets: list[Images],
        counts: list[int],
        flips: list[bool],
        steps: int,
        seed: int,
        crop_padding: int,
        cutout: int,
        device: torch.device,
    ) -> None:
        """Take so many images of each set in each step."""
        self.counts, self.steps, self.seed, self.device = counts, steps, seed, device
        self.sizes = [len(s) for s in sets]
        self.image = torch.cat([s.image for s in sets]).to(device)
        kind = torch.cat([torch.full((len(s),), k) for k, s in enumerate(sets)])
        self.target = torch.stack([kind, torch.cat([s.label for s in sets])], 1).to(device)
        flip = torch.cat([torch.full((len(s),), f) for s, f in zip(sets, flips, strict=True)]).to(device)
        generator = torch.Generator().manual_seed(derive_seed(seed, "mirrored first"))
        even_first = torch.randint(2, (len(flip),), generator=generator) == 1
        self.augment = BatchAugmentation(flip, even_first.to(device), crop_padding, cutout)
        self._orders: dict[tuple[int, int], Tensor] = {}

    def at(self, step: int) -> Batch:
        """Return one step's batch."""
        rows, epochs, base = [], [], 0
        for k, (count, size) in enumerate(zip(self.counts, self.sizes, strict=True)):
            positions = torch.arange(step * count, (step + 1) * count)
            of_set = positions // size
            rows += [
                self._order(k, epoch, size)[positions[of_set == epoch] % size] + base
                for epoch in sorted(set(of_set.tolist()))
            ]
            epochs.append(of_set)
            base += size
        index, epoch = torch.cat(rows).to(self.device), torch.cat(epochs).to(self.device)
        generator = torch.Generator(self.device).manual_seed(derive_seed(self.seed, "changes", step))
        image = self.augment(self.image[index], index, epoch, generator)
        return Batch({"image": image}, self.target[index], index)

    def _order(self, k: int, epoch: int, size: int) -> Tensor:
        if (k, epoch) not in self._orders:
            self._orders = {key: o for key, o in self._orders.items() if key[0] != k or key[1] >= epoch - 1}
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", k, epoch))
            self._orders[k, epoch] = torch.randperm(size, generator=generator)
        return self._orders[k, epoch]
