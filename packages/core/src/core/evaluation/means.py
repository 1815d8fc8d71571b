"""Categories of many values as numbers: the mean of the truth among a category's training rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.types import Array

FOLDS = 5
PRIOR_ROWS = 20.0
"""Rows' worth of the overall mean that every category is given: rare ones stay near it."""


class MeanEncoder:
    """Smoothed, cross-fitted target means (Micci-Barreca 2001).

    A training row's mean never contains its own truth, nor that of its fold: otherwise rare categories would
    give the answer away in training and nothing afterwards.
    """

    def __init__(self, random: int) -> None:
        self.random = random
        self.tables: list[dict[str, NDArray[np.float64]]] = []
        self.overall: NDArray[np.float64] = np.zeros(0)

    def fit_transform(self, names: NDArray[Any], truth: Array) -> Array:
        """Learn from names (N, C) and truth (N, K), and encode the same rows, (N, C * K), out of fold."""
        n = len(names)
        fold = np.random.default_rng(self.random).permutation(n) % FOLDS
        encoded = np.empty((n, names.shape[1] * truth.shape[1]))
        for k in range(FOLDS if n >= FOLDS else 0):
            inside = fold != k
            self._learn(names[inside], truth[inside])
            encoded[~inside] = self.transform(names[~inside])
        self._learn(names, truth)
        return encoded if n >= FOLDS else self.transform(names)

    def transform(self, names: NDArray[Any]) -> Array:
        """Encode further rows; a category that training never saw gets the overall mean."""
        columns = [
            np.stack([table.get(name, self.overall) for name in column])
            for table, column in zip(self.tables, names.T, strict=True)
        ]
        return np.concatenate(columns, axis=1)

    def _learn(self, names: NDArray[Any], truth: Array) -> None:
        self.overall = truth.mean(axis=0)
        self.tables = []
        for column in names.T:
            known, code = np.unique(column.astype(str), return_inverse=True)
            count = np.bincount(code, minlength=len(known))[:, None]
            total = np.stack([np.bincount(code, t, len(known)) for t in truth.T], axis=1)
            mean = (total + PRIOR_ROWS * self.overall) / (count + PRIOR_ROWS)
            self.tables.append(dict(zip(known.tolist(), mean, strict=True)))
