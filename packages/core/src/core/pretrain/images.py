"""Pictures for pretraining: read from strips, kept on the device, changed there batch by batch."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.nn import functional

from core.config import derive_seed
from core.data.readers.files import resolve_path
from core.data.roles import require_columns
from core.data.readers.table import read_table
from core.data.types import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

SIDE = 32


@dataclass
class Pictures:
    """N pictures of one set."""

    image: Tensor
    """(N, 3, 32, 32) uint8"""
    label: Tensor
    """(N,) int64"""
    unit: np.ndarray[Any, Any]
    """(N,) what belongs together: the track, or the picture itself"""

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: np.ndarray[Any, Any]) -> Pictures:
        """Give some of the pictures."""
        index = torch.from_numpy(rows)
        return Pictures(self.image[index], self.label[index], self.unit[rows])


def read(path: str, key: str, part: str, files: dict[str, str]) -> Pictures:
    """Read the pictures of one part of a set of strips and note the file's hash.

    Raises ValueError naming the file and row where a strip can't be decoded.
    """
    place = resolve_path(path, key)
    table = read_table(place)
    require_columns(table.frame, {key: ["split", "strip", "n", "labels", "image"]}, place)
    files.update(table.files)
    frame = table.frame[table.frame["split"] == part]
    if frame.empty:
        raise ValueError(f"{key}={path!r}: it has no rows of the {part} part")
    images, labels, units = [], [], []
    for row, strip in frame.iterrows():
        count = int(strip["n"])
        try:
            with Image.open(io.BytesIO(strip["image"])) as opened:
                pixels = np.asarray(opened.convert("RGB"))
        except OSError as error:
            raise ValueError(
                f"{place}, row {row}: the strip of pictures can't be decoded ({error})"
            ) from error
        if pixels.shape != (SIDE * count, SIDE, 3):
            raise ValueError(
                f"{place}, row {row}: a strip of {count} should be {SIDE} x {SIDE * count} pixels"
            )
        images.append(pixels.reshape(count, SIDE, SIDE, 3))
        labels.append(np.asarray(strip["labels"], dtype=np.int64))
        tracks = strip["tracks"] if "tracks" in frame else range(count)
        what = labels[-1] if "tracks" in frame else [strip["strip"]] * count
        units += [f"{a}-{t}" for a, t in zip(what, tracks, strict=True)]
    image = torch.from_numpy(np.concatenate(images)).permute(0, 3, 1, 2).contiguous()
    return Pictures(image, torch.from_numpy(np.concatenate(labels)), np.array(units))


def cut(pictures: Pictures, share: float, seed: int) -> tuple[Pictures, Pictures]:
    """Part by unit into what is trained on and a share that only watches, at least one unit of which is there."""
    codes, names = pd.factorize(pictures.unit)
    order = np.random.default_rng(derive_seed(seed, "held out")).permutation(len(names))
    watching = np.isin(codes, order[: max(1, round(share * len(names)))])
    return pictures.take(np.flatnonzero(~watching)), pictures.take(np.flatnonzero(watching))


@dataclass(frozen=True)
class Changes:
    """Random changes of a batch, picture by picture, on its device.

    A picture that may be mirrored is so in every second pass, so that two passes show both (Jordan 2024,
    arXiv:2404.00498, section 3.6).
    """

    flip: Tensor
    """(N,) bool: may the picture be mirrored? A traffic sign may not."""
    first: Tensor
    """(N,) bool: is it mirrored in the even passes, or in the odd ones?"""
    move: int
    cutout: int

    def __call__(
        self, image_BCHW: Tensor, rows_B: Tensor, passes_B: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Mirror, move and blank pictures (B, C, H, W) uint8; which they are, and which pass over its set it is."""
        b, _, h, w = image_BCHW.shape
        device = image_BCHW.device

        def draw(high: int) -> Tensor:
            return torch.randint(0, high, (b,), generator=generator, device=device)

        mirrored_B = self.flip[rows_B] & (self.first[rows_B] ^ (passes_B % 2 == 1))
        down_B, across_B = draw(2 * self.move + 1), draw(2 * self.move + 1)
        x = functional.pad(image_BCHW.float(), (self.move,) * 4, mode="reflect").to(torch.uint8)
        lines = torch.arange(h, device=device)[None] + down_B[:, None]
        places = torch.arange(w, device=device)
        places = torch.where(mirrored_B[:, None], places.flip(0)[None], places[None]) + across_B[:, None]
        each = torch.arange(b, device=device)[:, None, None]
        x = x[each, :, lines[:, :, None], places[:, None, :]].permute(0, 3, 1, 2)
        if self.cutout:
            top_B, left_B = draw(h), draw(w)
            half = self.cutout // 2
            rows = torch.arange(h, device=device)[None] - top_B[:, None]
            cols = torch.arange(w, device=device)[None] - left_B[:, None]
            hole = ((rows >= -half) & (rows < half))[:, :, None] & ((cols >= -half) & (cols < half))[:, None]
            x = torch.where(hole[:, None], torch.full_like(x, 120), x)  # about the mean of natural pictures
        return x.contiguous(memory_format=torch.channels_last)


class PictureBatches:
    """Batches of one or several sets in fixed shares: a pure function of (seed, step), everything on the device.

    Each set is gone through in an order of its own, drawn anew for each pass. ``targets`` (B, 2): set, class.
    """

    def __init__(
        self,
        sets: list[Pictures],
        counts: list[int],
        flips: list[bool],
        steps: int,
        seed: int,
        move: int,
        cutout: int,
        device: torch.device,
    ) -> None:
        """Take so many pictures of each set in each step."""
        self.counts, self.steps, self.seed, self.device = counts, steps, seed, device
        self.sizes = [len(s) for s in sets]
        self.image = torch.cat([s.image for s in sets]).to(device)
        kind = torch.cat([torch.full((len(s),), k) for k, s in enumerate(sets)])
        self.target = torch.stack([kind, torch.cat([s.label for s in sets])], 1).to(device)
        flip = torch.cat([torch.full((len(s),), f) for s, f in zip(sets, flips, strict=True)]).to(device)
        generator = torch.Generator().manual_seed(derive_seed(seed, "mirrored first"))
        first = torch.randint(2, (len(flip),), generator=generator) == 1
        self.changes = Changes(flip, first.to(device), move, cutout)
        self._orders: dict[tuple[int, int], Tensor] = {}

    def from_step(self, start: int) -> Iterator[Batch]:
        """Yield the batches from a step on."""
        for step in range(start, self.steps):
            yield self.at(step)

    def at(self, step: int) -> Batch:
        """Give one step's batch."""
        rows, passes, base = [], [], 0
        for k, (count, size) in enumerate(zip(self.counts, self.sizes, strict=True)):
            places = torch.arange(step * count, (step + 1) * count)
            turns = places // size
            rows += [
                self._order(k, turn, size)[places[turns == turn] % size] + base
                for turn in sorted(set(turns.tolist()))
            ]
            passes.append(turns)
            base += size
        index, turn = torch.cat(rows).to(self.device), torch.cat(passes).to(self.device)
        generator = torch.Generator(self.device).manual_seed(derive_seed(self.seed, "changes", step))
        image = self.changes(self.image[index], index, turn, generator)
        return Batch({"image": image}, self.target[index], index)

    def _order(self, k: int, turn: int, size: int) -> Tensor:
        if (k, turn) not in self._orders:
            self._orders = {key: o for key, o in self._orders.items() if key[0] != k or key[1] >= turn - 1}
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", k, turn))
            self._orders[k, turn] = torch.randperm(size, generator=generator)
        return self._orders[k, turn]
