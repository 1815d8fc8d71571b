"""The one parser of points in time: dates, date-times and numbers become numbers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_datetime64_any_dtype

from core.data.coercion import format_rows, is_missing, is_numeric, to_numbers
from core.data.date_text import PARTS, to_iso

_DAY = 86_400 * 10**9
_YEARS = (1678, 2261)
"""Years that nanoseconds reach."""
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?( ?[AaPp][Mm])?$")
ORDERS = ("number", "compact", "ymd", "dmy", "mdy")
"""How times are written: numbers, 20240131, 2024-01-31, 31/01/2024, 01/31/2024."""


def settle_order(values: pd.Series[Any], column: str, asked: str = "auto") -> str:
    """Return how a column of times is written (``ORDERS``), told by all its rows.

    Raises ``ValueError`` with the rows that contradict one another, and with the key where no row tells.

    >>> settle_order(pd.Series(["03/04/2024", "20/04/2024"]), "when"), settle_order(pd.Series([20240131]), "when")
    ('dmy', 'compact')
    """
    if is_numeric(values) or is_datetime64_any_dtype(values.dtype):
        return "compact" if is_numeric(values) and _compact(values).all() else "number"
    present = values[~is_missing(values)]
    texts = present.astype("str").str.strip()
    numbers = pd.to_numeric(texts, errors="coerce")
    if len(texts) and numbers.notna().all():
        return "compact" if _compact(numbers).all() else "number"
    parts = [PARTS.match(text) for text in texts]
    known = np.array([part is not None for part in parts], dtype=bool)
    if not known.any():
        clock = texts.map(lambda v: bool(_CLOCK.match(v))).to_numpy(dtype=bool)
        if clock.any():
            raise ValueError(
                f"column {column!r} has a time of day without a date, {texts[clock].iloc[0]!r}, in "
                f"{format_rows(texts.index[clock])}: join it with the column of the date"
            )
        return "ymd"
    first = np.array([int(part[1]) if part else 0 for part in parts])
    second = np.array([int(part[3]) if part else 0 for part in parts])
    day_first, month_first = first > 12, second > 12
    if asked in ("dmy", "mdy"):
        wrong = month_first if asked == "dmy" else day_first
        if wrong.any():
            raise ValueError(
                f"column {column!r} has {texts[wrong].iloc[0]!r} in {format_rows(texts.index[wrong])}, which is no "
                f"date in data.date_order={asked}"
            )
        return asked
    if day_first.any() and month_first.any():
        raise ValueError(
            f"column {column!r} mixes orders of dates: {texts[day_first].iloc[0]!r} in "
            f"{format_rows(texts.index[day_first])}, {texts[month_first].iloc[0]!r} in "
            f"{format_rows(texts.index[month_first])}: write one"
        )
    if day_first.any() or month_first.any():
        return "dmy" if day_first.any() else "mdy"
    raise ValueError(
        f"column {column!r} may have the day or the month first ({texts[known].iloc[0]!r}; no row tells): "
        "set data.date_order=dmy or data.date_order=mdy"
    )


def read_times(values: pd.Series[Any], column: str, order: str) -> pd.Series[Any]:
    """Return a column of times as dates (UTC), or as the numbers they are.

    >>> read_times(pd.Series(["03/04/2024 09:00", None]), "when", "dmy").tolist()
    [Timestamp('2024-04-03 09:00:00'), NaT]
    """
    if is_datetime64_any_dtype(values.dtype):
        return values
    if order == "number":
        return values if is_numeric(values) else pd.Series(to_numbers(values, column), index=values.index)
    missing = is_missing(values)
    if order == "compact":
        numbers = to_numbers(values, column)
        texts = [None if np.isnan(n) else f"{int(n):08d}" for n in numbers]
    else:
        texts = [
            None if gone else to_iso(str(v), order)
            for v, gone in zip(values.to_numpy(dtype=object), missing, strict=True)
        ]
    form = "%Y%m%d" if order == "compact" else "ISO8601"
    read = pd.to_datetime(
        pd.Series(texts, index=values.index, dtype=object), errors="coerce", utc=True, format=form
    )
    wrong = read.isna().to_numpy() & ~missing
    if wrong.any():
        raise ValueError(
            f"column {column!r} should hold dates or numbers but has {values[wrong].iloc[0]!r} in "
            f"{format_rows(values.index[wrong])}: write dates as 2026-01-31 or 2026-01-31T08:15:00, or say their "
            "order with data.date_order"
        )
    return read.dt.tz_localize(None)


def to_times(values: pd.Series[Any], column: str) -> NDArray[np.float64]:
    """Read dates as days since 1970 (UTC) and numbers as they are, NaN for missing. Shape (N,).

    Dates may be text: ISO 8601, or in an order that the column tells; anything else raises ``ValueError`` with
    column and row.

    >>> to_times(pd.Series(["1970-01-02", "1970-01-02T12:00:00", None], dtype=object), "when").tolist()
    [1.0, 1.5, nan]
    """
    if is_numeric(values):
        return to_numbers(values, column)
    missing = is_missing(values)
    if not is_datetime64_any_dtype(values.dtype):
        order = settle_order(values, column)
        values = read_times(values, column, "number" if order == "compact" else order)
        if is_numeric(values):
            return values.to_numpy(dtype=np.float64)
    stamps = pd.DatetimeIndex(values)
    beyond = ~missing & ((stamps.year < _YEARS[0]) | (stamps.year > _YEARS[1]))
    if beyond.any():
        raise ValueError(
            f"column {column!r} has {values[beyond].iloc[0]:%Y-%m-%d} in {format_rows(values.index[beyond])}: no date "
            f"of the years {_YEARS[0]} to {_YEARS[1]}; if it means missing, list it in data.missing"
        )
    nanoseconds = stamps.as_unit("ns").asi8.astype(np.float64)
    return np.where(missing, np.nan, nanoseconds / _DAY)


def _compact(values: pd.Series[Any]) -> NDArray[np.bool_]:
    """Return which numbers are dates such as 20240131."""
    numbers = values.dropna().to_numpy(dtype=np.float64)
    if not len(numbers):
        return np.zeros(1, dtype=bool)
    whole = np.where(np.isfinite(numbers), numbers, 0.0)
    month, day = whole // 100 % 100, whole % 100
    return np.asarray(
        (whole == np.floor(whole))
        & (whole >= 19_000_101)
        & (whole < 21_010_101)
        & (month >= 1)
        & (month <= 12)
        & (day >= 1)
        & (day <= 31)
    )
