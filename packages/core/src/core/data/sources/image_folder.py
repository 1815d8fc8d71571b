"""A user's own folder of images: a class a folder, or a table with a row per image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from core.config import TaskConfig, config_error
from core.data.coercion import format_rows
from core.data.config import ImageFolderData, split_plan
from core.data.readers.files import resolve_path
from core.data.readers.table import Table, read_table
from core.data.roles import require_columns
from core.data.sources.table import without_unlabeled
from core.data.splits import SPLIT_NAMES
from core.data.types import ColumnRoles, Dataset, SplitPlan

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


def read(config: ImageFolderData, task: TaskConfig | None, seed: int) -> Dataset:
    """Read ``data=image_folder``: ``class/image``, or ``train|validation|test/class/image``, or images + metadata.

    The frame has ``image`` (path), the metadata's columns and, where folders give them, ``label`` and ``folder_split``.
    """
    root = resolve_path(config.path)
    if not root.is_dir():
        raise config_error(
            "data.path", config.path, "is a file; data=images reads Parquet files with images inside"
        )
    files = image_files(root)
    if not files:
        raise ValueError(f"{root}: no images below this folder (expected {', '.join(IMAGE_ENDINGS)})")
    inside = [f.relative_to(root).parts for f in files]
    tops = {parts[0].lower() for parts in inside if len(parts) > 1}
    given_split = bool(tops) and tops <= set(SPLIT_NAMES) and all(len(parts) > 1 for parts in inside)
    frame = pd.DataFrame(
        {"image": [str(f) for f in files], "file": ["/".join(p) for p in inside]}, dtype=object
    )
    notes: list[str] = []
    hashes: dict[str, str] = {}
    depth = 1 if given_split else 0
    if given_split:
        frame["folder_split"] = [SPLIT_NAMES[parts[0].lower()] for parts in inside]
        notes.append(f"The folders {', '.join(sorted(tops))} give the split.")
    if all(len(parts) == depth + 2 for parts in inside):
        frame["label"] = [parts[depth] for parts in inside]
    elif config.metadata is None:
        odd = next("/".join(p) for p in inside if len(p) != depth + 2)
        raise ValueError(
            f"{root}: {odd} is not in a class folder (expected class/image.jpg, or train/class/image.jpg): "
            "sort images into class folders, or give data.metadata"
        )
    frame = with_metadata(frame, config, root, notes, hashes)
    target = config.target if config.metadata is not None and config.target in frame else "label"
    if target not in frame:
        raise config_error(
            "data.target", config.target, f"no class folders, and no such column in {config.metadata}"
        )
    dataset = Dataset(
        frame,
        ColumnRoles(target=(target,), image="image", sensitive=tuple(config.sensitive), unit=config.unit),
        root.name,
        split=folder_split(config, seed, given_split),
        files=hashes,
        group_edges=dict(config.bin_edges),
        notes=notes,
        unit_name="unit" if config.unit else "image",
    )
    return without_unlabeled(dataset) if config.drop_unlabeled else dataset


def image_files(folder: Path) -> list[Path]:
    """Return the images below a folder, by their endings, in order."""
    return sorted(f for f in folder.rglob("*") if f.suffix.lower() in IMAGE_ENDINGS and f.is_file())


def folder_split(config: ImageFolderData, seed: int, given_split: bool) -> SplitPlan:
    """Return the split: that of the folders where they give one and no key asks for another."""
    plan = split_plan(config, seed)
    if given_split and config.split in ("auto", "column") and not config.split_column:
        return SplitPlan("column", "folder_split", plan.validation_fraction, plan.test_fraction, plan.seed)
    return plan


def with_metadata(
    frame: pd.DataFrame, config: ImageFolderData, root: Path, notes: list[str], hashes: dict[str, str]
) -> pd.DataFrame:
    """Join the metadata's columns where there are metadata, number the rows from 1, and check the named columns.

    ``notes`` and ``hashes`` get what was left out and the file that was read.
    """
    if config.metadata is not None:
        table = read_table(resolve_path(config.metadata, "data.metadata"))
        hashes |= table.files
        frame, more = join_metadata(frame, table, config, root)
        notes += more
    named: Mapping[str, Sequence[str]] = {
        "data.sensitive": config.sensitive,
        "data.unit": [config.unit] if config.unit else [],
        "data.split_column": [config.split_column] if config.split_column else [],
    }
    require_columns(frame, named, root)
    return frame.set_axis(pd.RangeIndex(1, len(frame) + 1), axis=0)


def join_metadata(
    frame: pd.DataFrame, table: Table, config: ImageFolderData, root: Path
) -> tuple[pd.DataFrame, list[str]]:
    """Join metadata to images by path below the folder, file name, or name without its ending.

    Returns the frame and sentences about rows and images without a match.
    """
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
    extra = extra.drop(columns=[c for c in ("image", "folder_split") if c in extra])
    kept = frame[~bare].drop(columns=[c for c in extra.columns if c in frame])
    joined = extra.loc[keys[~bare].to_numpy()].set_axis(kept.index, axis=0)
    return pd.concat([kept, joined], axis=1), notes
