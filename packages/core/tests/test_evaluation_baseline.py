"""The baseline learns what is there, from the training set alone, and reports what it did."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from core.config import build
from core.data.config import ColumnsEncoderConfig
from core.data.encoders.columns import ColumnsEncoder
from core.data.types import ColumnRoles
from core.evaluation.baseline import suited
from core.evaluation.config import AutoBaseline, Boosting, LinearProbe, Logistic, NoBaseline, Tfidf
from core.evaluation.features import _TargetMeans
from core.evaluation.handcrafted_features import image_features, signal_features
from core.targets import metrics as m
from core.targets.config import (
    BinaryOption,
    MulticlassOption,
    MultilabelOption,
    OrdinalOption,
    RegressionOption,
)
from core.targets.segmentation import SegmentationTarget
from core.targets.types import Target

torch.set_num_threads(1)
TABLE = ColumnRoles(target=("y",), numeric=("a", "b"), categorical=("c",))


def table(n: int, seed: int) -> pd.DataFrame:
    """Make a table in which numbers, a gap and a category decide."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n), "c": rng.choice(list("uvw"), n)})
    odds = 2 * frame.a * (frame.b > 0) + 2 * (frame.c == "u") - 1
    frame["y"] = np.where(rng.random(n) < 1 / (1 + np.exp(-odds)), "yes", "no")
    frame["value"] = odds + 0.3 * rng.normal(size=n)
    frame["grade"] = pd.cut(odds, [-np.inf, -1, 1, np.inf], labels=["1", "2", "3"]).astype(str)
    frame["many"] = [
        ";".join(k for k, hit in (("up", o > 0), ("u", c == "u")) if hit)
        for o, c in zip(odds, frame.c, strict=True)
    ]
    frame.loc[rng.random(n) < 0.1, "a"] = np.nan
    frame.loc[rng.random(n) < 0.1, "c"] = None
    return frame


def parts(make, sizes=(500, 200, 300)) -> dict[str, pd.DataFrame]:
    """Make the three parts, each from its own seed."""
    return {
        name: make(n, k)
        for k, (name, n) in enumerate(zip(("train", "validation", "test"), sizes, strict=True))
    }


def fitted(roles: ColumnRoles, frames: dict[str, pd.DataFrame]):
    """Fit the model's own encoder."""
    encoder = ColumnsEncoder(ColumnsEncoderConfig(), roles)
    encoder.fit(frames["train"])
    return encoder


def run(config, roles: ColumnRoles, frames: dict[str, pd.DataFrame], target: Target, seed: int = 0):
    """Run a baseline."""
    return build(config, frames, fitted(roles, frames), roles, target, seed)


@pytest.mark.parametrize(
    ("column", "option", "metric", "least"),
    [
        ("y", BinaryOption(), m.auroc, 0.77),
        ("grade", OrdinalOption(), m.qwk, 0.80),
        ("grade", MulticlassOption(), m.macro_f1, 0.80),
        ("many", MultilabelOption(), m.macro_f1, 0.80),
        ("value", RegressionOption(), m.r2, 0.70),
    ],
)
def test_boosting_learns_every_kind_of_target(column: str, option, metric, least: float) -> None:
    frames = parts(table)
    roles = TABLE.with_({"target": (column,)})
    target = build(option, frames["train"], roles)
    done = run(Boosting(max_iter=30), roles, frames, target)
    assert metric(done.test) > least
    assert done.test.scores.shape[1] == max(1, len(target.classes))
    assert done.details["rows"] == done.details["rows_available"] == 500
    assert done.details["features"] == {"numeric": 2, "categorical": 1}


@pytest.mark.parametrize(
    ("column", "option", "metric", "least"),
    [
        ("y", BinaryOption(), m.auroc, 0.75),
        ("many", MultilabelOption(), m.macro_f1, 0.75),
        ("value", RegressionOption(), m.r2, 0.5),
    ],
)
def test_logistic_learns_what_is_linear(column: str, option, metric, least: float) -> None:
    frames = parts(table)
    roles = TABLE.with_({"target": (column,)})
    done = run(Logistic(), roles, frames, build(option, frames["train"], roles))
    assert metric(done.test) > least
    losses = done.details["validation_losses"]
    assert losses[f"{done.details['C']:.4g}"] == min(losses.values())
    assert done.details["fits_stopped_unconverged"] == 0


