"""``predictions.parquet``: every held-out row with its truth, its label, its scores and its groups."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.masks import IGNORE_INDEX, read_masks, to_png
from core.targets.types import Predictions

if TYPE_CHECKING:
    import pandas as pd

SCORE, GROUP = "score:", "group:"
SLOTS = ("label_slots", "truth_slots")
CHANCE = "slots_probability"


def write_predictions(parts: Mapping[str, Predictions], path: Path) -> None:
    """Write the parts (``validation``, ``test``) into one Parquet file, atomically.

    Columns: row (int64), part, unit (null without units), truth and label (class name, list of names for
    multilabel, number for regression), ``score:<class>``, ``group:<attribute>``. Tokens: truth and label are the
    intent's, with ``truth_slots``, ``label_slots`` (a BIO label a word) and ``slots_probability`` beside them.
    Masks: truth and label are PNG pictures of class numbers (255: none), scores the classes' mean probabilities.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = next(iter(parts.values()))
    tables = [pa.table(_columns(name, predictions, pa)) for name, predictions in parts.items()]
    about = {"kind": first.kind, "classes": list(first.classes), "groups": sorted(first.groups)}
    if first.kind == "tokens":
        about |= {"slots": list(first.slots), "words": first.labels.shape[1] - 1}
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
    label = _codes(table.column("label").to_pylist(), kind, classes)
    truth = _codes(table.column("truth").to_pylist(), kind, classes)
    slots = tuple(about.get("slots", ()))
    if kind == "tokens":
        words = [_codes_of_words(table.column(c).to_pylist(), slots, about["words"]) for c in SLOTS]
        label, truth = np.column_stack([label, words[0]]), np.column_stack([truth, words[1]])
        chance = table.column(CHANCE).to_numpy()
        scores = np.column_stack([scores, chance, words[0]])
    return Predictions(
        np.asarray(scores, np.float64),
        label,
        truth,
        classes,
        kind,
        {a: np.asarray(table.column(GROUP + a).to_pylist(), np.str_) for a in about["groups"]},
        None if units.null_count else np.asarray(units.to_pylist(), np.str_),
        np.asarray(table.column("row").to_numpy(), np.int64),
        slots,
    )


def _columns(part: str, predictions: Predictions, pa: Any) -> dict[str, Any]:
    n = len(predictions)
    index = predictions.index if len(predictions.index) else np.arange(n)
    names = predictions.classes if predictions.kind != "regression" else ("value",)
    tokens = predictions.kind == "tokens"
    assert tokens or predictions.scores.shape == (n, len(names))
    columns = {
        "row": pa.array(index, pa.int64()),
        "part": pa.array([part] * n, pa.string()),
        "unit": pa.array([None] * n if predictions.units is None else list(predictions.units), pa.string()),
        "truth": _named(predictions.targets, predictions, pa),
        "label": _named(predictions.labels, predictions, pa),
    }
    for k, name in enumerate(names):
        columns[SCORE + name] = pa.array(predictions.scores[:, k], pa.float64())
    if tokens:
        columns[CHANCE] = pa.array(predictions.scores[:, len(names)], pa.float64())
        for column, codes in zip(SLOTS, (predictions.labels, predictions.targets), strict=True):
            columns[column] = pa.array(
                _labels_of_words(codes[:, 1:], predictions.slots), pa.list_(pa.string())
            )
    for attribute, values in predictions.groups.items():
        columns[GROUP + attribute] = pa.array(list(values), pa.string())
    return columns


def _named(values: np.ndarray[Any, Any], predictions: Predictions, pa: Any) -> Any:
    if predictions.kind == "regression":
        return pa.array(values.astype(np.float64), pa.float64())
    names = np.asarray(predictions.classes, object)
    if predictions.kind == "mask":
        return pa.array([to_png(codes) for codes in values], pa.binary())
    if predictions.kind == "tokens":
        values = values[:, 0]
    if predictions.kind == "multilabel":
        return pa.array([list(names[row > 0]) for row in values], pa.list_(pa.string()))
    return pa.array(list(names[values.astype(np.int64)]), pa.string())


def _codes(values: list[Any], kind: str, classes: tuple[str, ...]) -> np.ndarray[Any, Any]:
    if kind == "regression":
        return np.asarray(values, np.float64)
    if kind == "mask":
        return _masks(values)
    code = {name: k for k, name in enumerate(classes)}
    if kind == "multilabel":
        many = np.zeros((len(values), len(classes)), np.int64)
        for row, names in enumerate(values):
            many[row, [code[name] for name in names]] = 1
        return many
    return np.asarray([code[name] for name in values], np.int64)


def _masks(values: list[bytes]) -> np.ndarray[Any, Any]:
    import pandas as pd

    return np.stack(read_masks(pd.Series(values, name="mask", dtype=object), None, IGNORE_INDEX))


def _bio(slots: tuple[str, ...]) -> list[str]:
    return ["O", *(f"{place}-{name}" for name in slots for place in ("B", "I"))]


def _labels_of_words(codes: np.ndarray[Any, Any], slots: tuple[str, ...]) -> list[list[str]]:
    names = _bio(slots)
    return [[names[int(code)] for code in row if code >= 0] for row in codes]


def _codes_of_words(rows: list[list[str]], slots: tuple[str, ...], words: int) -> np.ndarray[Any, Any]:
    code = {name: k for k, name in enumerate(_bio(slots))}
    made = np.full((len(rows), words), -1, np.int64)
    for n, row in enumerate(rows):
        made[n, : len(row)] = [code[name] for name in row]
    return made
