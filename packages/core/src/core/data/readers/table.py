"""Tables from files of any kind, compressed or not: read safely, cells typed by the whole column."""

from __future__ import annotations

import decimal
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.data.coercion import is_missing
from core.data.readers.delimited import read_delimited
from core.data.readers.files import decode, decompress, sha256
from core.data.readers.typed_files import read_json, read_parquet


@dataclass
class Table:
    """Rows of a file; the index numbers them from 1 (a header is not counted)."""

    frame: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    """What was inferred from the file rather than set by the user, in sentences."""
    files: dict[str, str] = field(default_factory=dict)
    """File name -> sha256."""


def read_table(
    path: Path,
    *,
    names: Sequence[str] | None = None,
    delimiter: str = "auto",
    encoding: str = "auto",
    missing: Sequence[str] = (),
    typed: bool = True,
) -> Table:
    r"""Read a table by its ending (.csv, .tsv, .txt, .data, .jsonl, .json, .parquet; then .gz, .xz, .zst, .bz2, .zip).

    ``names``: the columns of a file without a header. ``missing``: values that mean missing besides
    ``coercion.MISSING``. ``typed``: columns of a text file in which every value is a number become numbers (not
    codes with leading zeros), columns of true and false become booleans. Raises ``ValueError`` with the file and
    the numbers of rows that can't be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "ward.csv")
    >>> _ = path.write_text("age;code\n63;007\n71;012\n")
    >>> table = read_table(path)
    >>> table.frame["age"].tolist(), table.frame["code"].tolist(), table.notes
    ([63, 71], ['007', '012'], ["ward.csv: the delimiter is ';', as its lines show."])
    """
    inner, data = decompress(path)
    ending = inner.suffix.lower()
    if ending in (".parquet", ".pq"):
        table = Table(read_parquet(path, data))
    elif ending in (".jsonl", ".ndjson", ".json"):
        text, notes = decode(path, data, encoding)
        table = Table(read_json(path, text, whole=ending == ".json"), notes)
    elif ending in (".csv", ".tsv", ".txt", ".data", ".tab"):
        text, notes = decode(path, data, encoding)
        delimiter = "\t" if delimiter == "auto" and ending == ".tsv" else delimiter
        frame, more = read_delimited(path, text, names, delimiter)
        table = Table(frame, [*notes, *more])
    else:
        raise ValueError(
            f"{path}: unknown kind of table {ending!r}; it should end in .csv, .tsv, .jsonl or .parquet"
        )
    if table.frame.empty:
        raise ValueError(f"{path}: the table has no rows")
    from_text = ending not in (".parquet", ".pq", ".jsonl", ".ndjson", ".json")
    columns = {c: _typed(table.frame[c], missing, convert=typed and from_text) for c in table.frame.columns}
    table.frame = pd.DataFrame(columns)
    table.frame.index = pd.RangeIndex(1, len(table.frame) + 1)
    table.files[path.name] = sha256(path)
    return table


_CODE = re.compile(r"[+-]?0\d")


def _typed(values: pd.Series[Any], missing: Sequence[str], convert: bool) -> pd.Series[Any]:
    """Convert a column to one of: float, integer, boolean, date, text (objects: str or None), or raw objects."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if not (values.dtype == object or isinstance(values.dtype, pd.StringDtype)):
        return values
    objects = values.to_numpy(dtype=object)
    kinds = {str} if convert else {type(v) for v in objects[~values.isna().to_numpy()]}
    if kinds == {decimal.Decimal}:
        return values.astype(float)
    if not kinds <= {str, float}:
        return values
    # what follows reads each distinct value once
    codes, distinct = pd.factorize(objects, use_na_sentinel=True)
    names = pd.Series(distinct, dtype=object)
    stripped = names.map(lambda v: v.strip() if isinstance(v, str) else v)
    gone = is_missing(stripped) | stripped.isin(list(missing)).to_numpy(dtype=bool)
    present = stripped[~gone]
    some_missing = bool((codes < 0).any() or gone.any())
    if convert and len(present):
        numbers = pd.to_numeric(present, errors="coerce")
        digits = present.str.fullmatch(r"[+-]?\d+").all()
        too_long = digits and np.abs(numbers).max() >= 2**53  # a float would lose digits of what is a name
        if numbers.notna().all() and not too_long and not present.str.match(_CODE).any():
            table = np.full(len(names) + 1, np.nan)
            table[:-1][~gone] = numbers.to_numpy(dtype=np.float64)
            read = table[codes]
            return pd.Series(
                read.astype(np.int64) if digits and not some_missing else read, index=values.index
            )
        if not some_missing and set(present) <= {"True", "False", "true", "false", "TRUE", "FALSE"}:
            return pd.Series(present.str.lower().eq("true").to_numpy()[codes], index=values.index)
    kept = names.where(~gone, None).to_numpy(dtype=object)
    return pd.Series(np.array([*kept, None], dtype=object)[codes], index=values.index, dtype=object)
