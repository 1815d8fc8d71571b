"""What rows have that training had not: categories, numbers out of range, missing values; by column and by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.data.coercion import is_missing, to_categories, to_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.data.encoders.categorical import CategoricalColumns
    from core.data.encoders.numeric import NumericColumns
    from core.data.types import Encoder

_ROUNDING = 1e-6
_NAMES = 5


@dataclass(frozen=True)
class ColumnComparison:
    """One input column of new rows beside training's."""

    column: str
    rows: int
    missing: int
    unseen: tuple[str, ...] = ()
    """Categories that training never had, or had too rarely to keep their names."""
    unseen_rows: int = 0
    outside: int = 0
    """Rows below the lowest or above the highest number of training."""
    low: float | None = None
    high: float | None = None

    @property
    def differs(self) -> bool:
        """Return whether rows have what training had not, or no value at all."""
        return bool(self.unseen_rows or self.outside or self.missing == self.rows)

    def sentence(self) -> str:
        """Return the counts in words."""
        said = []
        if self.unseen_rows:
            shown = ", ".join(repr(name[:40]) for name in self.unseen[:_NAMES])
            more = f" and {len(self.unseen) - _NAMES} more" if len(self.unseen) > _NAMES else ""
            said.append(
                f"{self.unseen_rows} of {self.rows} rows have a category that training did not keep ({shown}{more})"
            )
        if self.outside:
            said.append(
                f"{self.outside} of {self.rows} rows lie outside the training range {self.low:g} to {self.high:g}"
            )
        if self.missing == self.rows:
            said.append("no row has a value")
        return f"{self.column}: {'; '.join(said)}"


def compare_with_training(encoder: Encoder, frame: pd.DataFrame) -> tuple[list[ColumnComparison], list[str]]:
    """Return the comparison of each input column, and for each row what it has that training had not."""
    inner = getattr(encoder, "inner", encoder)
    compared: list[ColumnComparison] = []
    rows: list[list[str]] = [[] for _ in range(len(frame))]
    found = [
        *_categories(getattr(inner, "categorical", None), frame),
        *_numbers(getattr(inner, "numeric", None), frame),
    ]
    for comparison, odd, cells in found:
        compared.append(comparison)
        for row in np.flatnonzero(odd):
            rows[row].append(f"{comparison.column}={cells[row]}")
    return compared, ["; ".join(row) for row in rows]


_Found = tuple[ColumnComparison, "NDArray[np.bool_]", "NDArray[Any]"]


def _categories(columns: CategoricalColumns | None, frame: pd.DataFrame) -> Iterator[_Found]:
    if columns is None:
        return
    for column, kept in zip(columns.columns, columns.kept, strict=True):
        if column not in frame:
            continue
        names = to_categories(frame[column])
        gone = np.array([name is None for name in names], dtype=bool)
        odd = ~gone & ~np.isin(np.where(gone, "", names).astype(str), list(kept))
        unseen = tuple(dict.fromkeys(str(name) for name in names[odd]))
        yield (
            ColumnComparison(column, len(frame), int(gone.sum()), unseen, int(odd.sum())),
            odd,
            names,
        )


def _numbers(columns: NumericColumns | None, frame: pd.DataFrame) -> Iterator[_Found]:
    if columns is None:
        return
    for i, column in enumerate(columns.columns):
        if column not in frame:
            continue
        values = to_numbers(frame[column], column)
        low, high = _range(columns, i)
        slack = _ROUNDING * max(abs(low), abs(high), 1e-300)
        odd = (values < low - slack) | (values > high + slack)
        missing = int((np.isnan(values) | is_missing(frame[column])).sum())
        yield (
            ColumnComparison(column, len(frame), missing, outside=int(odd.sum()), low=low, high=high),
            odd,
            np.array([f"{value:g}" for value in values], dtype=object),
        )


def _range(columns: NumericColumns, i: int) -> tuple[float, float]:
    """Return the lowest and highest number of training that the encoder keeps."""
    if columns.scaling == "quantile" and columns.references:
        return columns.references[i][0], columns.references[i][-1]
    edges = columns.edges[i]
    mean, scale = float(columns.mean[i]), float(columns.scale[i])
    return mean + scale * edges[0], mean + scale * edges[-1]
