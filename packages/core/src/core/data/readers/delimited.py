"""Delimited text: CSV, TSV and what is like them, with bad rows named."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

_HEADER = 1 << 20  # a header is shorter than this many characters
DELIMITERS = (",", ";", "\t", "|", " ")


def read_delimited(
    path: Path, text: str, names: Sequence[str] | None, delimiter: str
) -> tuple[pd.DataFrame, list[str]]:
    """Read rows as untyped text cells; returns them and a sentence for what was inferred from the file.

    ``names``: the columns of a file without a header. Raises ``ValueError`` with the rows that have too many or too
    few cells.
    """
    if not text.strip():
        raise ValueError(f"{path}: the file is empty")
    notes = []
    if delimiter == "auto":
        delimiter = sniff_delimiter(text)
        if delimiter != ",":
            shown = {"\t": "tab", " ": "space"}.get(delimiter, delimiter)
            notes.append(f"{path.name}: the delimiter is {shown!r}, as its lines show.")
    if delimiter == " ":
        text = "\n".join(" ".join(line.split()) for line in text.splitlines())
    if names is None:
        header = next(csv.reader(io.StringIO(text[:_HEADER], newline=""), delimiter=delimiter))
        names = [name.strip() for name in header]
        skip = _header_lines(text, delimiter)
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
    return _parse(path, text, list(names), skip, delimiter), notes


def sniff_delimiter(text: str) -> str:
    r"""Return the delimiter that splits the first lines into the same number of cells, the most of them.

    >>> sniff_delimiter("a;b\n1,5;2,5\n")
    ';'
    """
    lines = text[:200_000].splitlines()[:100]
    sample = [line for line in (lines if len(lines) < 100 else lines[:-1]) if line.strip()]
    best, score = ",", 0.0
    for delimiter in DELIMITERS:
        rows = [" ".join(line.split()) for line in sample] if delimiter == " " else sample
        counts = [len(cells) for cells in csv.reader(rows, delimiter=delimiter)]
        width = counts[0]
        agreement = sum(c == width for c in counts) / len(counts)
        # a space is in every text: only a perfect match speaks for it
        if width > 1 and (delimiter != " " or agreement == 1.0) and agreement * (1 + width / 1000) > score:
            best, score = delimiter, agreement * (1 + width / 1000)
    return best


def _parse(path: Path, text: str, names: list[str], skip: int, delimiter: str) -> pd.DataFrame:
    data = text.encode()
    bad: list[pa.csv.InvalidRow] = []

    def collect(row: pa.csv.InvalidRow) -> str:
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
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=collect
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
        listed = [f"row {r.number - skip} has {r.actual_columns} fields: {r.text[:60]!r}" for r in bad[:5]]
        more = f" (and {len(bad) - 5} more rows)" if len(bad) > 5 else ""
        raise ValueError(
            f"{path}: {len(names)} fields expected, but {'; '.join(listed)}{more}. "
            "Correct these rows, or set data.delimiter if it is another one"
        )
    return pd.DataFrame({name: _objects(table.column(name)) for name in names}, dtype=object)


def _objects(column: pa.ChunkedArray) -> NDArray[np.object_]:
    """Convert text from Arrow to Python once for each distinct value."""
    encoded = column.combine_chunks().dictionary_encode()
    distinct = np.empty(len(encoded.dictionary), dtype=object)
    distinct[:] = encoded.dictionary.to_pylist()
    return np.asarray(distinct[encoded.indices.to_numpy()], dtype=object)


def _header_lines(text: str, delimiter: str) -> int:
    reader = csv.reader(io.StringIO(text[:_HEADER], newline=""), delimiter=delimiter)
    next(reader)
    return reader.line_num
