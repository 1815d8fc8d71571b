"""Tables from files: CSV, TSV, JSON lines and Parquet, compressed or not, read safely and with bad rows named."""

from __future__ import annotations

import csv
import decimal
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from core.data.readers.files import decode, decompress, resolve_path, sha256
from core.data.coercion import is_missing, format_rows

_HEADER = 1 << 20  # a header is shorter than this many characters
DELIMITERS = (",", ";", "\t", "|", " ")


@dataclass
class Table:
    """Rows of a file; the index numbers them from 1 (a header is not counted)."""

    frame: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    """What was told from the file rather than said by the user, in sentences."""
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
    """Read a table by its ending (.csv, .tsv, .txt, .data, .jsonl, .json, .parquet; then .gz, .xz, .zst, .bz2, .zip).

    ``names``: the columns of a file without a header. ``missing``: values that mean missing besides
    ``values.MISSING``. ``typed``: columns of a text file in which every value is a number become numbers (not
    codes with leading zeros), columns of true and false become booleans. Raises ``ValueError`` with the file and
    the numbers of rows that can't be read.
    """
    inner, data = decompress(path)
    ending = inner.suffix.lower()
    if ending in (".parquet", ".pq"):
        table = Table(_parquet(path, data))
    elif ending in (".jsonl", ".ndjson", ".json"):
        text, notes = decode(path, data, encoding)
        table = Table(_json(path, text, whole=ending == ".json"), notes)
    elif ending in (".csv", ".tsv", ".txt", ".data", ".tab"):
        text, notes = decode(path, data, encoding)
        table = _delimited(path, text, names, "\t" if delimiter == "auto" and ending == ".tsv" else delimiter)
        table.notes[:0] = notes
    else:
        raise ValueError(
            f"{path}: unknown kind of table {ending!r}; it should end in .csv, .tsv, .jsonl or .parquet"
        )
    if table.frame.empty:
        raise ValueError(f"{path}: the table has no rows")
    from_text = ending not in (".parquet", ".pq", ".jsonl", ".ndjson", ".json")
    columns = {c: _clean(table.frame[c], missing, convert=typed and from_text) for c in table.frame.columns}
    table.frame = pd.DataFrame(columns)
    table.frame.index = pd.RangeIndex(1, len(table.frame) + 1)
    table.files[path.name] = sha256(path)
    return table


def _delimited(path: Path, text: str, names: Sequence[str] | None, delimiter: str) -> Table:
    if not text.strip():
        raise ValueError(f"{path}: the file is empty")
    notes = []
    if delimiter == "auto":
        delimiter = _sniff(text)
        if delimiter != ",":
            shown = {"\t": "tab", " ": "space"}.get(delimiter, delimiter)
            notes.append(f"{path.name}: fields are parted by {shown!r}, as its lines show.")
    if delimiter == " ":
        text = "\n".join(" ".join(line.split()) for line in text.splitlines())
    if names is None:
        header = next(csv.reader(io.StringIO(text[:_HEADER], newline=""), delimiter=delimiter))
        names = [name.strip() for name in header]
        skip = _lines_of_header(text, header, delimiter)
        empty = [i + 1 for i, name in enumerate(names) if not name]
        if len(empty) == 1 and empty[0] == 1:
            names[0] = "row_name"  # what pandas and R write for an index
            notes.append(f"{path.name}: the first column has no name; it is called 'row_name'.")
        elif empty:
            raise ValueError(f"{path}: columns {', '.join(map(str, empty))} have no name in the header")
    else:
        skip = 0
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ValueError(f"{path}: the header has {', '.join(map(repr, twice))} more than once")
    return Table(_parsed(path, text, list(names), skip, delimiter), notes)


