"""Segmentation: the loss against torch's own, metrics against scikit-learn's, files there and back, views laid back."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import jaccard_score
from torch import nn
from torch.nn.functional import cross_entropy, interpolate, one_hot

from core.backbones.config import FullConfig, ResNetGNConfig, TimmConfig
from core.config import build
from core.data.batches import ShuffledBatches
from core.data.masks import IGNORE_INDEX, to_png
from core.data.types import ColumnRoles, Layout
from core.evaluation.config import StandardEvaluation
from core.evaluation.evaluate import evaluate
from core.evaluation.intervals import point
from core.report.predictions import read_predictions, write_predictions
from core.report.record import plain
from core.targets import restore
from core.targets.config import AutoTarget, SegmentationOption
from core.targets.segmentation import SegmentationTarget, miou, pixel_accuracy
from core.targets.types import MetricSettings, Predictions
from core.training.prediction import decode_rows, scores

ROLES = ColumnRoles(target=("mask",), image="image", mask_classes=("road", "car", "sky"))


def some_masks(count: int = 6, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 3, (count, 8, 12)).astype(np.uint8)
    found[rng.random(found.shape) < 0.1] = IGNORE_INDEX
    return found


def frame(found: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"mask": [to_png(m) for m in found]}, index=range(1, len(found) + 1))


def target(**settings: Any) -> SegmentationTarget:
    return build(SegmentationOption(**settings), frame(some_masks()), ROLES)  # type: ignore[call-arg]


def test_kind_is_found_and_state_comes_back() -> None:
    found = build(AutoTarget(), frame(some_masks()), ROLES)
    assert (found.kind, found.reads, found.classes) == ("segmentation", "map", ("road", "car", "sky"))
    made = target(class_weights="sqrt", jaccard=0.5)
    assert restore(json.loads(json.dumps(made.state()))) == made


def test_loss_is_cross_entropy_over_the_pixels_that_have_a_class() -> None:
    truth = target().encode(frame(some_masks()))
    outputs = torch.randn(6, 3, 4, 6, generator=torch.Generator().manual_seed(1))
    ours = target().losses(outputs, truth)
    large = interpolate(outputs, (8, 12), mode="bilinear", align_corners=False)
    theirs = [
        cross_entropy(one[None], t[None].long(), ignore_index=IGNORE_INDEX)
        for one, t in zip(large, truth, strict=True)
    ]
    torch.testing.assert_close(ours, torch.stack(theirs))


def test_jaccard_term_is_one_less_the_index_of_the_classes_shown() -> None:
    truth = target().encode(frame(some_masks()))
    outputs = torch.randn(6, 3, 8, 12, generator=torch.Generator().manual_seed(2))
    added = target(jaccard=1.0).losses(outputs, truth) - target().losses(outputs, truth)
    for found, out, codes in zip(added, outputs, truth, strict=True):
        known = codes != IGNORE_INDEX
        chance = torch.softmax(out, 0)[:, known]
        sure = one_hot(codes[known].long(), 3).T.float()
        both = (chance * sure).sum(1)
        index = both / (chance.sum(1) + sure.sum(1) - both)
        torch.testing.assert_close(found, 1 - index[sure.sum(1) > 0].mean())


def test_pixels_without_a_class_and_other_examples_change_no_gradient() -> None:
    truth = target().encode(frame(some_masks()))
    outputs = torch.randn(6, 3, 8, 12, requires_grad=True)
    (gradient,) = torch.autograd.grad(target(jaccard=0.5).losses(outputs, truth)[2], outputs)
    assert gradient[[0, 1, 3, 4, 5]].abs().max() == 0
    assert gradient[2].movedim(0, -1)[truth[2] == IGNORE_INDEX].abs().max() == 0
    assert gradient[2].abs().max() > 0


def test_an_empty_mask_has_loss_zero() -> None:
    truth = torch.full((2, 8, 12), IGNORE_INDEX, dtype=torch.uint8)
    assert target(jaccard=0.5).losses(torch.randn(2, 3, 8, 12), truth).tolist() == pytest.approx([0.5, 0.5])
    assert target().losses(torch.randn(2, 3, 8, 12), truth).tolist() == [0.0, 0.0]


def test_palettes_are_read_sizes_changed_without_mixing_and_colours_refused() -> None:
    codes = some_masks(1)[0]
    palette = Image.fromarray(codes).convert("P")
    palette.putdata(codes.ravel().tolist())
    out = io.BytesIO()
    palette.save(out, "PNG")
    rows = pd.DataFrame({"mask": [out.getvalue()]}, index=[7])
    assert np.array_equal(target().encode(rows)[0].numpy(), codes)
    double = target(height=16, width=24).encode(rows)[0].numpy()
    assert np.array_equal(double, codes.repeat(2, 0).repeat(2, 1))
    rgb = io.BytesIO()
    Image.new("RGB", (12, 8)).save(rgb, "PNG")
    with pytest.raises(ValueError, match=r"row 7.*RGB"):
        target().encode(pd.DataFrame({"mask": [rgb.getvalue()]}, index=[7]))


def held(count: int = 40, seed: int = 3) -> Predictions:
    rng = np.random.default_rng(seed)
    truth = some_masks(count, seed)
    wrong = rng.random(truth.shape) < rng.uniform(0.1, 0.6, (count, 1, 1))
    labels = np.where(
        wrong, rng.integers(0, 3, truth.shape), np.where(truth == IGNORE_INDEX, 0, truth)
    ).astype(np.uint8)
    shares = rng.dirichlet(np.ones(3), count)
    light = rng.choice(["day", "night"], count).astype(np.str_)
    return Predictions(
        shares, labels, truth, ROLES.mask_classes, "segmentation", {"light": light}, None, np.arange(count)
    )


def test_figures_are_scikit_learns() -> None:
    found = held()
    known = found.targets != IGNORE_INDEX
    assert miou(found) == pytest.approx(
        jaccard_score(found.targets[known], found.labels[known], average="macro")
    )
    assert pixel_accuracy(found) == pytest.approx(np.mean(found.targets[known] == found.labels[known]))
    statistics = found.type.statistics(found.classes, MetricSettings())
    values = point(statistics, found)
    each = jaccard_score(found.targets[known], found.labels[known], average=None)
    assert [values[f"iou_{name}"] for name in found.classes] == pytest.approx(list(each))
    for name, metric in target().metrics().items():
        assert values[name] == pytest.approx(metric(found), rel=1e-12), name
    few = found.take(np.array([3, 3, 5]))
    alone = Predictions(few.scores, few.labels, few.targets, few.classes, "segmentation")
    assert np.array_equal(few.counts(), alone.counts())


def test_evaluation_keeps_masks_as_decided_and_files_bring_them_back(tmp_path: Path) -> None:
    validation, test = held(30, 4), held(40, 5)
    found = evaluate(validation, test, target(), StandardEvaluation(resamples=50, min_group_rows=5), seed=1)
    assert found.metrics["miou"].low < found.metrics["miou"].value < found.metrics["miou"].high
    assert set(found.groups["light"].groups) == {"day", "night"}
    assert np.sum(found.curves.confusion.counts) == (test.targets != IGNORE_INDEX).sum()
    json.dumps(plain(found.sections()))
    write_predictions(found.parts, tmp_path / "p.parquet")
    back = read_predictions(tmp_path / "p.parquet", "test")
    assert np.array_equal(back.labels, test.labels)
    assert np.array_equal(back.targets, test.targets)
    np.testing.assert_allclose(back.scores, test.scores)


class Paint(nn.Module):
    """Outputs for each pixel by its own color, so that a turned image has the turned output."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.05))

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return inputs["image"].float() * self.gain


