"""``predictions.parquet``: every held-out row with its truth, its label, its scores and its groups."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.targets.types import Predictions

if TYPE_CHECKING:
    import pandas as pd

SCORE, GROUP = "score:", "group:"


def write_predictions(parts: Mapping[str, Predictions], path: Path) -> None:
    """Write the parts (``validation``, ``test``) into one Parquet file, atomically.

    Columns: row (int64), part, unit (null without units), truth and label (class name, list of names for
    multilabel, number for regression), ``score:<class>``, ``group:<attribute>``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = next(iter(parts.values()))
    tables = [pa.table(_columns(name, predictions, pa)) for name, predictions in parts.items()]
    about = {"kind": first.kind, "classes": list(first.classes), "groups": sorted(first.groups)}
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
    """Read all columns as a frame."""
    import pyarrow.parquet as pq

    frame: pd.DataFrame = pq.read_table(path).to_pandas()
    return frame


def read_predictions(path: Path, part: str) -> Predictions:
    """Read one part back as the arrays it was written from; ``ValueError`` names the parts there are."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[b"plinth"])
    there = sorted(set(table.column("part").to_pylist()))
    if part not in there:
        raise ValueError(f"{path}: no part {part!r}; there are {', '.join(there)}")
    table = table.filter(pc.equal(table.column("part"), part))
    classes = tuple(about["classes"])
    kind = about["kind"]
    scores = np.column_stack(
        [table.column(name).to_numpy() for name in table.column_names if name.startswith(SCORE)]
    )
    units = table.column("unit")
    return Predictions(
        np.asarray(scores, np.float64),
        _codes(table.column("label").to_pylist(), kind, classes),
        _codes(table.column("truth").to_pylist(), kind, classes),
        classes,
        kind,
        {a: np.asarray(table.column(GROUP + a).to_pylist(), np.str_) for a in about["groups"]},
        None if units.null_count else np.asarray(units.to_pylist(), np.str_),
        np.asarray(table.column("row").to_numpy(), np.int64),
    )


def _columns(part: str, predictions: Predictions, pa: Any) -> dict[str, Any]:
    n = len(predictions)
    index = predictions.index if len(predictions.index) else np.arange(n)
    names = predictions.classes if predictions.kind != "regression" else ("value",)
    assert predictions.scores.shape == (n, len(names))
    columns = {
        "row": pa.array(index, pa.int64()),
        "part": pa.array([part] * n, pa.string()),
        "unit": pa.array([None] * n if predictions.units is None else list(predictions.units), pa.string()),
        "truth": _named(predictions.targets, predictions, pa),
        "label": _named(predictions.labels, predictions, pa),
    }
    for k, name in enumerate(names):
        columns[SCORE + name] = pa.array(predictions.scores[:, k], pa.float64())
    for attribute, values in predictions.groups.items():
        columns[GROUP + attribute] = pa.array(list(values), pa.string())
    return columns


def _named(values: np.ndarray[Any, Any], predictions: Predictions, pa: Any) -> Any:
    if predictions.kind == "regression":
        return pa.array(values.astype(np.float64), pa.float64())
    names = np.asarray(predictions.classes, object)
    if predictions.kind == "multilabel":
        return pa.array([list(names[row > 0]) for row in values], pa.list_(pa.string()))
    return pa.array(list(names[values.astype(np.int64)]), pa.string())


def _codes(values: list[Any], kind: str, classes: tuple[str, ...]) -> np.ndarray[Any, Any]:
    if kind == "regression":
        return np.asarray(values, np.float64)
    code = {name: k for k, name in enumerate(classes)}
    if kind == "multilabel":
        many = np.zeros((len(values), len(classes)), np.int64)
        for row, names in enumerate(values):
            many[row, [code[name] for name in names]] = 1
        return many
    return np.asarray([code[name] for name in values], np.int64)
