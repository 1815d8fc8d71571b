"""A folder of images with masks, and changes of an image that take its mask along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import core.targets.config  # noqa: F401 - registers the target
from core.config import OPTIONS, build
from core.data.checks.dataset_checks import check_dataset
from core.data.checks.split_checks import check_splits
from core.data.config import ColumnsEncoderConfig, ImageAugmentation, ImageEncoding, MaskFolderData
from core.data.encoded_split import EncodedSplit
from core.data.encoders.columns import ColumnsEncoder
from core.data.groups import Groups
from core.data.labels import label_matrix
from core.data.splits import split
from core.data.types import Dataset, Layout


def folder(root: Path, below: str = "", count: int = 12, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    for kind in ("images", "masks"):
        (root / below / kind / "a").mkdir(parents=True, exist_ok=True)
    (root / "classes.txt").write_text("road\ncar\n\n")
    for n in range(count):
        mask = np.zeros((8, 12), np.uint8)
        mask[2:6, n % 6 : n % 6 + 4] = 1
        mask[0, 0] = 9
        image = np.where(mask[..., None] == 1, 250, 5) + rng.integers(0, 5, (8, 12, 3))
        Image.fromarray(image.astype(np.uint8)).save(root / below / "images/a" / f"{seed}_{n}.png")
        Image.fromarray(mask).save(root / below / "masks/a" / f"{seed}_{n}.png")
    return root


def read(root: Path, **settings: object) -> Dataset:
    config = MaskFolderData(path=str(root), **settings)  # type: ignore[call-arg]
    dataset: Dataset = build(config, None, 0)
    return dataset


def test_a_folder_is_paired_split_and_encoded(tmp_path: Path) -> None:
    dataset = read(folder(tmp_path))
    assert dataset.roles.mask_classes == ("road", "car")
    assert all(
        Path(i).stem == Path(m).stem
        for i, m in zip(dataset.frame["image"], dataset.frame["mask"], strict=True)
    )
    labels, names = label_matrix(dataset)
    assert names == ["road", "car"]
    assert labels.min() == 1
    check_dataset(dataset)
    rows = split(dataset)
    assert {name: len(r) for name, r in rows.items()} == {"train": 8, "validation": 2, "test": 2}
    check_splits(dataset, rows)
    encoder = ColumnsEncoder(ColumnsEncoderConfig(), dataset.roles)
    train = dataset.frame.iloc[rows["train"]]
    encoder.fit(train)
    target = build(OPTIONS["target", "segmentation"](), train, dataset.roles)
    part = EncodedSplit(train, rows["train"], encoder, target.encode, dataset.roles, Groups({}))
    assert encoder.layout().image == (3, 8, 12)
    assert part.targets.shape == (8, 8, 12)
    assert set(part.targets.unique().tolist()) == {0, 1, 255}
    changed = build(ImageAugmentation(scale=1.0, ratio=1.0, train_resolution=0.5), encoder.layout())
    batch = part.batch(torch.arange(4), changed, torch.Generator().manual_seed(0))
    assert batch.inputs["image"].shape == (4, 3, 4, 6)
    assert batch.targets.shape == (4, 4, 6)
    assert "mask" not in batch.inputs


def test_folders_of_splits_give_the_split(tmp_path: Path) -> None:
    for number, part in enumerate(("train", "val", "test")):
        folder(tmp_path, part, 3 + number, number)
    rows = split(read(tmp_path))
    assert {name: len(r) for name, r in rows.items()} == {"train": 3, "validation": 4, "test": 5}


def test_mistakes_are_named(tmp_path: Path) -> None:
    root = folder(tmp_path)
    (root / "masks/a/0_3.png").rename(root / "masks/a/other.png")
    with pytest.raises(ValueError, match=r"images without a mask.*a/0_3"):
        read(root)
    (root / "masks/a/other.png").rename(root / "masks/a/0_3.png")
    Image.new("L", (5, 5)).save(root / "masks/a/0_3.png")
    with pytest.raises(ValueError, match=r"0_3\.png \(12, 8\) and \(5, 5\)"):
        read(root)
    (root / "classes.txt").write_text("road\nroad\n")
    with pytest.raises(ValueError, match="different names"):
        read(root)
    (root / "classes.txt").unlink()
    with pytest.raises(ValueError, match=r"data\.classes"):
        read(root)
    with pytest.raises(ValueError, match=r"data\.images"):
        read(_with_classes(tmp_path / "empty"))


def _with_classes(root: Path) -> Path:
    root.mkdir()
    (root / "classes.txt").write_text("road\ncar\n")
    return root


def test_cropped_images_have_no_masks_beside_them(tmp_path: Path) -> None:
    dataset = read(folder(tmp_path))
    with pytest.raises(ValueError, match=r"encoder\.image\.resize_mode"):
        ColumnsEncoder(ColumnsEncoderConfig(image=ImageEncoding(resize_mode="crop")), dataset.roles).fit(
            dataset.frame
        )


def _blobs(count: int = 24, side: int = 32) -> torch.Tensor:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:side, 0:side]
    middle = rng.uniform(8, side - 8, (count, 2, 1, 1))
    return torch.from_numpy((np.hypot(y - middle[:, 0], x - middle[:, 1]) < 7).astype(np.uint8))


@pytest.mark.parametrize(
    "settings",
    [
        {"flip": True},
        {"dihedral": True},
        {"scale": 0.4, "rotation": 30.0, "shear": 10.0},
        {"scale": 0.5, "train_resolution": 0.5},
    ],
)
def test_the_mask_moves_with_its_image_and_keeps_its_values(settings: dict[str, object]) -> None:
    still = {"scale": 1.0, "ratio": 1.0, "flip": False, "hue": 0.0, "saturation": 0.0}
    light = {"brightness": 0.1, "contrast": 0.1}
    made = build(ImageAugmentation(**(still | light | settings)), Layout(image=(3, 32, 32)))  # type: ignore[arg-type]
    assert made is not None
    mask = _blobs()
    image = (mask * 200)[:, None].expand(-1, 3, -1, -1).contiguous()
    found = made({"image": image, "mask": mask}, torch.Generator().manual_seed(1))
    side = 16 if "train_resolution" in settings else 32
    assert found["mask"].shape == (24, side, side)
    assert found["mask"].dtype == torch.uint8
    assert set(found["mask"].unique().tolist()) == {0, 1}
    agree = ((found["image"][:, 0] > 90) == (found["mask"] == 1)).float().mean()
    assert agree > 0.97
    if side == 32:
        assert not torch.equal(found["mask"], mask)
    alone = made({"image": image}, torch.Generator().manual_seed(1))
    assert torch.equal(alone["image"], found["image"])


def test_images_may_be_wider_than_high(tmp_path: Path) -> None:
    dataset = read(folder(tmp_path))
    image = ImageEncoding(size=4, width=10)
    encoder = ColumnsEncoder(ColumnsEncoderConfig(image=image), dataset.roles)
    encoder.fit(dataset.frame)
    assert encoder.layout().image == (3, 4, 10)
    assert encoder.transform(dataset.frame.iloc[:2])["image"].shape == (2, 3, 4, 10)
    with pytest.raises(ValueError, match=r"encoder\.image\.width"):
        ImageEncoding(width=10)
