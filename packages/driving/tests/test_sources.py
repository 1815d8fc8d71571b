"""The readers on the real files: official parts, whole tracks, pixels without a class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from real_data import ROOT, needs_data

import driving
from core.config import build
from core.data.checks.dataset_checks import check_dataset
from core.data.checks.split_checks import check_splits
from core.data.masks import IGNORE_INDEX, read_masks
from core.data.splits import split
from core.data.types import Dataset
from driving.classes import RIGHT_OF_WAY, SCENE_CLASSES, SIGN_CLASSES, VULNERABLE

DATA = ROOT / "driving"


def read(*overrides: str) -> Dataset:
    config: Any = driving.train.configure(*overrides)
    dataset: Dataset = build(config.data, config.task, config.seed)
    return dataset


@pytest.fixture(scope="module")
def strips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few published strips of GTSRB, with all columns as published."""
    table = pd.read_parquet(DATA / "gtsrb/gtsrb_32x32.parquet")
    path = tmp_path_factory.mktemp("gtsrb") / "gtsrb.parquet"
    pd.concat(
        [table[table["split"] == "train"].head(12), table[table["split"] == "test"].head(2)]
    ).to_parquet(path)
    return path


@needs_data
def test_gtsrb_keeps_the_official_test_part_and_tracks_whole() -> None:
    dataset = read("experiment=gtsrb", f"data.path={DATA / 'gtsrb/gtsrb_32x32.parquet'}")
    frame = dataset.frame
    rows = split(dataset)
    check_dataset(dataset)
    assert [f for f in check_splits(dataset, rows) if f.level == "error"] == []
    assert set(frame["split"].iloc[rows["test"]]) == {"test"}
    assert len(rows["test"]) == 12630
    assert len(rows["train"]) + len(rows["validation"]) == 39209
    tracks = [set(frame["track"].iloc[rows[part]]) for part in ("train", "validation")]
    assert not tracks[0] & tracks[1]
    sizes = frame[frame["split"] == "train"].groupby("track").size()
    assert set(sizes) <= {29, 30}
    assert frame.groupby("track")["sign"].nunique().max() == 1
    assert frame["brightness"].between(0, 255).all()
    assert frame["pixels"].min() >= 15
    assert set(frame["sign"]) <= set(SIGN_CLASSES)


@needs_data
def test_gtsrb_pictures_are_those_of_the_strip(strips: Path) -> None:
    import io

    from PIL import Image

    dataset = read("task=signs", "data=gtsrb", f"data.path={strips}")
    table = pd.read_parquet(strips)
    strip = np.asarray(Image.open(io.BytesIO(table["image"].iloc[0])).convert("RGB")).reshape(-1, 32, 32, 3)
    fifth = np.asarray(Image.open(io.BytesIO(dataset.frame["image"].iloc[5])))
    assert np.array_equal(fifth, strip[5])
    assert dataset.frame["sign"].iloc[5] == SIGN_CLASSES[table["labels"].iloc[0][5]]


@needs_data
def test_a_strip_of_another_length_is_refused(strips: Path, tmp_path: Path) -> None:
    table = pd.read_parquet(strips)
    table.loc[table.index[0], "n"] = 3
    table.to_parquet(tmp_path / "short.parquet")
    with pytest.raises(ValueError, match="a strip of 3 images"):
        read("task=signs", "data=gtsrb", f"data.path={tmp_path / 'short.parquet'}")


@needs_data
def test_camvid_has_the_published_parts_and_its_pixels_without_a_class() -> None:
    dataset = read("experiment=camvid", f"data.path={DATA / 'camvid/camvid_320x240.parquet'}")
    rows = split(dataset)
    assert {part: len(r) for part, r in rows.items()} == {"train": 367, "validation": 101, "test": 233}
    assert dataset.roles.mask_classes == SCENE_CLASSES
    masks = np.stack(read_masks(dataset.frame["mask"].iloc[:40], None, len(SCENE_CLASSES)))
    assert masks.shape == (40, 240, 320)
    assert set(np.unique(masks)) <= {*range(11), IGNORE_INDEX}
    assert 0 < (masks == IGNORE_INDEX).mean() < 0.15
    assert (masks == SCENE_CLASSES.index("road")).mean() > 0.15
    assert any("0001TP" in note for note in dataset.notes)


def test_classes_named_apart_are_classes() -> None:
    assert len(SIGN_CLASSES) == len(set(SIGN_CLASSES)) == 43
    assert set(VULNERABLE) <= {*SIGN_CLASSES, *SCENE_CLASSES}
    assert set(RIGHT_OF_WAY) <= set(SIGN_CLASSES)


@needs_data
def test_foreign_pictures_come_from_test_strips() -> None:
    from driving.ood_sets import _cifar10

    path = DATA.parent / "core/cifar10/cifar10.parquet"
    found = _cifar10(np.random.default_rng(0), str(path), 30)
    assert len(found) == 30
    assert all(p.shape == (32, 32, 3) and p.dtype == np.uint8 for p in found)


@needs_data
def test_signs_that_are_held_out_are_taught_by_no_part_and_kept_for_the_study() -> None:
    config: Any = driving.train.configure("experiment=gtsrb", "data.held_out_classes=[stop,yield]")
    dataset = build(config.data, config.task, 0)
    assert not set(dataset.frame["sign"]) & {"stop", "yield"}
    foreign = dataset.ood_sets["held_out_signs"]
    assert set(foreign["sign"]) == {"stop", "yield"}
    assert set(foreign["split"]) == {"test"}
    assert len(foreign) == 270 + 720  # the official test part's stop and yield signs
    with pytest.raises(ValueError, match=r"data\.held_out_classes=\['sotp'\]"):
        driving.train.configure("experiment=gtsrb", "data.held_out_classes=sotp")
