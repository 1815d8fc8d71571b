"""Rank correlation of two explanations of the same row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from core.targets.types import Array


def rank_correlation(effects: Array, others: Array, sizes_only: bool = False) -> Array:
    """Give Spearman's correlation of each row's effects, (N, P) each, (N,).

    Parts that are NaN in either are left out; NaN for a row of fewer than three parts or without differences.
    ``sizes_only`` compares absolute effects, as for explanations without sign.
    """
    found = np.full(len(effects), np.nan)
    for row, (a, b) in enumerate(zip(effects, others, strict=True)):
        both = ~(np.isnan(a) | np.isnan(b))
        if both.sum() < 3:
            continue
        x, y = (np.abs(a[both]), np.abs(b[both])) if sizes_only else (a[both], b[both])
        x, y = _ranks(x), _ranks(y)
        if np.ptp(x) and np.ptp(y):
            found[row] = np.corrcoef(x, y)[0, 1]
    return found


def _ranks(values: Array) -> Array:
    """Rank values, equal ones at the mean of their places."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[which], np.float64)
