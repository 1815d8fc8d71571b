"""Labels of rows: names of classes, their codes, their weights, and the errors a user can act on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import ColumnRoles


def single_column(frame: pd.DataFrame, roles: ColumnRoles, kind: str) -> str:
    """Return the one target column, raising ValueError when the roles name none, several or an absent one."""
    if len(roles.target) != 1:
        named = ", ".join(roles.target) or "none"
        raise ValueError(f"a {kind} target needs exactly one target column; data.target names {named}")
    require_columns(frame, roles.target)
    return roles.target[0]


def require_columns(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise ValueError naming target columns that the rows lack."""
    lacking = [c for c in columns if c not in frame.columns]
    if lacking:
        raise ValueError(
            f"target column {', '.join(map(repr, lacking))} is missing; the rows have {list(frame.columns)}"
        )


def class_name(value: object) -> str:
    """Return the name of a cell's class: whole numbers without a decimal point, texts without outer spaces."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def names_of(column: pd.Series) -> tuple[NDArray[np.int64], list[str]]:
    """Return each row's code into the list of distinct class names; code -1 where there is no label.

    Missing values and empty texts are no label. Raises ValueError for cells that are lists.
    """
    try:
        codes, values = pd.factorize(column, use_na_sentinel=True)
    except TypeError:
        raise ValueError(f"column {column.name!r} holds lists; use target=multilabel") from None
    names = [class_name(v) for v in values]
    distinct = list(dict.fromkeys(n for n in names if n))
    position = {name: i for i, name in enumerate(distinct)} | {"": -1}
    merged = np.array([position[n] for n in names] + [-1], np.int64)
    return merged[codes], distinct


def in_order(names: Sequence[str]) -> list[str]:
    """Return class names sorted: by size if all are numbers, else alphabetically."""
    try:
        return sorted(names, key=float)
    except ValueError:
        return sorted(names)


def encode_classes(
    frame: pd.DataFrame, column: str, classes: Sequence[str], rest: int | None = None
) -> Tensor:
    """Return each row's class as int64 (B,).

    With ``rest``, every other value is that class. Raises ValueError naming column, row and value for a row without
    a label or with an unknown class.
    """
    require_columns(frame, (column,))
    codes, names = names_of(frame[column])
    refuse_unlabelled(frame, column, codes < 0)
    position = {name: i for i, name in enumerate(classes)}
    found = np.array([position.get(n, -1 if rest is None else rest) for n in names], np.int64)[codes]
    if (found < 0).any():
        row = int(np.argmax(found < 0))
        raise ValueError(
            f"column {column!r}, row {frame.index[row]}: {names[codes[row]]!r} is none of the classes learnt "
            f"({listed(classes)}); correct the value, drop the row or train with this class"
        )
    return torch.from_numpy(found)


def refuse_unlabelled(frame: pd.DataFrame, column: str, without: NDArray[np.bool_]) -> None:
    """Raise ValueError naming the first row that has no label and how many there are."""
    if without.any():
        first = int(np.argmax(without))
        raise ValueError(
            f"column {column!r}, row {frame.index[first]} has no label ({int(without.sum())} of {len(frame)} rows "
            "have none); drop unlabelled rows or label them"
        )


def count_classes(frame: pd.DataFrame, column: str, classes: Sequence[str]) -> NDArray[np.int64]:
    """Count the rows of each class; rows without a label are left out."""
    codes, names = names_of(frame[column])
    counts = dict(zip(names, np.bincount(codes[codes >= 0], minlength=len(names)), strict=True))
    return np.array([counts.get(c, 0) for c in classes], np.int64)


def weights_of(counts: NDArray[np.int64], how: str) -> list[float]:
    """Return class weights with a mean of 1 over training rows: none, balanced (1/n) or sqrt (1/sqrt n).

    A weight depends on the class alone, so an example's loss never depends on the rest of its batch. The counts are
    statistics of the training rows: under differential privacy ``balanced`` and ``sqrt`` use them without noise.
    """
    if how == "none":
        return [1.0] * len(counts)
    raw = np.maximum(counts, 1.0) ** (-1.0 if how == "balanced" else -0.5)
    scale = counts.sum() / max(float((raw * counts).sum()), 1e-12)
    return [float(w) for w in np.where(counts > 0, raw * scale, 1.0)]


def listed(names: Sequence[str], most: int = 12) -> str:
    """Return names for a message, cut after a dozen."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, ... {len(names)} in all"
