"""Dense predictions: probabilities at the places of a network's feature grid, beside the ground truth there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from core.targets.scorer import Scorer
    from core.targets.types import Array, Labels

AT_ONCE = 16


def iter_feature_grid(
    scorer: Scorer, frame: pd.DataFrame, targets: Labels, chosen: NDArray[np.int64]
) -> Iterator[tuple[Array, Labels, Labels]]:
    """Yield probabilities (n, K, h, w), predicted and true classes (n, h, w) of chosen rows, a few rows at a time.

    ``frame`` and ``targets`` (N, H, W) are of one set. Between places of the network's map probabilities are
    interpolated and say nothing new, so the masks are read at those places; true classes of K or more are none.
    """
    for start in range(0, len(chosen), AT_ONCE):
        piece = chosen[start : start + AT_ONCE]
        found = scorer.scores(frame.iloc[piece])
        labels, truth = scorer.labels(found), targets[piece]
        step = (truth.shape[1] / found.shape[2], truth.shape[2] / found.shape[3])
        down = ((np.arange(found.shape[2]) + 0.5) * step[0]).astype(np.int64)
        across = ((np.arange(found.shape[3]) + 0.5) * step[1]).astype(np.int64)
        at = np.ix_(np.arange(len(piece)), down, across)
        yield found, labels[at], truth[at]
