"""What a raw cell means, defined once for training rows and for rows that come years later.

One reader of a cell for every verb: numbers, category names, texts, and what is missing. Times are read by
``core.data.times``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype

from core.data.readers.settings import MISSING

if TYPE_CHECKING:
    from core.data.types import Json

_DECIMAL = re.compile(r"-?(0|[1-9]\d*)\.\d+")

_MARKERS = frozenset(MISSING)


def is_missing(values: pd.Series[Any]) -> NDArray[np.bool_]:
    """Return which values are missing: null, or a blank text. Shape (N,).

    What else means missing in a text file is gone when the file is read: here, NA is a name (of Namibia, of a class).

    >>> is_missing(pd.Series(["3", " ", None, "None", "NA"], dtype=object)).tolist()
    [False, True, True, False, False]
    """
    missing = values.isna().to_numpy(dtype=bool)
    if values.dtype == object or isinstance(values.dtype, pd.StringDtype):
        cells = values.to_numpy(dtype=object)  # which may be lists or bytes, so no hashing of cells
        blank = np.fromiter((isinstance(v, str) and not v.strip() for v in cells), bool, len(cells))
        return np.asarray(missing | blank, dtype=np.bool_)
    return missing


def is_marker(values: pd.Series[Any], markers: Sequence[str]) -> NDArray[np.bool_]:
    """Return which values are null or one of the markers of missing values; a number is the same however written.

    >>> is_marker(pd.Series(["-99.0", -99, "x", None, "?"], dtype=object), ["-99", "?"]).tolist()
    [True, True, False, True, True]
    """
    named, numbers = set(markers), _floats(markers)

    def gone(value: object) -> bool:
        if isinstance(value, str):
            text = value.strip()
            return text in named or (bool(numbers) and bool(_floats([text]) & numbers))
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            return False
        return bool(numbers) and float(value) in numbers

    cells = values.to_numpy(dtype=object)
    found = np.fromiter((gone(v) for v in cells), bool, len(cells))
    return np.asarray(found | values.isna().to_numpy(dtype=bool), dtype=np.bool_)


def _floats(texts: Sequence[str]) -> set[float]:
    found = set()
    for text in texts:
        try:
            found.add(float(text))
        except ValueError:
            continue
    return {number for number in found if number == number}


def without_markers(values: pd.Series[Any], markers: Sequence[str]) -> pd.Series[Any]:
    """Return values that are stored with a type, with those that mean missing gone.

    >>> without_markers(pd.Series([3, -99, 4]), ["-99"]).tolist()
    [3.0, nan, 4.0]
    """
    if not markers or is_bool_dtype(values.dtype) or is_datetime64_any_dtype(values.dtype):
        return values
    numbers = _floats(markers)
    if is_numeric_dtype(values.dtype):
        gone = values.isin(sorted(numbers)).to_numpy(dtype=bool)
    else:
        gone = is_marker(values, markers)
    return values.mask(gone) if gone.any() else values


def format_rows(rows: Sequence[object] | pd.Index[Any], most: int = 5) -> str:
    """Return a list of rows for a message.

    >>> format_rows([3]), format_rows([3, 8, 11, 12, 40, 41, 42])
    ('row 3', 'rows 3, 8, 11, 12, 40 and 2 more')
    """
    shown = ", ".join(str(r) for r in rows[:most])
    if len(rows) == 1:
        return f"row {shown}"
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return f"rows {shown}{more}"


def to_numbers(values: pd.Series[Any], column: str) -> NDArray[np.float64]:
    """Read a column as numbers, NaN for missing. Shape (N,).

    Numbers may be written as text; anything else raises ``ValueError`` with column, row and value.

    >>> to_numbers(pd.Series([" 63", "NA", "1e3"], dtype=object), "age").tolist()
    [63.0, nan, 1000.0]
    """
    if is_bool_dtype(values.dtype) or is_numeric_dtype(values.dtype):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    elif is_datetime64_any_dtype(values.dtype):
        raise ValueError(
            f"column {column!r} holds dates, not numbers: name it as the time, or turn it into a number"
        )
    else:
        codes, distinct = pd.factorize(values.to_numpy(dtype=object), use_na_sentinel=True)
        read = pd.to_numeric(pd.Series(distinct, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
        numbers = np.append(read, np.nan)[codes]
        text = np.isnan(numbers) & ~is_missing(values)
        if text.any():
            text &= ~values.astype("str").str.strip().isin(_MARKERS).to_numpy(dtype=bool)
        if text.any():
            raise ValueError(
                odd_values(values, text, column, "correct them, or list the column as categorical")
            )
    infinite = np.isinf(numbers)
    if infinite.any():
        raise ValueError(
            f"column {column!r} is infinite in {format_rows(values.index[infinite])}: correct it or leave it empty"
        )
    return numbers


def to_categories(values: pd.Series[Any]) -> NDArray[np.object_]:
    """Read a column as category names, None for missing. Shape (N,), objects.

    A number has one name however it is stored, so that a column that was text or integers in training may come as
    floats later. Leading zeros are kept.

    >>> to_categories(pd.Series([1, 1.0, "1", "1.00", "01", None, True], dtype=object)).tolist()
    ['1', '1', '1', '1', '01', None, 'True']
    """
    codes, uniques = pd.factorize(values, use_na_sentinel=True)
    if values.dtype == object and any(isinstance(u, int | float) and u in (0, 1) for u in uniques):
        # True equals 1 as a key: told apart, or a cell's name would depend on the cells before it
        cells = [str(v) if isinstance(v, bool) else v for v in values.to_numpy(dtype=object)]
        codes, uniques = pd.factorize(pd.Series(cells, dtype=object), use_na_sentinel=True)
    names = np.array([*(_category(u) for u in uniques), None], dtype=object)
    return names[codes]


def _category(value: Json) -> str | None:
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return None
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    if isinstance(value, bytes):
        raise ValueError(
            "a column of bytes can't be read as categories: name it as the image column or drop it"
        )
    name = str(value).strip()
    if _DECIMAL.fullmatch(name):
        name = name.rstrip("0").rstrip(".")
        name = "0" if name == "-0" else name
    return name or None


def to_texts(values: pd.Series[Any]) -> list[str]:
    """Read a column as texts, empty for missing.

    >>> to_texts(pd.Series(["a note", None, 3.5], dtype=object))
    ['a note', '', '3.5']
    """
    missing = is_missing(values)
    return ["" if m else str(v) for v, m in zip(values.to_numpy(dtype=object), missing, strict=True)]


def is_numeric(values: pd.Series[Any]) -> bool:
    """Return whether a column is stored as numbers (not booleans)."""
    return bool(is_numeric_dtype(values.dtype)) and not is_bool_dtype(values.dtype)


def odd_values(values: pd.Series[Any], wrong: NDArray[np.bool_], name: str, cure: str = "") -> str:
    """Return a message that lists the cells of a column of numbers that are none, with counts and rows."""
    odd = values[wrong]
    counts = odd.map(repr).value_counts()
    shown = [
        str(text)[:40] + (f" ({count} times)" if count > 1 else "") for text, count in counts.head(5).items()
    ]
    listed = ", ".join(shown)
    more = f" and {len(counts) - 5} more" if len(counts) > 5 else ""
    cure = cure or "correct them, or name what means missing (data.missing; reader.missing of predict)"
    return f"column {name!r} holds numbers but {listed}{more} in {format_rows(odd.index)}: {cure}"
