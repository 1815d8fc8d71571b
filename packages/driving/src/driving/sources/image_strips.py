"""Vertical strips of pictures of 32 x 32 pixels, as the compact copies of GTSRB and CIFAR-10 hold them."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32


def strip_pictures(data: bytes, count: int, where: str) -> NDArray[np.uint8]:
    """Cut a strip into pictures (n, 32, 32, 3); ``ValueError`` says where one can't be decoded or has another size."""
    try:
        with Image.open(io.BytesIO(data)) as strip:
            pixels = np.asarray(strip.convert("RGB"))
    except (OSError, TypeError) as error:
        raise ValueError(f"{where}: the strip of pictures can't be decoded ({error})") from error
    if pixels.shape != (SIDE * count, SIDE, 3):
        raise ValueError(f"{where}: a strip of {count} pictures should be {SIDE} x {SIDE * count} pixels")
    return pixels.reshape(count, SIDE, SIDE, 3)


def ppm(pixels: NDArray[np.uint8]) -> bytes:
    """Write a picture (H, W, 3) as PPM, which needs no compression each way."""
    return b"P6\n%d %d\n255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes()