def test_same_seed_same_predictions_and_no_look_at_test() -> None:
    frames = parts(table)
    target = build(BinaryOption(), frames["train"], TABLE)
    first = run(Boosting(max_iter=20), TABLE, frames, target, 7)
    changed = frames | {"test": frames["test"].assign(y="no")}
    again = run(Boosting(max_iter=20), TABLE, changed, target, 7)
    assert (first.test.scores == again.test.scores).all()
    assert (first.validation.scores == again.validation.scores).all()


def test_row_cap_is_kept_and_reported() -> None:
    frames = parts(table)
    target = build(BinaryOption(), frames["train"], TABLE)
    done = run(Boosting(max_rows=200, max_iter=20), TABLE, frames, target)
    assert (done.details["rows"], done.details["rows_available"]) == (200, 500)


def texts(n: int, seed: int) -> pd.DataFrame:
    """Make texts whose words name their label."""
    rng = np.random.default_rng(seed)
    words = {"heart": ["murmur", "valve", "ecg"], "bone": ["fracture", "cast", "joint"]}
    names = rng.choice(list(words), n)
    noise = np.array(["patient", "seen", "today", "stable", "plan"])
    rows = [" ".join([*rng.choice(noise, 6), rng.choice(words[k])]) for k in names]
    return pd.DataFrame({"note": rows, "y": names, "a": rng.normal(size=n)})


def test_auto_takes_tfidf_for_texts_and_boosting_once_there_are_numbers() -> None:
    frames = parts(texts, (200, 80, 80))
    for roles, name in (
        (ColumnRoles(target=("y",), text=("note",)), "tfidf"),
        (ColumnRoles(target=("y",), text=("note",), numeric=("a",)), "boosting"),
    ):
        target = build(BinaryOption(positive="heart"), frames["train"], roles)
        done = run(AutoBaseline(), roles, frames, target)
        assert done.name == name == suited(roles, target)
        assert m.auroc(done.test) > 0.95


def images(n: int, seed: int) -> pd.DataFrame:
    """Make noisy images of upright or level stripes, in the same colors."""
    rng = np.random.default_rng(seed)
    rows = []
    for upright in (flags := rng.random(n) < 0.5):
        wave = np.sin(np.arange(24) + rng.uniform(0, 6))
        image = 128 + 60 * (wave[None, :] if upright else wave[:, None]) + 25 * rng.normal(size=(24, 24))
        file = BytesIO()
        Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).convert("RGB").save(file, "PNG")
        rows.append(file.getvalue())
    return pd.DataFrame({"image": rows, "y": np.where(flags, "upright", "level")})


def test_linear_probe_sees_directions() -> None:
    frames = parts(images, (160, 60, 60))
    roles = ColumnRoles(target=("y",), image="image")
    target = build(BinaryOption(positive="upright"), frames["train"], roles)
    done = run(AutoBaseline(), roles, frames, target)
    assert done.name == "linear_probe"
    assert m.auroc(done.test) > 0.97


def waves(n: int, seed: int) -> pd.DataFrame:
    """Make noisy signals of two frequencies with any phase."""
    rng = np.random.default_rng(seed)
    fast = rng.random(n) < 0.5
    t = np.arange(200) / 200
    rows = [
        np.sin(2 * np.pi * ((12 if f else 4) * t + rng.random())) + 0.3 * rng.normal(size=200) for f in fast
    ]
    return pd.DataFrame({"signal": rows, "y": np.where(fast, "fast", "slow")})


