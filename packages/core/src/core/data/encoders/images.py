"""Images from encoded bytes or files: turned upright, color or gray, one size; errors name the row."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from core.data.encoders.storage import DenseRows, LazyRows, Storage
from core.data.types import Layout

if TYPE_CHECKING:
    from core.data.encoder_config import ImageEncoding
    from core.data.types import Json

LARGEST = 224
"""Size chosen at most where none was asked for."""
_SAMPLE = 200


@dataclass
class ImageColumn:
    """The image column. C channels; a backbone sees ``size``, ``pre_crop_size`` is kept for random crops."""

    column: str
    channels: int
    size: tuple[int, int]
    pre_crop_size: tuple[int, int]
    """(height, width)"""
    resize_mode: str
    cache_mib: int

    @classmethod
    def fit(cls, config: ImageEncoding, column: str, frame: pd.DataFrame) -> ImageColumn:
        """Choose the size: the configured one, else the commonest among (up to 200) training images, at most 224."""
        size = (config.size, config.width or config.size)
        if not config.size:
            step = max(1, len(frame) // _SAMPLE)
            size = _common_size(frame[column].iloc[::step])
        source = (config.pre_crop_size, config.pre_crop_size) if config.pre_crop_size else size
        if source[0] < size[0] or source[1] < size[1]:
            raise ValueError(
                f"encoder.image.pre_crop_size={config.pre_crop_size} is smaller than the image size {size[0]}"
            )
        return cls(column, config.channels, size, source, config.resize_mode, config.cache_mib)

    def encode(self, frame: pd.DataFrame) -> dict[str, Storage]:
        """Return ``image`` (N, C, H, W) uint8: decoded now where memory allows, else batch by batch."""
        values = frame[self.column]
        per_image = self.channels * self.pre_crop_size[0] * self.pre_crop_size[1]
        if per_image * len(frame) <= self.cache_mib * 2**20:
            return {"image": DenseRows(self._decoded(values))}
        for row, value in values.items():
            open_image(
                value, row, self.column
            ).close()  # what is no image at all is reported before training starts
        return {"image": LazyRows(len(frame), lambda index: self._decoded(values.iloc[index]))}

    def _decoded(self, values: pd.Series[Any]) -> Tensor:
        pixels = np.empty((len(values), *self.pre_crop_size, self.channels), np.uint8)

        def decode(place: int) -> None:
            pixels[place] = self._pixels(values.iloc[place], values.index[place])

        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # Pillow frees the interpreter lock
            list(pool.map(decode, range(len(values)), chunksize=16))
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()

    def _pixels(self, value: object, row: object) -> NDArray[np.uint8]:
        height, width = self.pre_crop_size
        with open_image(value, row, self.column) as image:
            try:
                if self.resize_mode == "stretch":
                    image.draft("RGB" if self.channels == 3 else "L", (2 * width, 2 * height))
                upright = ImageOps.exif_transpose(image)
                shown = _eight_bits(upright).convert("RGB" if self.channels == 3 else "L")
                if self.resize_mode == "crop":
                    shown = ImageOps.fit(shown, (width, height), Image.Resampling.BILINEAR)
                elif self.resize_mode == "pad":
                    shown = ImageOps.pad(shown, (width, height), Image.Resampling.BILINEAR)
                elif shown.size != (width, height):
                    shown = shown.resize((width, height), Image.Resampling.BILINEAR)
            except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
                raise undecodable(self.column, row, value, error) from error
        return np.asarray(shown, dtype=np.uint8).reshape(height, width, self.channels)

    def layout(self, layout: Layout) -> Layout:
        """Add the image's shape to the layout."""
        return replace(layout, image=(self.channels, *self.size))

    def state(self) -> dict[str, Json]:
        """Return what ``restore`` needs, as JSON."""
        return {"size": list(self.size), "source": list(self.pre_crop_size)}

    @classmethod
    def restore(cls, config: ImageEncoding, column: str, state: Mapping[str, Json]) -> ImageColumn:
        """Rebuild from ``state()``."""
        (h, w), (sh, sw) = state["size"], state["source"]
        return cls(column, config.channels, (h, w), (sh, sw), config.resize_mode, config.cache_mib)


def undecodable(column: str, row: object, value: object, error: Exception) -> ValueError:
    """Return the error for an image that can't be decoded."""
    named = f" ({value})" if isinstance(value, str | Path) else ""
    return ValueError(
        f"column {column!r}, row {row}{named}: the image can't be decoded ({error}): replace or remove it"
    )


def open_image(value: object, row: object, column: str) -> Image.Image:
    """Open an image from encoded bytes or a file, raising ``ValueError`` with column and row for what is none."""
    if isinstance(value, Mapping):  # Hugging Face's layout of an image in Parquet
        value = value["bytes"] if value.get("bytes") is not None else value.get("path")
    if isinstance(value, bytes):
        source: io.BytesIO | str | Path = io.BytesIO(value)
    elif isinstance(value, str | Path) and value != "":
        source = value
    else:
        raise ValueError(f"column {column!r}, row {row}: there is no image: remove the row")
    try:
        return Image.open(source)
    except FileNotFoundError as error:
        raise ValueError(f"column {column!r}, row {row}: no file {value!r}") from error
    except (OSError, Image.DecompressionBombError) as error:
        raise undecodable(column, row, value, error) from error


def _eight_bits(image: Image.Image) -> Image.Image:
    """Reduce 16-bit gray (X-rays, microscopes) to 8 bits; raise ValueError for floats, whose range is unknown."""
    if image.mode.startswith("I;16") or image.mode == "I":
        return Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; save it with 8 or 16 bits")
    return image


def _common_size(values: pd.Series[Any]) -> tuple[int, int]:
    """Return the commonest (height, width), square and at most 224 where sizes differ or are larger."""
    sizes: Counter[tuple[int, int]] = Counter()
    for row, value in values.items():
        with open_image(value, row, str(values.name)) as image:
            sizes[(image.height, image.width)] += 1
    (height, width), count = sizes.most_common(1)[0]
    if count == sum(sizes.values()) and max(height, width) <= LARGEST:
        return height, width
    side = min(LARGEST, _median(min(s) for s in sizes.elements()))
    return side, side


def _median(values: Iterable[int]) -> int:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
