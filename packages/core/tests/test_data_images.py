"""Images are turned upright, get one size, and a broken one is named by its row."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from core.data.config import ColumnsEncoderConfig, ImageEncoding
from core.data.encoders.columns import ColumnsEncoder
from core.data.types import ColumnRoles

ROLES = ColumnRoles(image="image")


def _bytes(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:  # type: ignore[type-arg]
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def _pixels(height: int, width: int, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def _fitted(frame: pd.DataFrame, **settings: Any) -> ColumnsEncoder:
    encoder = ColumnsEncoder(ColumnsEncoderConfig(image=ImageEncoding(**settings)), ROLES)
    encoder.fit(frame)
    return encoder


def test_pixels_come_as_they_are_where_the_size_fits(tmp_path: Path) -> None:
    pixels = [_pixels(8, 10, seed) for seed in range(3)]
    frame = pd.DataFrame({"image": [_bytes(p) for p in pixels]})
    encoder = _fitted(frame)
    assert encoder.layout().image == (3, 8, 10)
    found = encoder.transform(frame)["image"]
    assert found.dtype == torch.uint8
    np.testing.assert_array_equal(found, np.stack(pixels).transpose(0, 3, 1, 2))
    for i, p in enumerate(pixels):
        (tmp_path / f"{i}.png").write_bytes(_bytes(p))
    paths = pd.DataFrame({"image": [str(tmp_path / f"{i}.png") for i in range(3)]})
    assert torch.equal(_fitted(paths).transform(paths)["image"], found)


def test_decoded_when_wanted_equals_decoded_at_once() -> None:
    frame = pd.DataFrame({"image": [_bytes(_pixels(12, 9, seed)) for seed in range(20)]})
    eager, lazy = _fitted(frame, size=8), _fitted(frame, size=8, cache_mib=0)
    index = torch.tensor([3, 17, 3, 0])
    assert torch.equal(eager.encode(frame).take(index)["image"], lazy.encode(frame).take(index)["image"])


def test_a_photo_is_turned_as_its_exif_says() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    frame = pd.DataFrame({"image": [_bytes(pixels, "JPEG", exif=exif, quality=95)]})
    found = _fitted(frame).transform(frame)["image"][0, 0]
    assert found[:3].max() < 30
    assert found[5:].min() > 225


@pytest.mark.parametrize(("how", "columns"), [("stretch", 8), ("pad", 4), ("crop", 8)])
def test_shapes_are_fitted_as_asked(how: str, columns: int) -> None:
    white = np.full((16, 8, 3), 255, np.uint8)
    frame = pd.DataFrame({"image": [_bytes(white)]})
    found = _fitted(frame, size=8, resize_mode=how).transform(frame)["image"][0, 0]
    assert found.shape == (8, 8)
    assert int((found > 128).any(0).sum()) == columns


def test_gray_sixteen_bit_and_color_are_brought_together() -> None:
    deep = np.full((4, 4), 0x8000, np.uint16)
    frame = pd.DataFrame(
        {"image": [_bytes(deep), _bytes(np.full((4, 4), 128, np.uint8)), _bytes(_pixels(4, 4))]}
    )
    gray = _fitted(frame, channels=1).transform(frame)["image"]
    assert gray.shape == (3, 1, 4, 4)
    assert gray[:2].unique().tolist() == [128]
    assert _fitted(frame).transform(frame)["image"].shape == (3, 3, 4, 4)


def test_sizes_that_differ_become_one_square_of_at_most_224() -> None:
    frame = pd.DataFrame({"image": [_bytes(_pixels(h, w)) for h, w in ((20, 30), (40, 20), (22, 50))]})
    assert _fitted(frame).layout().image == (3, 20, 20)
    large = pd.DataFrame({"image": [_bytes(_pixels(300, 300))]})
    assert _fitted(large).layout().image == (3, 224, 224)


def test_larger_sources_are_kept_for_crops_and_finished_small() -> None:
    frame = pd.DataFrame({"image": [_bytes(_pixels(32, 32, s)) for s in range(4)]})
    encoder = _fitted(frame, size=16, pre_crop_size=32)
    prepared = encoder.encode(frame)
    assert encoder.layout().image == (3, 16, 16)
    assert prepared.take(torch.tensor([1]))["image"].shape == (1, 3, 16, 16)
    assert prepared.take_for_augmentation(torch.tensor([1]))["image"].shape == (1, 3, 32, 32)
    with pytest.raises(ValueError, match=r"encoder\.image\.pre_crop_size=8 is smaller"):
        _fitted(frame, size=16, pre_crop_size=8)


@pytest.mark.parametrize("cache_mib", [0, 100])
def test_what_is_no_image_is_named_by_row(tmp_path: Path, cache_mib: int) -> None:
    good = _bytes(_pixels(8, 8))
    train = pd.DataFrame({"image": [good]})
    encoder = _fitted(train, cache_mib=cache_mib)
    for bad, message in (
        (b"no image", "row 12: the image can't be decoded"),
        (None, "row 12: there is no image"),
        (str(tmp_path / "none.png"), "row 12: no file"),
    ):
        frame = pd.DataFrame({"image": pd.Series([good, bad], index=[11, 12], dtype=object)})
        with pytest.raises(ValueError, match=message):
            encoder.encode(frame)
    cut = pd.DataFrame({"image": [good, _bytes(_pixels(64, 64))[:2000]]}, index=[11, 12])
    with pytest.raises(ValueError, match="column 'image', row 12: the image can't be decoded"):
        encoder.transform(cut)
