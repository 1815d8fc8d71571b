"""Vertical strips of images of 32 x 32 pixels: the layout of the compact copies of GTSRB and CIFAR-10."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32


def split_strip(data: bytes, count: int, where: str) -> NDArray[np.uint8]:
    """Return the images (n, 32, 32, 3) of a strip; ``ValueError`` if it can't be decoded or has another size."""
    try:
        with Image.open(io.BytesIO(data)) as strip:
            pixels = np.asarray(strip.convert("RGB"))
    except (OSError, TypeError) as error:
        raise ValueError(f"{where}: the strip of images can't be decoded ({error})") from error
    if pixels.shape != (SIDE * count, SIDE, 3):
        raise ValueError(f"{where}: a strip of {count} images should be {SIDE} x {SIDE * count} pixels")
    return pixels.reshape(count, SIDE, SIDE, 3)


def encode_ppm(pixels: NDArray[np.uint8]) -> bytes:
    """Return an image (H, W, 3) encoded as PPM, which needs no compression."""
    return b"P6\n%d %d\n255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes()
