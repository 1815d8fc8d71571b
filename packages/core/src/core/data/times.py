"""The one parser of points in time: dates, date-times and numbers become numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_datetime64_any_dtype

from core.data.coercion import format_rows, is_missing, is_numeric, to_numbers

_DAY = 86_400 * 10**9


def to_times(values: pd.Series[Any], column: str) -> NDArray[np.float64]:
    """Read dates as days since 1970 (UTC) and numbers as they are, NaN for missing. Shape (N,).

    Dates may be text (ISO 8601, or another format that pandas infers); anything else raises ``ValueError`` with
    column and row.

    >>> to_times(pd.Series(["1970-01-02", "1970-01-02T12:00:00", None], dtype=object), "when").tolist()
    [1.0, 1.5, nan]
    """
    if is_numeric(values):
        return to_numbers(values, column)
    missing = is_missing(values)
    if not is_datetime64_any_dtype(values.dtype):
        text = values.where(~missing, None)
        numbers = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        if not np.isnan(numbers[~missing]).any():
            return numbers
        read = pd.to_datetime(text, errors="coerce", utc=True, format="ISO8601")
        if read.isna().to_numpy()[~missing].any():
            read = pd.to_datetime(text, errors="coerce", utc=True)
        wrong = read.isna().to_numpy() & ~missing
        if wrong.any():
            raise ValueError(
                f"column {column!r} should hold dates or numbers but has {values[wrong].iloc[0]!r} in "
                f"{format_rows(values.index[wrong])}: write dates as 2026-01-31 or 2026-01-31T08:15:00"
            )
        values = read
    nanoseconds = pd.DatetimeIndex(values).as_unit("ns").asi8.astype(np.float64)
    return np.where(missing, np.nan, nanoseconds / _DAY)
