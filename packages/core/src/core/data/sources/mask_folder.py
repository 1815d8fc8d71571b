"""A user's own images with masks: a folder of images, one of masks with the same names, a file of class names."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from PIL import Image

from core.config import TaskConfig, config_error
from core.data.config import MaskFolderData
from core.data.readers.files import resolve_path, sha256
from core.data.sources.image_folder import IMAGE_ENDINGS, folder_split, image_files, with_metadata
from core.data.splits import SPLIT_NAMES
from core.data.types import ColumnRoles, Dataset

SHOWN = 5
"""Files listed in a message."""


def read(config: MaskFolderData, task: TaskConfig | None, seed: int) -> Dataset:
    """Read ``data=mask_folder``: ``images/`` and ``masks/``, or both below ``train``, ``validation`` and ``test``.

    The frame has ``image`` and ``mask`` (paths), ``file``, the metadata's columns and, where folders give it,
    ``folder_split``. Raises ``ValueError`` naming images without masks, masks without images and pairs of unequal size.
    """
    root = resolve_path(config.path)
    if not root.is_dir():
        raise config_error("data.path", config.path, "is a file; give the folder that holds images and masks")
    names = _class_names(root / config.classes)
    folders = [f for f in sorted(root.iterdir()) if f.is_dir() and f.name.lower() in SPLIT_NAMES]
    frames = [_pairs(f, config).assign(folder_split=SPLIT_NAMES[f.name.lower()]) for f in folders]
    notes = [f"The folders {', '.join(f.name for f in folders)} give the split."] if folders else []
    frame = pd.concat(frames, ignore_index=True) if folders else _pairs(root, config)
    _check_sizes(frame, root)
    hashes = {config.classes: sha256(root / config.classes)}
    return Dataset(
        with_metadata(frame, config, root, notes, hashes),
        ColumnRoles(
            target=("mask",),
            image="image",
            mask_classes=names,
            sensitive=tuple(config.sensitive),
            unit=config.unit,
        ),
        root.name,
        split=folder_split(config, seed, bool(folders)),
        files=hashes,
        group_edges=dict(config.bin_edges),
        notes=notes,
        unit_name="unit" if config.unit else "image",
    )


def _class_names(path: Path) -> tuple[str, ...]:
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
    for key, name in (("images", config.images), ("masks", config.masks)):
        below = folder / name
        if not below.is_dir():
            raise config_error(f"data.{key}", name, f"no such folder in {folder}")
        found[key] = {f.relative_to(below).with_suffix("").as_posix(): f for f in image_files(below)}
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
        raise ValueError(f"{folder / config.images}: no images (expected {', '.join(IMAGE_ENDINGS)})")
    return pd.DataFrame(
        {
            "image": [str(f) for f in images.values()],
            "mask": [str(masks[name]) for name in images],
            "file": [f.relative_to(folder).as_posix() for f in images.values()],
        },
        dtype=object,
    )


def _check_sizes(frame: pd.DataFrame, root: Path) -> None:
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
