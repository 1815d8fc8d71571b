"""Delimited text: CSV, TSV and what is like them, with bad rows named."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from core.data.readers.settings import ReaderSettings

csv.field_size_limit(
    1 << 30
)  # a note or an encoded image may be longer than the csv module's 131,072 characters

DELIMITERS = (",", ";", "\t", "|", " ")
_SEP = re.compile(r"""["']?sep=(.)["']?\s*$""", re.I)


def read_delimited(
    path: Path, text: str, names: Sequence[str] | None, reader: ReaderSettings
) -> tuple[pd.DataFrame, list[str], str]:
    """Read rows as untyped text cells; returns them, a sentence for what was inferred, and the delimiter.

    ``names``: the columns of a file without a header. Raises ``ValueError`` with the lines of quotation marks that
    never close, and the rows that have too many or too few cells.
    """
    if not text.strip():
        raise ValueError(f"{path}: the file is empty")
    notes: list[str] = []
    text, before, delimiter = _body(path, text, reader, notes)
    quote = None if reader.quote == "none" else reader.quote
    if delimiter == "auto":
        delimiter = sniff_delimiter(text, quote)
        if delimiter != ",":
            shown = {"\t": "tab", " ": "space"}.get(delimiter, delimiter)
            notes.append(f"{path.name}: the delimiter is {shown!r}, as its lines show.")
    if delimiter == " ":
        text = "\n".join(" ".join(line.split()) for line in text.splitlines())
    _check_quotes(path, text, delimiter, quote, before)
    skip = 0
    first = next(_cells(text, delimiter, quote))
    if names is None and reader.header == "none":
        names = [f"column_{i}" for i in range(1, len(first) + 1)]
    elif names is None:
        names, skip = [name.strip() for name in first], _header_lines(text, delimiter, quote)
    trailing = _trailing(text, list(names), skip, delimiter, quote)
    names = [*names[: len(names) - (names[-1] == "")], _TRAILING] if trailing else list(names)
    if skip:
        names = _named(path, names, notes)
    twice = sorted({name for name, count in Counter(names).items() if count > 1})
    if twice:
        raise ValueError(
            f"{path}: the header has {', '.join(map(repr, twice))} more than once "
            "(data.header=none if the first line is a row)"
        )
    frame = _parse(path, text, names, skip, delimiter, quote, before)
    if trailing:
        frame = frame.drop(columns=_TRAILING)
        notes.append(f"{path.name}: each line ends with a delimiter; no column follows it.")
    return frame, notes, delimiter


_TRAILING = "\0after the last delimiter"


def _body(path: Path, text: str, reader: ReaderSettings, notes: list[str]) -> tuple[str, int, str]:
    """Return the text from the header on, the number of lines before it, and the delimiter that the file names."""
    before, delimiter = 0, reader.delimiter
    lines = text.split("\n", reader.skip_rows)
    if reader.skip_rows:
        if len(lines) <= reader.skip_rows:
            raise ValueError(
                f"{path}: data.skip_rows={reader.skip_rows}, but the file has {len(lines)} lines"
            )
        text, before = lines[-1], reader.skip_rows
    while (line := text.split("\n", 1))[0].strip() == "" and len(line) == 2:
        text, before = line[1], before + 1
    named = _SEP.match(line[0].strip("\r"))
    if named and len(line) == 2:
        text, before = line[1], before + 1
        delimiter = named[1] if delimiter == "auto" else delimiter
        notes.append(f"{path.name}: the delimiter is {named[1]!r}, as its first line says.")
    if reader.comment:
        kept = [one for one in text.split("\n") if not one.startswith(reader.comment)]
        left = text.count("\n") + 1 - len(kept)
        text = "\n".join(kept)
        if left:
            notes.append(f"{path.name}: left out {left} lines that begin with {reader.comment!r}.")
        if not text.strip():
            raise ValueError(f"{path}: every line begins with data.comment={reader.comment!r}")
    return text, before, delimiter


def _cells(text: str, delimiter: str, quote: str | None) -> Iterator[list[str]]:
    lines = io.StringIO(text, newline="")
    return (row for row in _reader(lines, delimiter, quote) if row)


def _reader(lines: Iterable[str], delimiter: str, quote: str | None, strict: bool = False) -> Any:
    if quote is None:
        return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    return csv.reader(lines, delimiter=delimiter, quotechar=quote, strict=strict)


def _check_quotes(path: Path, text: str, delimiter: str, quote: str | None, before: int) -> None:
    """Raise ``ValueError`` with the line in which a quotation mark opens that never closes, or closes amid a cell."""
    if quote is None or quote not in text:
        return
    rows, begun = _reader(io.StringIO(text, newline=""), delimiter, quote, strict=True), 0
    try:
        for _ in rows:
            begun = rows.line_num
    except csv.Error as error:
        line = text.split("\n", begun + 1)[begun] if begun < text.count("\n") + 1 else ""
        raise ValueError(
            f"{path}: the quotation mark that opens in line {before + begun + 1} is not closed as it should be "
            f"({line.strip()[:60]!r}): close or double it, or set data.quote=none if quotation marks are text"
        ) from error


def _trailing(text: str, names: list[str], skip: int, delimiter: str, quote: str | None) -> bool:
    """Return whether each line ends with a delimiter that no column follows."""
    if delimiter == " " or len(names) < 2:
        return False
    rows = _cells(text, delimiter, quote)
    if skip:
        next(rows)
    wanted = len(names) if names[-1] == "" else len(names) + 1
    found = False
    for row in rows:
        if len(row) != wanted or row[-1].strip():
            return False
        found = True
    return found


def _named(path: Path, names: list[str], notes: list[str]) -> list[str]:
    empty = [i + 1 for i, name in enumerate(names) if not name]
    if len(empty) == 1 and empty[0] == 1:
        notes.append(f"{path.name}: the first column has no name; it is called 'row_name'.")
        return ["row_name", *names[1:]]  # what pandas and R write for an index
    if empty:
        raise ValueError(f"{path}: columns {', '.join(map(str, empty))} have no name in the header")
    return names


def sniff_delimiter(text: str, quote: str | None = '"') -> str:
    r"""Return the delimiter that splits the first lines into the same number of cells, the most of them.

    >>> sniff_delimiter("a;b\n1,5;2,5\n")
    ';'
    """
    lines = text[:200_000].splitlines()[:100]
    if len(lines) < 2 and len(text) > 200_000:
        lines = text[:20_000_000].splitlines()[:20]
    sample = [line for line in (lines if len(lines) < 100 else lines[:-1]) if line.strip()]
    best, score = ",", 0.0
    for delimiter in DELIMITERS:
        rows = [" ".join(line.split()) for line in sample] if delimiter == " " else sample
        counts = Counter(len(cells) for cells in _reader(rows, delimiter, quote))
        width, most = max(counts.items(), key=lambda pair: (pair[1], pair[0]))
        agreement = most / counts.total()
        # a space is in every text: only a perfect match speaks for it
        if width > 1 and (delimiter != " " or agreement == 1.0) and agreement * (1 + width / 1000) > score:
            best, score = delimiter, agreement * (1 + width / 1000)
    return best


def _preamble(text: str, delimiter: str, quote: str | None, before: int) -> str:
    """Return what to do where the first lines are fewer cells wide than all that follow."""
    widths = [len(row) for row in _reader(text[:100_000].splitlines()[:50], delimiter, quote)]
    usual = Counter(widths).most_common(1)[0][0]
    first = next(i for i, width in enumerate(widths) if width == usual)
    if first == 0 or usual < 2:
        return ""
    return f"the table seems to begin in line {before + first + 1} (set data.skip_rows={before + first}); "


def _parse(
    path: Path, text: str, names: list[str], skip: int, delimiter: str, quote: str | None, before: int
) -> pd.DataFrame:
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
                delimiter=delimiter,
                quote_char=quote or False,
                newlines_in_values=quote is not None,
                invalid_row_handler=collect,
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
            f"{path}: {_preamble(text, delimiter, quote, before)}"
            f"{len(names)} fields expected, but {'; '.join(listed)}{more}. "
            "Correct these rows, or set data.delimiter if it is another one"
        )
    return pd.DataFrame({name: _objects(table.column(name)) for name in names}, dtype=object)


def _objects(column: pa.ChunkedArray) -> NDArray[np.object_]:
    """Convert text from Arrow to Python once for each distinct value."""
    encoded = column.combine_chunks().dictionary_encode()
    distinct = np.empty(len(encoded.dictionary), dtype=object)
    distinct[:] = encoded.dictionary.to_pylist()
    return np.asarray(distinct[encoded.indices.to_numpy()], dtype=object)


def _header_lines(text: str, delimiter: str, quote: str | None) -> int:
    reader = _reader(io.StringIO(text, newline=""), delimiter, quote)
    next(reader)
    return int(reader.line_num)
