"""Files whose cells have types: Parquet, and JSON (an object a line, or a list of objects)."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from core.data.types import Json


def read_parquet(path: Path, data: bytes) -> pd.DataFrame:
    """Read a Parquet file's columns with their types; raises ``ValueError`` for what is none."""
    try:
        table = pa.parquet.read_table(pa.BufferReader(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: not readable as Parquet: {error}") from error
    twice = sorted({name for name, count in Counter(table.column_names).items() if count > 1})
    if twice:
        raise ValueError(f"{path}: columns {', '.join(map(repr, twice))} are there more than once")
    table = table.select([name for name in table.column_names if not _INDEX.fullmatch(name)])
    frame = pd.DataFrame(table.to_pandas(ignore_metadata=True, date_as_object=False))
    for column in table.schema:
        if pa.types.is_integer(column.type) and table.column(column.name).null_count:
            frame[column.name] = _exact(table.column(column.name).to_pylist())
        if (
            pa.types.is_struct(column.type)
            and column.name not in ("image", "mask")
            and not _is_image(column.type)
        ):
            fields = ", ".join(column.type.field(i).name for i in range(min(column.type.num_fields, 5)))
            raise ValueError(
                f"{path}: column {column.name!r} is an object of {fields}; a cell may be a value or a list: "
                "write its fields as columns, or leave it out"
            )
    return frame


_INDEX = re.compile(r"__index_level_\d+__")
"""What pandas writes for a frame's index: numbers of rows, never a property of theirs."""


def _is_image(kind: pa.StructType) -> bool:
    return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))


def _exact(cells: list[int | None]) -> pd.Series[Any]:
    """Return whole numbers with gaps: as floats where these hold every digit, else as texts, which names are."""
    if all(cell is None or abs(cell) < 2**53 for cell in cells):
        return pd.Series([np.nan if cell is None else float(cell) for cell in cells], dtype=np.float64)
    return pd.Series([None if cell is None else str(cell) for cell in cells], dtype=object)


def read_json(path: Path, text: str, whole: bool) -> pd.DataFrame:
    """Read JSON lines, or (``whole``) a list of objects; raises ``ValueError`` with the line or row that is none."""
    rows: list[Json] = []
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
    frame = pd.DataFrame(rows, dtype=object)
    return pd.DataFrame(
        {name: _stored(frame[name]) for name in frame if not _INDEX.fullmatch(str(name))}, index=frame.index
    )


def _stored(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return a column of JSON values as numbers or booleans where all are, whole numbers exact."""
    gone = values.isna().to_numpy(dtype=bool)
    kinds = {type(value) for value in values.to_numpy(dtype=object)[~gone]}
    if not kinds <= {int, float} and kinds != {bool}:
        return values.where(~gone, None)
    if kinds == {int} and gone.any():
        return _exact([None if g else v for g, v in zip(gone, values, strict=True)]).set_axis(values.index)
    return values.infer_objects()
