"""Brightness of images, by their mean luma."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in luma (ITU-R BT.601)."""


def mean_luma(images: pd.Series[Any]) -> NDArray[np.float64]:
    """Return the mean luma of encoded images or files, rounded, from 0 to 255, (N,)."""
    from PIL import Image

    from core.data.encoders.images import open_image

    means = []
    for row, value in images.items():
        with open_image(value, row, str(images.name)) as image:
            small = image.convert("RGB").resize((32, 32), Image.Resampling.BOX)
        means.append(float((np.asarray(small, np.float32) @ LUMA_WEIGHTS).mean()))
    return np.round(np.array(means))