def test_boosting_hears_frequencies() -> None:
    frames = parts(waves, (160, 60, 60))
    roles = ColumnRoles(target=("y",), signal="signal")
    target = build(BinaryOption(positive="fast"), frames["train"], roles)
    done = run(AutoBaseline(), roles, frames, target)
    assert done.name == "boosting"
    assert m.auroc(done.test) > 0.97


def test_image_features_do_not_depend_on_size_and_take_tiny_images() -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (3, 3, 16, 16)).astype(np.uint8)
    large = small.repeat(4, axis=2).repeat(4, axis=3)
    assert image_features(small).shape == image_features(large).shape
    assert image_features(small[:, :, :5, :7]).shape == image_features(small).shape
    colors = slice(8 * 8 * 9, 8 * 8 * 9 + 48)
    assert image_features(large)[:, colors] == pytest.approx(image_features(small)[:, colors], abs=1e-6)
    assert np.isfinite(image_features(np.zeros((1, 1, 8, 8), np.uint8))).all()


def test_signal_features_find_the_period() -> None:
    t = np.arange(400)
    features = signal_features(np.sin(2 * np.pi * t / 50)[None, None])
    assert features.shape == (1, 80)
    assert features[0, -1] == pytest.approx(50 / 400, abs=0.01)
    assert np.isfinite(signal_features(np.zeros((2, 2, 7)))).all()


def test_target_means_never_hold_a_rows_own_truth() -> None:
    """A category of one row each carries no truth in training; a common one carries its share; labels stay apart."""
    names = np.array([[f"only {i}"] for i in range(50)] + [["often"]] * 150, object)
    truth = np.concatenate([np.arange(50) % 2, np.ones(150)])[:, None].astype(float)
    encoder = _TargetMeans(0)
    encoded = encoder.fit_transform(names, np.column_stack([truth, 1 - truth]))
    assert encoded.shape == (200, 2)
    assert abs(np.corrcoef(encoded[:50, 0], truth[:50, 0])[0, 1]) < 0.4
    assert encoded[:50, 0].std() < 0.02
    assert encoded[:, 1] == pytest.approx(1 - encoded[:, 0])
    assert encoder.transform(names[-1:])[0] == pytest.approx([1.0, 0.0], abs=0.02)
    assert encoder.transform(np.array([["new"]], object))[0, 0] == pytest.approx(truth.mean())


def test_columns_of_many_categories_are_means() -> None:
    rng = np.random.default_rng(0)

    def make(n: int, seed: int) -> pd.DataFrame:
        frame = table(n, seed)
        code = rng.integers(60, size=n)
        frame["c"] = [f"code {k}" for k in code]
        frame["y"] = np.where(rng.random(n) < np.where(code < 30, 0.1, 0.9), "yes", "no")
        return frame

    frames = parts(make)
    done = run(Boosting(max_iter=30), TABLE, frames, build(BinaryOption(), frames["train"], TABLE))
    assert done.details["features"] == {"numeric": 2, "target means of categories": 1}
    assert m.auroc(done.test) > 0.8


def test_a_baseline_without_its_input_is_refused() -> None:
    frames = parts(table, (50, 30, 30))
    target = build(BinaryOption(), frames["train"], TABLE)
    with pytest.raises(ValueError, match="baseline=tfidf needs a text column"):
        run(Tfidf(), TABLE, frames, target)
    with pytest.raises(ValueError, match="baseline=linear_probe needs images"):
        run(LinearProbe(), TABLE, frames, target)


def test_a_kind_with_a_baseline_of_its_own_refuses_others() -> None:
    target = SegmentationTarget("mask", ("a", "b"), (1.0, 1.0), (4, 4))
    roles = ColumnRoles(target=("mask",), image="image", mask_classes=("a", "b"))
    assert suited(roles, target) == "boosting"
    with pytest.raises(ValueError, match="baseline=logistic: target=segmentation takes boosting"):
        build(Logistic(), {}, None, roles, target, 0)


def test_none_gives_nothing() -> None:
    frames = parts(table, (50, 30, 30))
    assert run(NoBaseline(), TABLE, frames, build(BinaryOption(), frames["train"], TABLE)) is None
