"""Files whose cells have types: Parquet, and JSON (an object a line, or a list of objects)."""

from __future__ import annotations

import json
from pathlib import Path

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
    return pd.DataFrame(table.to_pandas(ignore_metadata=True, date_as_object=False))


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
    return pd.DataFrame(rows)
