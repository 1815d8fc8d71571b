"""``predictions.parquet``: every held-out row with its ground truth, its label, its scores and its groups."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.targets.types import Predictions, TableColumn, target_type

if TYPE_CHECKING:
    import pandas as pd

SCORE, GROUP = "score:", "group:"


def write_predictions(parts: Mapping[str, Predictions], path: Path) -> None:
    """Write the sets (``validation``, ``test``) into one Parquet file, atomically.

    Columns: row (int64), part, unit (null without units), truth and label (class name, list of names for
    multilabel, number for regression, PNG of class numbers for segmentation), ``score:<class>`` and whatever the kind
    of target adds (``Target.more_columns``), ``group:<attribute>``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = next(iter(parts.values()))
    tables = [pa.table(_columns(name, predictions)) for name, predictions in parts.items()]
    about = {
        "kind": first.kind,
        "classes": list(first.classes),
        "groups": sorted(first.groups),
        **first.type.file_details(first),
    }
    table = pa.concat_tables(tables, promote_options="permissive").replace_schema_metadata(
        {"plinth": json.dumps(about)}
    )
    beside = path.with_name(f".{path.name}.part")
    try:
        pq.write_table(table, beside, compression="zstd")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_table(path: Path) -> pd.DataFrame:
    """Return all columns as a frame."""
    import pyarrow.parquet as pq

    frame: pd.DataFrame = pq.read_table(path).to_pandas()
    return frame


def read_predictions(path: Path, part: str) -> Predictions:
    """Return one set as the arrays it was written from; ``ValueError`` names the sets there are."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[b"plinth"])
    there = sorted(set(table.column("part").to_pylist()))
    if part not in there:
        raise ValueError(f"{path}: no part {part!r}; there are {', '.join(there)}")
    table = table.filter(pc.equal(table.column("part"), part))
    kind, classes = target_type(about["kind"]), tuple(about["classes"])

    def column(name: str) -> Sequence[Any]:
        cells: Sequence[Any] = table.column(name).to_pylist()
        return cells

    scores = np.column_stack(
        [table.column(name).to_numpy() for name in table.column_names if name.startswith(SCORE)]
    )
    units = table.column("unit")
    predictions = Predictions(
        np.asarray(scores, np.float64),
        kind.read_labels(column("label"), classes),
        kind.read_labels(column("truth"), classes),
        classes,
        kind.kind,
        {a: np.asarray(column(GROUP + a), np.str_) for a in about["groups"]},
        None if units.null_count else np.asarray(units.to_pylist(), np.str_),
        np.asarray(table.column("row").to_numpy(), np.int64),
    )
    return kind.read_more(predictions, column, about)


def _columns(part: str, p: Predictions) -> dict[str, Any]:
    import pyarrow as pa

    n, names = len(p), p.type.score_names(p.classes)
    index = p.index if len(p.index) else np.arange(n)
    columns = {
        "row": pa.array(index, pa.int64()),
        "part": pa.array([part] * n, pa.string()),
        "unit": pa.array([None] * n if p.units is None else list(p.units), pa.string()),
        "truth": _array(p.type.label_column(p.targets, p.classes)),
        "label": _array(p.type.label_column(p.labels, p.classes)),
        **{SCORE + name: pa.array(p.scores[:, k], pa.float64()) for k, name in enumerate(names)},
        **{name: _array(column) for name, column in p.type.more_columns(p).items()},
    }
    assert p.scores.shape[1] >= len(names)
    for attribute, values in p.groups.items():
        columns[GROUP + attribute] = pa.array(list(values), pa.string())
    return columns


def _array(column: TableColumn) -> Any:
    import pyarrow as pa

    types = {
        "number": pa.float64(),
        "text": pa.string(),
        "texts": pa.list_(pa.string()),
        "bytes": pa.binary(),
    }
    return pa.array(column.values, types[column.type])
