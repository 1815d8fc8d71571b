"""Features of frozen layers cached, and a linear probe trained first (LP-FT): from the key to the record."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import driving
import healthcare
from core.privacy.section import DPSection
from core.report.run import Run
from core.report.sentences import training as sentences

SMALL = (
    "task=signs",
    "data.rows=240",
    "training.steps=6",
    "training.batch_size=16",
    "training.progress=none",
    "training.precision=fp32",
    "evaluation.studies=false",
    "evaluation.resamples=20",
    "evaluation.resamples_slow=20",
    "explanation=none",
    "baseline=none",
    "threads=1",
)
CACHED = "the features of frozen layers were computed once"


def run(folder: Path, *overrides: str) -> Run:
    found = driving.train(*SMALL, *overrides, folder=folder)
    assert isinstance(found, Run)
    return found


def weights(found: Run) -> dict[str, torch.Tensor]:
    return load_file(found.path / "model.safetensors")


def cache_of(found: Run) -> tuple[str | None, str]:
    """Return the status of the feature cache, and its sentence."""
    training = found.record.training
    status = None if training.feature_cache is None else training.feature_cache.status
    return status, sentences.feature_cache(training)


def test_a_frozen_backbone_is_computed_once_and_the_run_ends_alike(tmp_path: Path) -> None:
    plain = ("backbone=cnn_small", "adapter=linear_probe", "augmentation=none")
    once, each = (
        run(tmp_path / "once", *plain),
        run(tmp_path / "each", *plain, "training.feature_cache_mib=0"),
    )
    assert cache_of(once)[0] == "cached"
    assert CACHED in cache_of(once)[1]
    assert cache_of(each)[0] == "disabled"
    assert "training.feature_cache_mib=0" in cache_of(each)[1]
    a, b = weights(once), weights(each)
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert once.record.metrics["accuracy"].value == pytest.approx(
        each.record.metrics["accuracy"].value, abs=0.03
    )
    small = run(tmp_path / "small", *plain, "training.feature_cache_mib=0.1")
    assert cache_of(small)[0] == "too_large"
    assert "training.feature_cache_mib=0.1 allows less" in cache_of(small)[1]
    changed = run(tmp_path / "changed", "backbone=cnn_small", "adapter=linear_probe", "augmentation=image")
    assert cache_of(changed)[0] == "augmentation"
    assert "an augmentation changes the rows" in cache_of(changed)[1]
    assert cache_of(run(tmp_path / "whole", "backbone=cnn_small", "training.steps=1")) == (None, "")


@pytest.mark.parametrize("backbone", ["scattering", "patches"])
def test_computed_features_learn_under_privacy(backbone: str, tmp_path: Path) -> None:
    settings = (
        f"backbone={backbone}",
        "augmentation=none",
        "privacy=dp",
        "privacy.epsilon=8",
        "privacy.batch_size=32",
        "optimizer=sgd",
        "optimizer.lr=1",
    )
    found = run(tmp_path / "run", *settings)
    assert cache_of(found)[0] == "cached"
    assert isinstance(found.record.privacy, DPSection)
    assert found.record.privacy.epsilon <= 8
    rows = driving.signs.Signs().simulate(240, 0).frame.iloc[:8]
    import core

    assert len(core.load(found.path).predict(rows)) == 8, "served from pixels"


def test_the_head_is_trained_first_and_the_rest_starts_as_loaded(tmp_path: Path) -> None:
    still = ("backbone=cnn_small", "augmentation=none", "optimizer.lr=1e-12", "training.restore_best=false")
    first = run(tmp_path / "first", *still, "adapter.linear_probe_epochs=3")
    fresh = run(tmp_path / "fresh", *still)
    a, b = weights(first), weights(fresh)
    moved = {name.split(".")[0] for name in a if not torch.allclose(a[name], b[name], atol=1e-6)}
    assert moved == {"head"}
    assert first.record.training.linear_probe is not None
    assert first.record.training.linear_probe.steps > 0
    assert "a linear probe was trained for" in sentences.linear_probe(first.record.training)
    assert fresh.record.training.linear_probe is None
    assert first.record.metrics["accuracy"].value > fresh.record.metrics["accuracy"].value


def test_a_head_trained_first_is_refused_under_privacy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"adapter\.linear_probe_epochs=2: .*outside the mechanism"):
        run(tmp_path / "run", "backbone=resnet_gn", "privacy=dp", "adapter.linear_probe_epochs=2")
    assert not (tmp_path / "run").exists()


def test_a_low_rank_run_may_train_its_head_first(tmp_path: Path) -> None:
    found = healthcare.train(
        "task=notes",
        *SMALL[1:],
        "backbone=text_small",
        "encoder.text.tokenizer=text_small",
        "encoder.text.max_length=32",
        "adapter=lora",
        "adapter.linear_probe_epochs=1",
        folder=tmp_path / "run",
    )
    assert isinstance(found, Run)
    assert "a linear probe was trained for" in sentences.linear_probe(found.record.training)
