"""Datasets from a user's own files: a table, texts, images in a table, a folder of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from core.config import config_error
from core.data.config import ImageFolderData, ImagesData, TableData, split_plan
from core.data.roles import infer_roles
from core.data.readers.table import Table, resolve_path, read_table
from core.data.types import Dataset, ColumnRoles, SplitPlan
from core.data.coercion import is_missing, format_rows, to_numbers

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
PARTS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
}
PARTS |= {"validation": "validation", "test": "test", "testing": "test"}


def own_table(config: TableData, seed: int) -> Dataset:
    """Read ``data=table``, ``data=text`` or ``data=images``; raises ``ValueError`` that names key, column and file."""
    plan = split_plan(config, seed)
    if not config.target:
        raise config_error("data.target", [], "name the column to predict")
    path = resolve_path(config.path)
    if path.is_dir():
        raise config_error("data.path", config.path, "is a folder; data=image_folder reads folders")
    table = read_table(path, delimiter=config.delimiter, encoding=config.encoding, missing=config.missing)
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
    named = {
        f"data.{k}": getattr(config, k)
        for k in ("target", "sensitive", "numeric", "categorical", "text", "references")
    }
    named["data.prompt"] = [config.prompt] if config.prompt else []
    named |= {"data.ignore": config.ignore, "data.unit": [config.unit] if config.unit else []}
    named |= {"data.time": [config.time] if config.time else [], "data.image": [image] if image else []}
    named["data.split_column"] = [config.split_column] if config.split_column else []
    require_columns(table.frame, named, path)
    frame, notes = table.frame, list(table.notes)
    for column in config.numeric:
        frame[column] = to_numbers(frame[column], column)
    if image:
        frame[image] = _against_folder(frame[image], path.parent)
    if config.infer:
        skipped = [*config.ignore, *([config.split_column] if config.split_column else [])]
        given, told = infer_roles(frame, given, skipped)
        notes += told
    if not given.inputs():
        raise ValueError(
            f"{path}: no column is left as an input: list some in data.numeric, categorical or text"
        )
    dataset = Dataset(
        frame, given, path.name, split=plan, files=table.files, group_edges=dict(config.bands), notes=notes
    )
    if config.unit:
        dataset.unit_name = "unit"
    return without_unlabelled(dataset) if config.drop_unlabelled else dataset


def require_columns(frame: pd.DataFrame, named: dict[str, Sequence[str]], path: Path) -> None:
    """Refuse column names that the table does not have, all in one message with the key and the nearest names."""
    from difflib import get_close_matches

    have = [str(c) for c in frame.columns]
    told = []
    for key, columns in named.items():
        for column in columns:
            if column not in have:
                near = get_close_matches(column, have, n=2, cutoff=0.5)
                told.append(
                    f"{key}: no column {column!r}"
                    + (f" (meant {' or '.join(map(repr, near))}?)" if near else "")
                )
    if told:
        shown = ", ".join(have[:40]) + (f" and {len(have) - 40} more" if len(have) > 40 else "")
        raise ValueError(f"{path}: {'; '.join(told)}. The table has the columns {shown}")


def unlabelled(frame: pd.DataFrame, target: Sequence[str]) -> pd.Series[Any]:
    """Tell which rows lack a value in a target column."""
    gone = pd.Series(False, index=frame.index)
    for column in target:
        gone |= is_missing(frame[column])
    return gone


def without_unlabelled(dataset: Dataset) -> Dataset:
    """Leave rows without a target out and say which, in a note."""
    gone = unlabelled(dataset.frame, dataset.roles.target)
    if gone.any():
        rows = dataset.frame.index[gone]
        dataset.notes.append(f"Left out {len(rows)} rows without a target: {format_rows(rows)}.")
        dataset.frame = dataset.frame[~gone]
    return dataset


def _against_folder(values: pd.Series[Any], folder: Path) -> pd.Series[Any]:
    """Make relative image paths relative to the table's folder."""
    return values.map(lambda v: str(folder / v) if isinstance(v, str) and not Path(v).is_absolute() else v)