def _parsed(path: Path, text: str, names: list[str], skip: int, delimiter: str) -> pd.DataFrame:
    data = text.encode()
    bad: list[Any] = []

    def refuse(row: Any) -> str:
        bad.append(row)
        return "skip"

    try:
        table = pa.csv.read_csv(
            pa.BufferReader(data),
            read_options=pa.csv.ReadOptions(
                use_threads=False,  # only then are bad rows numbered
                column_names=names,
                skip_rows=skip,
                block_size=min(max(len(data), 1 << 20), (1 << 31) - 2),
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types={name: pa.large_string() for name in names}, strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            raise ValueError(f"{path}: the table has no rows") from error
        raise ValueError(f"{path}: not readable as a table with delimiter {delimiter!r}: {error}") from error
    if bad:
        told = [f"row {r.number - skip} has {r.actual_columns} fields: {r.text[:60]!r}" for r in bad[:5]]
        more = f" (and {len(bad) - 5} more rows)" if len(bad) > 5 else ""
        raise ValueError(
            f"{path}: {len(names)} fields expected, but {'; '.join(told)}{more}. "
            "Correct these rows, or say data.delimiter if fields are parted by something else"
        )
    return pd.DataFrame({name: _objects(table.column(name)) for name in names}, dtype=object)


def _objects(column: Any) -> NDArray[np.object_]:
    """Bring text from Arrow to Python once for each distinct value."""
    encoded = column.combine_chunks().dictionary_encode()
    distinct = np.empty(len(encoded.dictionary), dtype=object)
    distinct[:] = encoded.dictionary.to_pylist()
    return np.asarray(distinct[encoded.indices.to_numpy()], dtype=object)


def _lines_of_header(text: str, header: list[str], delimiter: str) -> int:
    reader = csv.reader(io.StringIO(text[:_HEADER], newline=""), delimiter=delimiter)
    next(reader)
    return reader.line_num


def _sniff(text: str) -> str:
    """Tell the delimiter: the one that parts the first lines into the same number of fields, the most of them."""
    lines = text[:200_000].splitlines()[:100]
    sample = [line for line in (lines if len(lines) < 100 else lines[:-1]) if line.strip()]
    best, score = ",", 0.0
    for delimiter in DELIMITERS:
        rows = [" ".join(line.split()) for line in sample] if delimiter == " " else sample
        counts = [len(fields) for fields in csv.reader(rows, delimiter=delimiter)]
        width = counts[0]
        agreement = sum(c == width for c in counts) / len(counts)
        # a space is in every text: only a perfect match speaks for it
        if width > 1 and (delimiter != " " or agreement == 1.0) and agreement * (1 + width / 1000) > score:
            best, score = delimiter, agreement * (1 + width / 1000)
    return best


def _json(path: Path, text: str, whole: bool) -> pd.DataFrame:
    rows: list[Any] = []
    if whole and text.lstrip().startswith("["):
        try:
            rows = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: line {error.lineno} is not JSON: {error.msg}") from error
    else:
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}: line {number} is not JSON ({error.msg}): {line[:60]!r}") from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise ValueError(f"{path}: row {number} is not an object with named fields: {str(row)[:60]!r}")
        nested = [k for k, v in row.items() if isinstance(v, dict)]
        if nested:
            raise ValueError(
                f"{path}: row {number}, field {nested[0]!r} is an object; a field may be a value or a list"
            )
    return pd.DataFrame(rows)


def _parquet(path: Path, data: bytes) -> pd.DataFrame:
    try:
        table = pa.parquet.read_table(pa.BufferReader(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: not readable as Parquet: {error}") from error
    return pd.DataFrame(table.to_pandas(ignore_metadata=True, date_as_object=False))


_CODE = re.compile(r"[+-]?0\d")


def _clean(values: pd.Series[Any], missing: Sequence[str], convert: bool) -> pd.Series[Any]:
    """Bring a column into one of: float, integer, boolean, date, text (objects: str or None), or raw objects."""
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
    # what follows looks at each distinct value once
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


def rows_where(frame: pd.DataFrame, where: Any) -> str:
    """Name the rows of a frame in which a mask is true."""
    return format_rows(frame.index[np.asarray(where, dtype=bool)])


__all__ = ["Table", "find", "read_table", "rows_of", "sha256"]
