"""As a user would: own pictures and own masks from folders, predictions as files, a private run of masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import core
import driving
from driving.simulate.segmentation import simulate as simulate_scenes
from driving.simulate.signs import simulate as simulate_signs

QUICK = (
    "training.epochs=1",
    "training.progress=none",
    "evaluation.resamples=20",
    "evaluation.resamples_slow=20",
    "evaluation.studies=false",
    "baseline=none",
    "threads=1",
)


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("streets")
    dataset = simulate_scenes(60, 0, 1.0)
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for n, (image, mask) in enumerate(zip(dataset.frame["image"], dataset.frame["mask"], strict=True)):
        (root / f"images/{n:03d}.png").write_bytes(image)
        (root / f"masks/{n:03d}.png").write_bytes(mask)
    (root / "classes.txt").write_text("\n".join(dataset.roles.mask_classes))
    return root


@pytest.fixture(scope="module")
def finished(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    driving.train("experiment=own_masks", f"data.path={streets}", *QUICK, folder=folder)
    return folder


def test_own_masks_are_predicted_into_files(finished: Path, streets: Path, tmp_path: Path) -> None:
    driving.predict(f"run={finished}", f"input={streets / 'images'}", f"output={tmp_path / 'said.csv'}")
    said = pd.read_csv(tmp_path / "said.csv")
    assert len(said) == 60
    assert set(said.columns) >= {"file", "prediction", "share:road"}
    mask = np.asarray(Image.open(said["prediction"].iloc[7]))
    assert mask.shape == (48, 64)
    assert mask.dtype == np.uint8
    shares = said[[c for c in said if c.startswith("share:")]].sum(axis=1)
    np.testing.assert_allclose(shares, 1.0, atol=1e-5)
    frame = pd.DataFrame({"image": [str(streets / "images/007.png")]})
    assert np.array_equal(core.load(finished).predict(frame)["prediction"].iloc[0], mask)


def test_new_masks_are_judged_as_the_run_decides(finished: Path, streets: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    dataset = simulate_scenes(20, 9, 1.0)
    for kind, column in (("images", "image"), ("masks", "mask")):
        (fresh / kind).mkdir(parents=True)
        for n, data in enumerate(dataset.frame[column]):
            (fresh / kind / f"{n}.png").write_bytes(data)
    (fresh / "classes.txt").write_text("\n".join([*dataset.roles.mask_classes, "another"]))
    driving.evaluate(f"run={finished}", "data=mask_folder", f"data.path={fresh}", folder=tmp_path / "judged")
    judged = json.loads((tmp_path / "judged/evaluation.json").read_text())
    assert judged["data"]["rows"] == 20
    figure = judged["metrics"]["miou"]
    assert figure["low"] <= figure["value"] <= figure["high"]


def test_masks_are_learnt_under_differential_privacy(tmp_path: Path) -> None:
    run = driving.train(
        "task=segmentation", "data.rows=120", "privacy=dp", "privacy.batch_size=16", "training.steps=3", *QUICK[1:],
        folder=tmp_path / "run",
    )  # fmt: skip
    assert run.record.privacy is not None
    assert run.record.privacy.epsilon > 0
    assert run.metrics["miou"].value is not None


def test_own_signs_from_class_folders(tmp_path: Path) -> None:
    frame = simulate_signs(240, 0, 0.0).frame
    for n, (image, sign) in enumerate(zip(frame["image"], frame["sign"], strict=True)):
        (tmp_path / "signs" / sign).mkdir(parents=True, exist_ok=True)
        (tmp_path / "signs" / sign / f"{n}.png").write_bytes(image)
    run = driving.train(
        "experiment=own_signs", f"data.path={tmp_path / 'signs'}", *QUICK[:4], *QUICK[5:], "task.robustness_rows=10",
        "task.ood_rows=10", folder=tmp_path / "run",
    )  # fmt: skip
    assert run.metrics["recall_vulnerable"].value is not None
    told = run.record.studies["operational_design_domain"].summary
    assert "no test row can be checked" in told


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("task=signs", "task.robustness_rows=1"), "task.robustness_rows"),
        (("task=segmentation", "baseline=tfidf"), "target=segmentation"),
        (("task=segmentation", "backbone=timm", "backbone.name=vit_tiny_patch16_224"), "map"),
        (("task=segmentation", "training.sampling=class_balanced"), "class_weights"),
        (("task=signs", "task.ood_path=nowhere.parquet"), "task.ood_path"),
    ],
)
def test_mistakes_are_named(overrides: tuple[str, ...], said: str, tmp_path: Path) -> None:
    quick = [q for q in QUICK if not q.startswith(("baseline", "evaluation.studies"))]
    with pytest.raises(ValueError, match=said.replace(".", r"\.")):
        driving.train("data.rows=100", *quick, *overrides, folder=tmp_path / "run")
