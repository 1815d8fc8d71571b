"""Tables from files of any kind, compressed or not: read safely, cells typed by the whole column."""

from __future__ import annotations

import decimal
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.coercion import is_marker, without_markers
from core.data.number_formats import EXPONENT_CODE, NumberFormat, candidates, has_whole, is_ambiguous
from core.data.readers.delimited import read_delimited
from core.data.readers.files import decode, decompress, sha256
from core.data.readers.settings import ReaderSettings
from core.data.readers.typed_files import read_json, read_parquet

PLAIN = NumberFormat()


@dataclass
class Table:
    """Rows of a file; the index numbers them from 1 (a header is not counted)."""

    frame: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    """What was inferred from the file rather than set by the user, in sentences."""
    files: dict[str, str] = field(default_factory=dict)
    """File name -> sha256."""
    reader: ReaderSettings = field(default_factory=ReaderSettings)
    """How the file was read, for the files that come later."""
    formats: dict[str, NumberFormat] = field(default_factory=dict)
    """Column of numbers in a text file -> how they are written."""


def read_table(
    path: Path,
    *,
    names: Sequence[str] | None = None,
    delimiter: str = "auto",
    encoding: str = "auto",
    missing: Sequence[str] | None = None,
    typed: bool = True,
    reader: ReaderSettings | None = None,
    verbatim: Sequence[str] = (),
) -> Table:
    r"""Read a table by its ending (.csv, .tsv, .txt, .data, .jsonl, .json, .parquet; then .gz, .xz, .zst, .bz2, .zip).

    ``names``: the columns of a file without a header. ``missing``: cells that mean missing, instead of
    ``settings.MISSING``. ``reader``: all settings of the reader, instead of single ones. ``typed``: columns of a text
    file in which every value is a number become numbers (not codes with leading zeros), columns of true and false
    become booleans. ``verbatim``: columns of texts, of which ``NA`` and ``3.50`` are kept as written. Raises
    ``ValueError`` with the file and the numbers of rows that can't be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "ward.csv")
    >>> _ = path.write_text("age;code\n63;007\n71;012\n")
    >>> table = read_table(path)
    >>> table.frame["age"].tolist(), table.frame["code"].tolist(), table.notes
    ([63, 71], ['007', '012'], ["ward.csv: the delimiter is ';', as its lines show."])
    """
    if reader is None:
        reader = ReaderSettings(
            delimiter=delimiter, encoding=encoding, missing=None if missing is None else tuple(missing)
        )
    inner, data = decompress(path)
    ending = inner.suffix.lower()
    found = reader.delimiter
    if ending in (".parquet", ".pq"):
        table = Table(read_parquet(path, data))
    elif ending in (".jsonl", ".ndjson", ".json"):
        text, notes = decode(path, data, reader.encoding)
        table = Table(read_json(path, text, whole=ending == ".json"), notes)
    elif ending in (".csv", ".tsv", ".txt", ".data", ".tab"):
        text, notes = decode(path, data, reader.encoding)
        found = "\t" if found == "auto" and ending == ".tsv" else found
        frame, more, found = read_delimited(path, text, names, replace(reader, delimiter=found))
        table = Table(frame, [*notes, *more])
    else:
        raise ValueError(
            f"{path}: unknown kind of table {ending!r}; it should end in .csv, .tsv, .jsonl or .parquet"
        )
    if table.frame.empty:
        raise ValueError(f"{path}: the table has no rows")
    from_text = ending not in (".parquet", ".pq", ".jsonl", ".ndjson", ".json")
    columns, table.formats = _columns(table.frame, reader, found, path, typed, from_text, verbatim)
    table.frame = pd.DataFrame(columns)
    table.frame.index = pd.RangeIndex(1, len(table.frame) + 1)
    table.files[path.name] = sha256(path)
    table.reader = reader
    for column, how in table.formats.items():
        if how != PLAIN:
            table.notes.append(
                f"{path.name}: numbers of {column!r} are written with decimal {how.decimal!r}"
                + (f" and thousands {how.thousands!r}" if how.thousands else "")
                + "."
            )
    return table


_CODE = re.compile(r"[+-]?0\d")
_BOOLEANS = frozenset(("true", "false"))


