"""Labels as the splits and checks need them: counts per class, per quantile of a number, per label of a set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.types import Dataset
from core.data.values import is_numbers, to_names, to_numbers

CLASSES = 30
"""A numeric target with more distinct values, or with fractions, is a quantity rather than classes."""
_QUANTILES = 10


def is_quantity(values: pd.Series[Any]) -> bool:
    """Whether a target column is a number to be estimated rather than a class."""
    if not is_numbers(values):
        return False
    numbers = values.dropna().to_numpy(dtype=np.float64)
    return bool((numbers != np.floor(numbers)).any()) or len(np.unique(numbers)) > CLASSES


def is_label_set(values: pd.Series[Any]) -> bool:
    """Whether a target column holds lists of labels."""
    first = next((v for v in values.to_numpy(object) if v is not None), None)
    return isinstance(first, list | tuple | set | np.ndarray)


def label_matrix(dataset: Dataset) -> tuple[NDArray[np.float64], list[str]]:
    """Give 0/1 labels (N, K) and their names: classes, label sets, 0/1 columns, or quantile bands of a quantity."""
    frame, target = dataset.frame, dataset.fields.target
    if len(target) > 1:
        return np.column_stack([to_numbers(frame[c], c) for c in target]), list(target)
    if not target:
        return np.zeros((len(frame), 0)), []
    values = frame[target[0]]
    if is_label_set(values):
        sets = [[str(x) for x in v] if v is not None else [] for v in values.to_numpy(object)]
        names = sorted({x for s in sets for x in s})
        at = {name: i for i, name in enumerate(names)}
        matrix = np.zeros((len(frame), len(names)))
        for row, labels in enumerate(sets):
            matrix[row, [at[x] for x in labels]] = 1.0
        return matrix, names
    if is_quantity(values):
        numbers = to_numbers(values, target[0])
        edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, _QUANTILES + 1)[1:-1]))
        codes = np.searchsorted(edges, numbers, side="right")
        return np.eye(len(edges) + 1)[codes], [f"band {i + 1}" for i in range(len(edges) + 1)]
    codes, uniques = pd.factorize(to_names(values), sort=True)
    return np.vstack([np.eye(len(uniques)), np.zeros(len(uniques))])[codes], [str(u) for u in uniques]


def label_counts(dataset: Dataset) -> NDArray[np.float64]:
    """Give the labels to keep in proportion, shape (N, K)."""
    return label_matrix(dataset)[0]
