"""A user's own table: rows, texts, or images in a column."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from core.config import TaskConfig, config_error
from core.data.coercion import format_rows, is_missing, is_numeric, to_numbers
from core.data.config import ImagesData, TableData, split_plan
from core.data.contract import DataContract
from core.data.readers.files import resolve_path
from core.data.readers.table import read_table
from core.data.roles import infer_roles, require_columns
from core.data.times import read_times, settle_order
from core.data.types import ColumnRoles, Dataset

log = logging.getLogger(__name__)


def read(config: TableData, task: TaskConfig | None, seed: int) -> Dataset:
    """Read ``data=table``, ``data=text`` or ``data=images``; raises ``ValueError`` that names key, column and file."""
    if not config.target:
        raise config_error("data.target", [], "give the column to predict")
    path = resolve_path(config.path)
    if path.is_dir():
        raise config_error("data.path", config.path, "is a folder; data=image_folder reads folders")
    table = read_table(path, reader=config.reader(), verbatim=_texts(config))
    image = config.image if isinstance(config, ImagesData) else None
    given = ColumnRoles(
        target=tuple(config.target),
        numeric=tuple(config.numeric),
        categorical=tuple(config.categorical),
        text=tuple(config.text),
        references=tuple(config.references),
        prompt=config.prompt,
        image=image,
        sensitive=tuple(config.sensitive),
        unit=config.unit,
        time=config.time,
    )
    lists = ("target", "sensitive", "numeric", "categorical", "text", "references", "drop_columns")
    named: dict[str, list[str]] = {f"data.{key}": getattr(config, key) for key in lists}
    single = {"prompt": config.prompt, "unit": config.unit, "time": config.time, "image": image}
    single["split_column"] = config.split_column
    named |= {f"data.{key}": [column] for key, column in single.items() if column}
    require_columns(table.frame, named, path)
    frame, notes = table.frame, list(table.notes)
    for column in config.numeric:
        frame[column] = to_numbers(frame[column], column)
    orders: dict[str, str] = {}
    if config.time:
        orders[config.time] = settle_order(frame[config.time], config.time, config.date_order)
        frame[config.time] = read_times(frame[config.time], config.time, orders[config.time])
        if orders[config.time] not in ("number", "ymd"):
            notes.append(f"{path.name}: dates of {config.time!r} are read as {orders[config.time]}.")
    if image:
        frame[image] = _below_folder(frame[image], path.parent)
    if config.infer_roles:
        dropped = [*config.drop_columns, *([config.split_column] if config.split_column else [])]
        given, inferred = infer_roles(frame, given, dropped)
        notes += inferred
        notes += kept_from_inputs(frame, given)
    if not given.inputs():
        raise ValueError(
            f"{path}: no column is left as an input: list some in data.numeric, categorical or text"
        )
    dataset = Dataset(
        frame,
        given,
        path.name,
        split=split_plan(config, seed, config.gap, config.disjoint_entities),
        files=table.files,
        group_edges=dict(config.bin_edges),
        notes=notes,
        reader=table.reader,
        formats=table.formats,
        date_orders=orders,
    )
    if config.unit:
        dataset.unit_name = "unit"
    return without_unlabeled(dataset) if config.drop_unlabeled else dataset


def kept_from_inputs(frame: pd.DataFrame, roles: ColumnRoles) -> list[str]:
    """Return a sentence, also for the terminal, where sensitive columns are compared by and are therefore no inputs."""
    out = [c for c in roles.sensitive if c not in (*roles.inputs(), *roles.target, roles.unit, roles.time)]
    if not out:
        return []
    numbers = ",".join(c for c in out if is_numeric(frame[c]))
    others = ",".join(c for c in out if not is_numeric(frame[c]))
    keys = [f"data.numeric=[{numbers}]"] * bool(numbers) + [f"data.categorical=[{others}]"] * bool(others)
    text = (
        f"Not used as inputs, since data.sensitive names them: {', '.join(out)}. To use them as inputs too: "
        f"{' '.join(keys)}."
    )
    log.warning(text)
    return [text]


def read_by_contract(config: TableData, contract: DataContract, seed: int) -> Dataset:
    """Read labeled rows as a finished run reads its own; nothing is inferred from them."""
    path = resolve_path(config.path)
    if path.is_dir():
        raise config_error("data.path", config.path, "is a folder; data=image_folder reads folders")
    table = read_table(path, reader=contract.reader, typed=False, verbatim=contract.verbatim())
    frame, roles = table.frame, contract.roles
    named = [*contract.roles.inputs(), *contract.roles.target]
    if roles.image and roles.image in frame:
        frame[roles.image] = _below_folder(frame[roles.image], path.parent)
    dataset = Dataset(
        contract.apply(frame),
        roles,
        path.name,
        split=split_plan(config, seed, config.gap, config.disjoint_entities),
        files=table.files,
        notes=list(table.notes),
    )
    return (
        without_unlabeled(dataset) if config.drop_unlabeled and set(named) <= set(frame.columns) else dataset
    )


def _texts(config: TableData) -> list[str]:
    return [*config.text, *config.references, *([config.prompt] if config.prompt else [])]


def unlabeled(frame: pd.DataFrame, target: Sequence[str]) -> pd.Series[Any]:
    """Return which rows lack a value in a target column, (N,) booleans."""
    gone = pd.Series(False, index=frame.index)
    for column in target:
        gone |= is_missing(frame[column])
    return gone


def without_unlabeled(dataset: Dataset) -> Dataset:
    """Drop rows without a target and note which."""
    gone = unlabeled(dataset.frame, dataset.roles.target)
    if gone.any():
        rows = dataset.frame.index[gone]
        dataset.notes.append(f"Left out {len(rows)} rows without a target: {format_rows(rows)}.")
        dataset.frame = dataset.frame[~gone]
    return dataset


def _below_folder(values: pd.Series[Any], folder: Path) -> pd.Series[Any]:
    """Return image paths with the relative ones taken from the table's folder."""
    return values.map(lambda v: str(folder / v) if isinstance(v, str) and not Path(v).is_absolute() else v)
