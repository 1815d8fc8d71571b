"""Studies of image models: corruptions, out-of-distribution rows, risk against coverage, slices; by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from core.data.types import ColumnRoles, Dataset
from core.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from core.evaluation.latency import latency
from core.evaluation.ood_detection import ood_detection, separation
from core.evaluation.robustness import robustness
from core.evaluation.selective import BINS, risk_coverage, risk_curve
from core.evaluation.slices import slices
from core.evaluation.study import EvaluationContext
from core.targets.multiclass import MulticlassTarget
from core.targets.segmentation import SegmentationTarget
from core.targets.types import Predictions

CLASSES = ("dark", "middle", "bright")
LEVELS = (40, 120, 210)


def images(count: int = 90, side: int = 16) -> tuple[torch.Tensor, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = np.arange(count) % 3
    change = rng.integers(-10, 10, (count, 3, side, side))
    return torch.from_numpy(
        np.clip(np.array(LEVELS)[truth][:, None, None, None] + change, 0, 255).astype(np.uint8)
    ), truth


class ByLight:
    """Classifies an image by how near its mean is to each level."""

    def __init__(self, images: torch.Tensor, target: MulticlassTarget) -> None:
        self.images, self.target = images, target

    def encode(self, frame: pd.DataFrame, history: Any = None) -> dict[str, torch.Tensor]:
        return {"image": self.images[torch.tensor(frame["place"].to_list())]}

    def outputs(self, rows: Any, history: Any = None) -> np.ndarray:
        inputs = rows if isinstance(rows, dict) else self.encode(rows)
        light = inputs["image"].float().mean(dim=(1, 2, 3))
        return -((light[:, None] - torch.tensor(LEVELS)).abs() / 20).double().numpy()

    def scores(self, rows: Any, history: Any = None) -> np.ndarray:
        logits = self.outputs(rows)
        chance = np.exp(logits - logits.max(axis=1, keepdims=True))
        return chance / chance.sum(axis=1, keepdims=True)

    def labels(self, scores: np.ndarray, groups: object = None) -> np.ndarray:
        return self.target.labels(scores)

    def features(self, rows: Any, history: Any = None) -> np.ndarray:
        raise AssertionError("not asked")


def held(groups: np.ndarray | None = None) -> EvaluationContext:
    pixels, truth = images()
    target = MulticlassTarget("y", CLASSES, (1.0,) * 3, ())
    scorer = ByLight(pixels, target)
    frame = pd.DataFrame({"place": np.arange(len(truth)), "y": np.array(CLASSES)[truth]})
    found = scorer.scores(frame)
    part = Predictions(
        found, target.labels(found), truth, CLASSES, "multiclass",
        {} if groups is None else {"light": groups}, None, np.arange(len(truth)),
    )  # fmt: skip
    dataset = Dataset(frame, ColumnRoles(target=("y",), image="image"), "made")
    return EvaluationContext(dataset, {"test": frame}, {"test": part}, target, {}, scorer, 0, 60, 0.95, 10)


def test_there_are_the_fifteen_kinds() -> None:
    assert len(CORRUPTIONS) == 15


@pytest.mark.parametrize("kind", list(CORRUPTIONS))
@pytest.mark.parametrize("shape", [(4, 3, 32, 32), (2, 1, 24, 40)])
def test_corruptions_keep_the_shape_repeat_by_seed_and_grow(kind: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    smooth = rng.uniform(60, 190, (shape[0], shape[1], 12, 12))
    image = torch.from_numpy(smooth).float()
    image = torch.nn.functional.interpolate(image, shape[2:], mode="bicubic").clamp(0, 255).to(torch.uint8)

    def corrupted(severity: int) -> torch.Tensor:
        return corrupt(image, kind, severity, torch.Generator().manual_seed(3))

    found = [corrupted(s) for s in SEVERITIES]
    assert all(f.shape == image.shape and f.dtype == torch.uint8 for f in found)
    assert torch.equal(found[0], corrupted(1))
    far = [(f.float() - image.float()).abs().mean().item() for f in found]
    assert 0 < far[0] < far[-1] < 128, far


def test_contrast_and_noise_are_as_strong_as_they_say() -> None:
    image = torch.full((200, 3, 32, 32), 128, dtype=torch.uint8)
    noisy = corrupt(image, "gaussian_noise", 5, torch.Generator().manual_seed(0)).float()
    assert noisy.std().item() == pytest.approx(0.10 * 255, rel=0.02)
    image[:, :, :16] = 28
    flat = corrupt(image, "contrast", 3, torch.Generator())
    assert (flat[0, 0, 20, 0].int() - flat[0, 0, 4, 0].int()).item() == pytest.approx(40, abs=1)
    counts = corrupt(image, "shot_noise", 5, torch.Generator().manual_seed(0))[:, :, 16:].float() / 255
    assert counts.var().item() == pytest.approx((128 / 255) / 50, rel=0.05)


def test_robustness_is_the_mean_over_kinds_and_severities_of_the_same_rows() -> None:
    rows = held()
    found = robustness(60, ("brightness", "gaussian_noise"))(rows)
    clean = found.metrics["clean_accuracy"].value
    corrupted = found.metrics["corrupted_accuracy"].value
    assert clean == 1.0
    assert found.metrics["relative_degradation"].value == pytest.approx(1 - corrupted / clean)
    table = found.files["robustness.csv"]
    assert len(table) == 10
    assert table["accuracy"].mean() == pytest.approx(corrupted)
    by_kind = {row["corruption"]: row for row in found.tables["Accuracy by corruption"]}
    assert by_kind["brightness"]["mean"] < by_kind["gaussian noise"]["mean"]  # it goes by light alone
    assert robustness(60, ("brightness",))(rows).metrics == robustness(60, ("brightness",))(rows).metrics


def test_separation_is_auroc_and_the_rate_at_95_percent() -> None:
    rng = np.random.default_rng(2)
    accept = np.arange(300) < 200
    scores = np.where(accept, rng.normal(1, 1, 300), rng.normal(0, 1, 300)).round(1)
    area, rate = separation(scores, accept, np.ones((1, 300)))
    assert area.item() == pytest.approx(roc_auc_score(accept, scores))
    cut = max(c for c in np.unique(scores) if (scores[accept] >= c).mean() >= 0.95)
    assert rate.item() == pytest.approx((scores[~accept] >= cut).mean())


def test_rows_far_from_every_level_are_detected() -> None:
    rows = held()
    far = torch.full((30, 3, 16, 16), 80, dtype=torch.uint8)
    rows.scorer.images = torch.cat([rows.scorer.images, far])  # type: ignore[attr-defined]
    found = ood_detection({"between": lambda _: pd.DataFrame({"place": np.arange(90, 120)})}, 50)(rows)
    assert found.metrics["auroc_between_energy"].value == 1.0
    assert found.metrics["fpr_at_95_tpr_between_probability"].value == 0.0


def test_rows_of_classes_that_were_held_out_are_out_of_distribution_too() -> None:
    rows = held()
    far = torch.full((30, 3, 16, 16), 80, dtype=torch.uint8)
    rows.scorer.images = torch.cat([rows.scorer.images, far])  # type: ignore[attr-defined]
    rows.dataset.ood_sets["held_out"] = pd.DataFrame({"place": np.arange(90, 120)})
    found = ood_detection({}, 20)(rows)
    assert found.metrics["auroc_held_out_energy"].value == 1.0
    assert found.tables["Out-of-distribution images"][0]["number"] == 20


class Pixels(ByLight):
    """Outputs of a mask: each pixel by how near it is to each level."""

    def outputs(self, rows: Any, history: Any = None) -> np.ndarray:
        light = rows["image"].float().mean(dim=1)
        levels = torch.tensor(LEVELS)[None, :, None, None]
        return -((light[:, None] - levels).abs() / 20).double().numpy()


def test_masks_are_judged_by_the_mean_of_their_pixels() -> None:
    pixels, truth = images(30)
    far = torch.full((10, 3, 16, 16), 80, dtype=torch.uint8)
    target = SegmentationTarget("y", CLASSES, (1.0,) * 3, (16, 16))
    labels = np.broadcast_to(truth[:, None, None], (30, 16, 16)).astype(np.uint8)
    part = Predictions(
        np.full((30, 3), 1 / 3), labels, labels, CLASSES, "segmentation", {}, None, np.arange(30)
    )
    scorer = Pixels(torch.cat([pixels, far]), target)  # type: ignore[arg-type]
    frame = pd.DataFrame({"place": np.arange(30)})
    dataset = Dataset(frame, ColumnRoles(target=("y",), image="image"), "made")
    rows = EvaluationContext(dataset, {"test": frame}, {"test": part}, target, {}, scorer, 0, 60, 0.95, 10)
    found = ood_detection({"between": lambda _: pd.DataFrame({"place": np.arange(30, 40)})}, 30)(rows)
    assert found.metrics["auroc_between_energy"].value == 1.0
    assert found.metrics["auroc_between_probability"].value == 1.0


def test_aurc_of_single_rows_is_the_mean_risk_of_the_kept() -> None:
    rng = np.random.default_rng(3)
    wrong = (rng.random(BINS) < 0.3).astype(float)
    _, risk, area = risk_curve(np.ones((1, BINS)), wrong[None])
    plain = np.cumsum(wrong) / np.arange(1, BINS + 1)
    np.testing.assert_allclose(risk[0], plain)
    assert area.item() == pytest.approx(plain.mean(), abs=0.02)


def test_risk_falls_where_the_model_knows_its_errors() -> None:
    rows = held()
    part = rows.parts["test"]
    unsure = np.arange(90) < 18
    scores = np.where(unsure[:, None], [[0.4, 0.3, 0.3]], part.scores)
    corrupted = replace(part, scores=scores, labels=np.where(unsure, (part.targets + 1) % 3, part.labels))
    found = risk_coverage()(replace(rows, parts={"test": corrupted}))
    assert found.metrics["risk_at_full_coverage"].value == pytest.approx(0.2)
    by_coverage = {round(r["coverage"], 2): r["risk"] for r in found.tables["Risk by coverage"]}
    assert by_coverage[1.0] == pytest.approx(0.2)
    assert min(by_coverage.values()) == 0.0
    assert -0.01 < found.metrics["excess_aurc"].value < 0.02


def test_a_weak_slice_is_found_and_equal_ones_are_not() -> None:
    light = np.where(np.arange(90) % 2 == 0, "day", "night").astype(np.str_)
    rows = held(light)
    part = rows.parts["test"]
    assert slices({})(rows).metrics["slices_weaker_than_the_rest"].value == 0
    bad = (light == "night") & (np.arange(90) % 4 == 1)
    corrupted = replace(part, labels=np.where(bad, (part.targets + 1) % 3, part.labels))
    found = slices({"rows": lambda p: float(len(p))})(replace(rows, parts={"test": corrupted}))
    worst = next(iter(found.tables.values()))[0]
    assert worst["slice"] == "light: night"
    assert worst["less than the rest by"] == pytest.approx(bad.sum() / 45)
    assert worst["rows"] == 45.0
    assert found.metrics["slices_weaker_than_the_rest"].value == 1


def test_latency_is_measured_at_a_fixed_input() -> None:
    found = latency(20)(held())
    assert 0 < found.metrics["model_p50_ms"].value <= found.metrics["model_p99_ms"].value
    assert "image 3 x 16 x 16" in found.notes[0]