def own_image_folder(config: ImageFolderData, seed: int) -> Dataset:
    """Read ``data=image_folder``: ``class/image``, or ``train|validation|test/class/image``, or images + metadata.

    The frame has ``image`` (path), ``label`` and, where folders give them, ``part``; and the metadata's columns.
    """
    plan = split_plan(config, seed)
    root = resolve_path(config.path)
    if not root.is_dir():
        raise config_error(
            "data.path", config.path, "is a file; data=images reads Parquet files with images inside"
        )
    files = sorted(f for f in root.rglob("*") if f.suffix.lower() in IMAGE_ENDINGS and f.is_file())
    if not files:
        raise ValueError(f"{root}: no images below this folder (looked for {', '.join(IMAGE_ENDINGS)})")
    inside = [f.relative_to(root).parts for f in files]
    tops = {parts[0].lower() for parts in inside if len(parts) > 1}
    parted = bool(tops) and tops <= set(PARTS) and all(len(parts) > 1 for parts in inside)
    frame = pd.DataFrame(
        {"image": [str(f) for f in files], "file": ["/".join(p) for p in inside]}, dtype=object
    )
    notes: list[str] = []
    hashes: dict[str, str] = {}
    depth = 1 if parted else 0
    if parted:
        frame["part"] = [PARTS[parts[0].lower()] for parts in inside]
        notes.append(f"The folders {', '.join(sorted(tops))} give the parts.")
    if all(len(parts) == depth + 2 for parts in inside):
        frame["label"] = [parts[depth] for parts in inside]
    elif config.metadata is None:
        odd = next("/".join(p) for p in inside if len(p) != depth + 2)
        raise ValueError(
            f"{root}: {odd} is not in a class folder (expected class/image.jpg, or train/class/image.jpg): "
            "sort images into class folders, or give data.metadata"
        )
    if config.metadata is not None:
        table = read_table(resolve_path(config.metadata, "data.metadata"))
        hashes |= table.files
        frame, told = joined(frame, table, config, root)
        notes += told
    target = config.target if config.metadata is not None and config.target in frame else "label"
    if target not in frame:
        raise config_error(
            "data.target", config.target, f"no class folders, and no such column in {config.metadata}"
        )
    require_columns(
        frame,
        {
            "data.sensitive": config.sensitive,
            "data.unit": [config.unit] if config.unit else [],
            "data.split_column": [config.split_column] if config.split_column else [],
        },
        root,
    )
    if parted and config.split in ("auto", "column") and not config.split_column:
        plan = SplitPlan("column", "part", plan.validation_fraction, plan.test_fraction, plan.seed)
    roles = ColumnRoles(target=(target,), image="image", sensitive=tuple(config.sensitive), unit=config.unit)
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    dataset = Dataset(
        frame, roles, root.name, split=plan, files=hashes, group_edges=dict(config.bands), notes=notes,
        unit_name="unit" if config.unit else "image",
    )  # fmt: skip
    return without_unlabelled(dataset) if config.drop_unlabelled else dataset


def joined(
    frame: pd.DataFrame, table: Table, config: ImageFolderData, root: Path
) -> tuple[pd.DataFrame, list[str]]:
    """Join metadata to images by path below the folder, file name, or name without its ending."""
    rows = table.frame
    if config.file not in rows:
        raise config_error(
            "data.file", config.file, f"no such column in {config.metadata}; it has {', '.join(rows.columns)}"
        )
    wanted = rows[config.file].astype("str")
    ways = {
        "path": frame["file"],
        "name": frame["file"].map(lambda f: Path(f).name),
        "stem": frame["file"].map(lambda f: Path(f).stem),
    }
    way = max(ways, key=lambda w: int(ways[w].isin(wanted).sum()))
    keys = ways[way]
    if not keys.isin(wanted).any():
        raise ValueError(
            f"{config.metadata}: no value of {config.file!r} names an image below {root} (such as {wanted.iloc[0]!r})"
        )
    if wanted.duplicated().any():
        twice = format_rows(rows.index[wanted.duplicated()])
        raise ValueError(f"{config.metadata}: {config.file!r} names an image twice ({twice})")
    if keys.duplicated().any():
        raise ValueError(
            f"{config.metadata}: {config.file!r} holds names, but two folders have "
            f"{keys[keys.duplicated()].iloc[0]!r}: write the path below the folder"
        )
    lost = rows.index[~wanted.isin(keys)]
    notes = [f"{config.metadata} names {len(lost)} images that are not in the folder."] if len(lost) else []
    bare = ~keys.isin(wanted)
    if bare.any():
        notes.append(f"Left out {int(bare.sum())} images that {config.metadata} does not name.")
    extra = rows.drop(columns=[config.file]).set_axis(wanted.to_numpy(), axis=0)
    extra = extra.drop(columns=[c for c in ("image", "part") if c in extra])
    kept = frame[~bare].drop(columns=[c for c in extra.columns if c in frame])
    joined = extra.loc[keys[~bare].to_numpy()].set_axis(kept.index, axis=0)
    return pd.concat([kept, joined], axis=1), notes
