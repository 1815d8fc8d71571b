"""What of a picture is told without a model: how bright it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in brightness (ITU-R BT.601)."""


def brightness(pictures: pd.Series[Any]) -> NDArray[np.float64]:
    """Give the mean luma of encoded pictures or files, rounded, from 0 to 255, (N,)."""
    from PIL import Image

    from core.data.encoders.images import open_image

    means = []
    for row, value in pictures.items():
        with open_image(value, row, str(pictures.name)) as picture:
            small = picture.convert("RGB").resize((32, 32), Image.Resampling.BOX)
        means.append(float((np.asarray(small, np.float32) @ LUMA).mean()))
    return np.round(np.array(means))
