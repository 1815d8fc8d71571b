"""A user's own images with masks: a folder of images, one of masks with the same names, a file of class names."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from PIL import Image

from core.config import config_error
from core.data.config import MaskFolderData, split_plan
from core.data.readers.files import sha256
from core.data.sources.table import IMAGE_ENDINGS, PARTS, joined, require_columns
from core.data.readers.table import resolve_path, read_table
from core.data.types import Dataset, ColumnRoles, SplitPlan

SHOWN = 5
"""Files named in a message."""


def own_mask_folder(config: MaskFolderData, seed: int) -> Dataset:
    """Read ``data=mask_folder``: ``images/`` and ``masks/``, or both below ``train``, ``validation`` and ``test``.

    The frame has ``image`` and ``mask`` (paths), ``file`` and, where folders give them, ``part``; and the metadata's
    columns. Raises ``ValueError`` naming images without masks, masks without images and pairs of unequal size.
    """
    plan = split_plan(config, seed)
    root = resolve_path(config.path)
    if not root.is_dir():
        raise config_error("data.path", config.path, "is a file; give the folder that holds images and masks")
    names = _names(root / config.classes)
    parts = [f for f in sorted(root.iterdir()) if f.is_dir() and f.name.lower() in PARTS]
    frames = [_pairs(f, config).assign(part=PARTS[f.name.lower()]) for f in parts]
    notes = [f"The folders {', '.join(f.name for f in parts)} give the parts."] if parts else []
    frame = pd.concat(frames, ignore_index=True) if parts else _pairs(root, config)
    _same_sizes(frame, root)
    hashes = {config.classes: sha256(root / config.classes)}
    if config.metadata is not None:
        table = read_table(resolve_path(config.metadata, "data.metadata"))
        hashes |= table.files
        frame, told = joined(frame, table, config, root)
        notes += told
    require_columns(
        frame,
        {
            "data.sensitive": config.sensitive,
            "data.unit": [config.unit] if config.unit else [],
            "data.split_column": [config.split_column] if config.split_column else [],
        },
        root,
    )
    if parts and config.split in ("auto", "column") and not config.split_column:
        plan = SplitPlan("column", "part", plan.validation_fraction, plan.test_fraction, plan.seed)
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    return Dataset(
        frame,
        ColumnRoles(
            target=("mask",),
            image="image",
            mask_classes=names,
            sensitive=tuple(config.sensitive),
            unit=config.unit,
        ),
        root.name,
        split=plan,
        files=hashes,
        group_edges=dict(config.bands),
        notes=notes,
        unit_name="unit" if config.unit else "image",
    )


def _names(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        raise config_error(
            "data.classes",
            path.name,
            f"no such file in {path.parent}: write the names of pixel values 0, 1, ... there",
        )
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) < 2 or "" in lines or len(set(lines)) < len(lines):
        raise ValueError(
            f"{path}: should hold two or more different names, one a line, for pixel values 0, 1, ... (other values "
            "have no class)"
        )
    return tuple(lines)


def _pairs(folder: Path, config: MaskFolderData) -> pd.DataFrame:
    found: dict[str, dict[str, Path]] = {}
    for key in ("images", "masks"):
        below = folder / str(getattr(config, key))
        if not below.is_dir():
            raise config_error(f"data.{key}", getattr(config, key), f"no such folder in {folder}")
        files = sorted(f for f in below.rglob("*") if f.suffix.lower() in IMAGE_ENDINGS and f.is_file())
        found[key] = {f.relative_to(below).with_suffix("").as_posix(): f for f in files}
    images, masks = found["images"], found["masks"]
    for ours, theirs, what in (
        (images, masks, "images without a mask"),
        (masks, images, "masks without an image"),
    ):
        alone = [name for name in ours if name not in theirs]
        if alone:
            more = f" and {len(alone) - SHOWN} more" if len(alone) > SHOWN else ""
            raise ValueError(f"{folder}: {what} of the same name: {', '.join(alone[:SHOWN])}{more}")
    if not images:
        raise ValueError(f"{folder / config.images}: no images (looked for {', '.join(IMAGE_ENDINGS)})")
    return pd.DataFrame(
        {
            "image": [str(f) for f in images.values()],
            "mask": [str(masks[name]) for name in images],
            "file": [f.relative_to(folder).as_posix() for f in images.values()],
        },
        dtype=object,
    )


def _same_sizes(frame: pd.DataFrame, root: Path) -> None:
    unequal = []
    for image, mask in zip(frame["image"], frame["mask"], strict=True):
        try:
            with Image.open(image) as one, Image.open(mask) as other:
                if one.size != other.size:
                    unequal.append(f"{Path(image).name} {one.size} and {other.size}")
        except (OSError, Image.DecompressionBombError) as error:
            raise ValueError(
                f"{image} or its mask {mask} can't be decoded ({error}): replace or remove it"
            ) from error
    if unequal:
        raise ValueError(
            f"{root}: {len(unequal)} masks differ from their images in (width, height): {'; '.join(unequal[:SHOWN])}"
        )