@pytest.mark.parametrize("views", [2, 4, 8])
def test_views_are_laid_back_over_the_picture(views: int) -> None:
    image = torch.randint(0, 255, (5, 3, 8, 8), dtype=torch.uint8)
    made = target(height=16, width=16)
    straight = scores(Paint(), made, {"image": image}, batch_size=2)
    np.testing.assert_allclose(scores(Paint(), made, {"image": image}, views=views), straight, atol=1e-6)
    found = decode_rows(
        Paint(), made, {"image": image}, batch_size=2, views=views, likely=np.full((1, 1), 0.3)
    )
    np.testing.assert_allclose(found.scores, straight.mean(axis=(2, 3)), atol=1e-6)
    assert np.array_equal(found.labels, made.labels(straight))
    assert found.labels.shape == (5, 16, 16)
    np.testing.assert_allclose(found.sure, straight.max(axis=1).mean(axis=(1, 2)), atol=1e-6)
    many = (straight >= 0.3).sum(axis=1) > 1
    assert found.doubtful is not None
    np.testing.assert_allclose(found.doubtful, many.mean(axis=(1, 2)))


def test_the_pyramid_reads_every_map_of_own_and_of_timms_networks() -> None:
    layout = Layout(image=(3, 48, 64))
    image = {"image": torch.randint(0, 255, (2, 3, 48, 64), dtype=torch.uint8)}
    for option, finest in (
        (ResNetGNConfig(hidden_size=8), (24, 32)),
        (TimmConfig(name="resnet10t"), (12, 16)),
    ):
        model = build(FullConfig(), build(option, layout, 0), 3, "map", 0)
        out = model(image)
        assert out.shape == (2, 3, *finest)
        out.sum().backward()
        unused = [n for n, p in model.named_parameters() if p.grad is None]
        assert unused == []


def test_pixels_of_several_classes_are_needed() -> None:
    with pytest.raises(ValueError, match="mask_folder"):
        build(
            SegmentationOption(), frame(some_masks()), ColumnRoles(target=("mask",), mask_classes=("road",))
        )


class Part:
    """As much of a part as batches look at."""

    targets = torch.zeros(4, 8, 8, dtype=torch.uint8)

    def __len__(self) -> int:
        return 4


def test_balanced_batches_are_refused_for_masks() -> None:
    with pytest.raises(ValueError, match="class_weights"):
        ShuffledBatches(Part(), 2, seed=0, epochs=1, sampling="class_balanced")  # type: ignore[arg-type]
