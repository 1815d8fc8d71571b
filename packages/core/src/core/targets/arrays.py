"""The arrays that targets and predictions are made of. N rows, K classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Labels = NDArray[Any]
"""int64 classes or 0/1 labels; float64 for a regression."""
OneVsRest = dict[str, tuple[Array, Flags]]
"""Class -> its probability (N,) and whether it is the true one (N,)."""
