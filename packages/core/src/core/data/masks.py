"""Masks: images whose pixels are class numbers, from encoded bytes or files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from core.data.encoders.images import open_image, undecodable

if TYPE_CHECKING:
    import pandas as pd

IGNORE_INDEX = 255
"""The value of a pixel without a class: it counts neither in the loss nor in any metric (torch: ``ignore_index``)."""
_NUMBERS = ("L", "P", "1", "I", "I;16", "I;16B", "I;16L")
_SAMPLE = 200
_LARGEST = 512


def read_masks(values: pd.Series[Any], size: tuple[int, int] | None, classes: int) -> list[NDArray[np.uint8]]:
    """Read class numbers, (H, W) each, in a size (height, width) or their own; others than 0..classes - 1 become 255.

    Sizes are changed without mixing neighbors. Raises ``ValueError`` naming column and row for what is no mask.
    """
    found = []
    for row, value in values.items():
        with open_image(value, row, str(values.name)) as image:
            if image.mode not in _NUMBERS:
                raise ValueError(
                    f"column {values.name!r}, row {row}: a mask holds one class number a pixel, this image has mode "
                    f"{image.mode}: save it with one channel (8-bit gray, or a palette)"
                )
            try:
                upright = ImageOps.exif_transpose(image)
                if size is not None and upright.size != (size[1], size[0]):
                    upright = upright.resize((size[1], size[0]), Image.Resampling.NEAREST)
                numbers = np.asarray(upright).astype(np.int64)
            except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
                raise undecodable(str(values.name), row, value, error) from error
        found.append(np.where((numbers >= 0) & (numbers < classes), numbers, IGNORE_INDEX).astype(np.uint8))
    return found


def to_png(codes_HW: NDArray[np.uint8]) -> bytes:
    """Encode class numbers as a gray PNG, which keeps them exactly."""
    out = io.BytesIO()
    Image.fromarray(codes_HW).save(out, "PNG")
    return out.getvalue()


def mask_size(values: pd.Series[Any]) -> tuple[tuple[int, int], bool]:
    """Return the (height, width) of masks and whether all of (up to 200) masks have it.

    Where sizes differ it is the medians', shrunk to at most 512 pixels.
    """
    sizes = []
    for row, value in values.iloc[:: max(1, len(values) // _SAMPLE)].items():
        with open_image(value, row, str(values.name)) as image:
            sizes.append((image.height, image.width))
    if len(set(sizes)) == 1:
        return sizes[0], True
    height, width = (float(np.median([size[side] for size in sizes])) for side in (0, 1))
    shrink = min(1.0, _LARGEST / max(height, width))
    return (round(height * shrink), round(width * shrink)), False


def classes_present(values: pd.Series[Any], classes: int) -> NDArray[np.float64]:
    """Return which classes each mask shows, (N, K) 0/1."""
    present = np.zeros((len(values), classes))
    for n, numbers in enumerate(read_masks(values, None, classes)):
        seen = np.bincount(numbers.ravel(), minlength=IGNORE_INDEX + 1)[:classes]
        present[n] = seen > 0
    return present
