"""The baseline of segmentation learns from color and place, and is compared on the model's own resamples."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.config import build
from core.data.config import ColumnsEncoderConfig
from core.data.encoders.columns import ColumnsEncoder
from core.data.masks import to_png
from core.data.types import ColumnRoles
from core.evaluation.config import AutoBaseline, Boosting, Logistic, StandardEvaluation
from core.evaluation.evaluate import compare, evaluate
from core.targets.config import SegmentationOption

ROLES = ColumnRoles(target=("mask",), image="image", mask_classes=("ground", "thing", "never"))


def rows(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    images, masks = [], []
    for _ in range(count):
        mask = np.zeros((24, 32), np.uint8)
        top, left = rng.integers(0, 12), rng.integers(0, 20)
        mask[top : top + 12, left : left + 12] = 1
        mask[:, -2:] = 200
        image = np.where(mask[..., None] == 1, 180, 70) + rng.normal(0, 10, (24, 32, 3))
        out = io.BytesIO()
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(out, "PNG")
        images.append(out.getvalue())
        masks.append(to_png(mask))
    return pd.DataFrame({"image": images, "mask": masks})


def test_the_pixel_classifier_learns_and_are_compared() -> None:
    frames = {"train": rows(40, 0), "validation": rows(12, 1), "test": rows(12, 2)}
    encoder = ColumnsEncoder(ColumnsEncoderConfig(), ROLES)
    encoder.fit(frames["train"])
    target = build(SegmentationOption(), frames["train"], ROLES)
    found = build(AutoBaseline(), frames, encoder, ROLES, target, 0)
    assert found is not None
    assert found.name == "boosting"
    config = StandardEvaluation(resamples=40, resamples_slow=20)
    ours = evaluate(found.validation, found.test, target, config)
    assert ours.metrics["miou"].value > 0.75
    assert ours.metrics["iou_never"].value is None
    beside = compare(ours, found, target, config)
    assert beside.section.difference["miou"].value == 0.0
    again = build(Boosting(), frames, encoder, ROLES, target, 0)
    assert again is not None
    assert np.array_equal(again.test.labels, found.test.labels)
    with pytest.raises(ValueError, match="target=segmentation takes boosting"):
        build(Logistic(), frames, encoder, ROLES, target, 0)