def _columns(
    frame: pd.DataFrame,
    reader: ReaderSettings,
    delimiter: str,
    path: Path,
    typed: bool,
    from_text: bool,
    verbatim: Sequence[str],
) -> tuple[dict[str, pd.Series[Any]], dict[str, NumberFormat]]:
    """Return columns without missing markers and, ``typed``, numbers and booleans read; and formats of numbers."""
    marked = from_text or reader.missing is not None
    markers = reader.markers() if marked else ("",)
    columns, cells = {}, {}
    for name in frame.columns:
        values = frame[name]
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = values.astype(values.cat.categories.dtype)
        if not (values.dtype == object or isinstance(values.dtype, pd.StringDtype)):
            columns[name] = without_markers(values, reader.missing or ())
            continue
        objects = values.to_numpy(dtype=object)
        kinds = {str} if from_text else {type(v) for v in objects[~values.isna().to_numpy()]}
        if kinds == {decimal.Decimal}:
            columns[name] = values.astype(float)
        elif not kinds <= {str, float}:
            columns[name] = values
        else:
            columns[name] = values
            cells[name] = _Cells.of(objects, ("",) if name in verbatim else markers)
    formats: dict[str, NumberFormat] = {}
    if typed and from_text:
        texts = {name: one.texts() for name, one in cells.items() if name not in verbatim}
        formats = _formats(texts, reader, delimiter, path)
    for name, one in cells.items():
        read = one.read(formats.get(name), typed and from_text and name not in verbatim)
        columns[name] = pd.Series(read, index=frame.index, dtype=read.dtype)
    return {name: columns[name] for name in frame.columns}, formats


def _formats(
    texts: dict[str, list[str]], reader: ReaderSettings, delimiter: str, path: Path
) -> dict[str, NumberFormat]:
    """Settle how the numbers of each column are written, from the column and then from the whole file.

    Raises ``ValueError`` with the key for numbers that may be decimals or thousands.
    """
    given = reader.decimal != "auto" or reader.thousands != "auto"
    formats: dict[str, NumberFormat] = {}
    unclear: dict[str, str] = {}
    for name, cells in texts.items():
        if not cells or any(_CODE.match(c) for c in cells) or any(EXPONENT_CODE.fullmatch(c) for c in cells):
            continue
        plain = pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce").notna().all()
        mark = "" if given else is_ambiguous(cells)
        if mark:
            unclear[name] = mark
        elif plain and (not given or reader.decimal in ("auto", ".")) and reader.thousands != ".":
            formats[name] = PLAIN
        elif any(c[-1].isdigit() or c[-1] in ")%€$£ .," or c[-3:].isalpha() for c in cells[:1]):
            found = candidates(cells, reader.decimal, reader.thousands)
            if found:
                formats[name] = found[0]
    points = {
        f.decimal
        for name, f in formats.items()
        if any(f.decimal in c for c in texts[name]) and not all(c.isdigit() for c in texts[name])
    }
    faults = []
    for name, mark in unclear.items():
        usual = (
            "," if delimiter != "," else "."
        )  # where decimals have commas, files are parted by something else
        if points == {"." if mark == "," else ","}:
            formats[name] = NumberFormat(min(points), mark)
        elif has_whole(texts[name]) or mark != usual or (points and points != {mark}):
            shown = ", ".join(repr(c) for c in texts[name][:3])
            faults.append(f"column {name!r} ({shown})")
        else:
            formats[name] = NumberFormat(mark, "")
    if faults:
        raise ValueError(
            f"{path}: {'; '.join(faults)}: the marks may part decimals or thousands. "
            'Set data.decimal="." or data.decimal="," (and data.thousands)'
        )
    return formats


@dataclass
class _Cells:
    """The distinct texts of a column, and the rows that they stand in."""

    codes: NDArray[np.int64]
    names: pd.Series[Any]
    stripped: pd.Series[Any]
    gone: NDArray[np.bool_]

    @classmethod
    def of(cls, objects: NDArray[np.object_], markers: Sequence[str]) -> _Cells:
        codes, distinct = pd.factorize(objects, use_na_sentinel=True)
        names = pd.Series(distinct, dtype=object)
        stripped = names.map(lambda v: v.strip() if isinstance(v, str) else v)
        return cls(np.asarray(codes, np.int64), names, stripped, is_marker(stripped, markers))

    def texts(self) -> list[str]:
        """Return what is there, each text once."""
        return [str(v) for v in self.stripped[~self.gone]]

    def read(self, how: NumberFormat | None, typed: bool) -> NDArray[Any]:
        """Return the cells: float, integer, boolean, or objects (text, True, False or None)."""
        present, some_missing = self.stripped[~self.gone], bool((self.codes < 0).any() or self.gone.any())
        if how is not None and len(present):
            plain = pd.to_numeric(present, errors="coerce")
            digits = bool(present.str.fullmatch(r"[+-]?\d+").all())
            numbers = (
                plain.to_numpy(np.float64) if plain.notna().all() and how == PLAIN else how.read_all(present)
            )
            if not (digits and np.abs(numbers).max() >= 2**53):  # a float would lose digits of what is a name
                table = np.full(len(self.names) + 1, np.nan)
                table[:-1][~self.gone] = numbers
                read = table[self.codes]
                return read.astype(np.int64) if digits and not some_missing else read
        if typed and len(present) and {v.lower() for v in present} <= _BOOLEANS:
            flags = np.array([*self.stripped.map(lambda v: str(v).lower() == "true"), None], dtype=object)
            flags[:-1][self.gone] = None
            return flags[self.codes] if some_missing else flags[self.codes].astype(bool)
        kept = self.names.where(~self.gone, None).to_numpy(dtype=object)
        return np.array([*kept, None], dtype=object)[self.codes]
