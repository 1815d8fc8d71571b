"""Labels as splits and checks need them: counts per class, per quantile bin of a number, per label of a set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.coercion import is_numeric, to_categories, to_numbers
from core.data.masks import classes_present
from core.data.types import Dataset

CLASSES = 20
"""Whole numbers with more distinct values, or numbers with fractions, are a quantity rather than classes."""
SEPARATOR = ";"
"""Between the labels of a cell that holds several."""
_QUANTILES = 10
_YES = ("1", "true", "yes")


def is_quantity(values: pd.Series[Any]) -> bool:
    """Return whether a target column is a number to be estimated rather than a class."""
    if not is_numeric(values):
        return False
    numbers = np.unique(values.dropna().to_numpy(dtype=np.float64))
    return bool((numbers != np.floor(numbers)).any()) or len(numbers) > CLASSES


def label_sets(values: pd.Series[Any]) -> list[list[str]] | None:
    """Read a target column of lists, or of texts such as ``a;b``, as sets of labels; None where it is neither.

    >>> label_sets(pd.Series(["heart; lung", "lung", ""]))
    [['heart', 'lung'], ['lung'], []]
    """
    cells = values.to_numpy(dtype=object)
    first = next((v for v in cells if v is not None), None)
    if isinstance(first, list | tuple | set | np.ndarray):
        return [[] if v is None else [str(x) for x in v] for v in cells]
    if isinstance(first, str) and any(SEPARATOR in v for v in pd.unique(cells) if isinstance(v, str)):
        return [
            [x for x in (p.strip() for p in str(n or "").split(SEPARATOR)) if x]
            for n in to_categories(values)
        ]
    return None


def is_label_set(values: pd.Series[Any]) -> bool:
    """Return whether a target column holds sets of labels."""
    return label_sets(values) is not None


def label_matrix(dataset: Dataset) -> tuple[NDArray[np.float64], list[str]]:
    """Return 0/1 labels (N, K) and their names.

    Classes, label sets, yes/no columns, quantile bins of a quantity, or the classes that a mask shows.
    """
    frame, target = dataset.frame, dataset.roles.target
    if dataset.roles.mask_classes and target:
        names = list(dataset.roles.mask_classes)
        return classes_present(frame[target[0]], len(names)), names
    if len(target) > 1:
        flags = [[str(n).lower() in _YES for n in to_categories(frame[c])] for c in target]
        return np.array(flags, dtype=np.float64).T, list(target)
    if not target:
        return np.zeros((len(frame), 0)), []
    values = frame[target[0]]
    sets = label_sets(values)
    if sets is not None:
        names = sorted({x for s in sets for x in s})
        at = {name: i for i, name in enumerate(names)}
        matrix = np.zeros((len(frame), len(names)))
        for row, labels in enumerate(sets):
            matrix[row, [at[x] for x in labels]] = 1.0
        return matrix, names
    if dataset.ordinal_target or is_quantity(values):
        numbers = to_numbers(values, target[0])
        edges = np.unique(np.nanquantile(numbers, np.linspace(0, 1, _QUANTILES + 1)[1:-1]))
        codes = np.searchsorted(edges, numbers, side="right")
        return np.eye(len(edges) + 1)[codes], [f"bin {i + 1}" for i in range(len(edges) + 1)]
    codes, uniques = pd.factorize(to_categories(values), sort=True)
    return np.vstack([np.eye(len(uniques)), np.zeros(len(uniques))])[codes], [str(u) for u in uniques]


def label_counts(dataset: Dataset) -> NDArray[np.float64]:
    """Return the labels to stratify by, shape (N, K)."""
    return label_matrix(dataset)[0]
