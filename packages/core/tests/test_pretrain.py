"""Pretraining on simulated data: what is read, what is written, and that a resumed run ends as a straight one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from core.backbones.config import CnnSmallConfig, TextSmallConfig
from core.backbones.pretrained import WeightsCard
from core.backbones.text_small import Trunk, TrunkConfig
from core.config import build
from core.config.deprecated import RENAMED_KEYS
from core.data.types import Layout
from core.pretrain import cnn as cnn_module
from core.pretrain import images
from core.pretrain.cnn import PerSetCrossEntropy
from core.pretrain.config import RECIPES, CifarRecipe, CnnRecipe, PretrainConfig, Recipe, TextRecipe
from core.pretrain.corpus import MASK, SEP, TextBatches, read, tokenized
from core.pretrain.page import closing
from core.pretrain.record import PretrainingRecord
from core.pretrain.run import pretrain
from core.pretrain.text import MaskedOrContrastiveLoss
from core.report.formatting import format_number
from core.training.shutdown import TrainingInterrupted
from core.training.step import TrainStep

torch.set_num_threads(1)


def strip(images: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(images.reshape(-1, 32, 3)).save(out, "PNG")
    return out.getvalue()


def strips(path: Path, classes: int, tracks: bool, test_pixels: bytes | None) -> Path:
    """Write rows of 40 images whose brightness is the class's; the bytes of the test split may be no image at all."""
    draw = np.random.default_rng(0)
    rows = []
    for number, split in enumerate(["train", "train", "train", "test"]):
        labels = np.arange(40) % classes
        images = draw.integers(0, 60, (40, 32, 32, 3)) + (labels * (180 // classes))[:, None, None, None]
        image = strip(images.astype(np.uint8))
        if split == "test" and test_pixels is not None:
            image = test_pixels
        row = {"split": split, "strip": number, "n": 40, "labels": labels.astype(np.int8), "image": image}
        rows.append(row | ({"tracks": np.arange(40) // classes + 100 * number} if tracks else {}))
    pd.DataFrame(rows).to_parquet(path)
    return path


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two data sets whose test images can't be decoded: whatever reads them fails."""
    folder = tmp_path_factory.mktemp("sets")
    return {
        "objects": str(strips(folder / "objects.parquet", 5, False, b"no image")),
        "signs": str(strips(folder / "signs.parquet", 4, True, b"no image")),
    }


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    words = [
        "the",
        "a",
        "patient",
        "doctor",
        "dose",
        "fever",
        "light",
        "lamp",
        "play",
        "song",
        "near",
        "night",
        "old",
    ]
    draw = np.random.default_rng(1)

    def sentence(n: int) -> str:
        return " ".join(draw.choice(words, n))

    novels = [{"title": f"novel {k}", "text": sentence(900)} for k in range(6)]
    medical = [
        {
            "focus": f"disease {k % 20}",
            "question": f"what is disease {k} {sentence(4)}",
            "answer": sentence(40),
        }
        for k in range(60)
    ]
    commands = [{"split": "train", "text": f"play {sentence(5)} {k}"} for k in range(60)]
    commands += [{"split": "train", "text": "Turn  zzqx off"}, {"split": "validate", "text": "turn zzqx off"}]
    commands += [{"split": "validate", "text": "only the test says yyvv"}] * 3
    folder, paths = tmp_path_factory.mktemp("texts"), {}
    for name, rows in (("novels", novels), ("medical", medical), ("commands", commands)):
        path = folder / f"{name}.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        paths[name] = str(path)
    return {**paths, "commands": [paths["commands"]]}


def small_text(texts: dict[str, Any], **changes: Any) -> TextRecipe:
    sizes = {
        "vocab_size": 320,
        "max_length": 24,
        "batch_tokens": 96,
        "long_rows_every": 3,
        "contrastive_pairs": 6,
        "pair_max_length": 12,
    }
    return TextRecipe(
        **{
            **texts,
            **sizes,
            "steps": 8,
            "contrastive_from": 0.5,
            "validation_fraction": 0.1,
            "ema": 0.9,
            **changes,
        }
    )


def config(recipe: Recipe, **changes: Any) -> PretrainConfig:
    return PretrainConfig(recipe=recipe, device="cpu", precision="fp32", progress="none", **changes)


@pytest.fixture(scope="module")
def text_run(
    texts: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[PretrainingRecord, Path]:
    """A finished run of the text recipe, and its file of weights."""
    folder = tmp_path_factory.mktemp("text_run")
    record = pretrain(config(small_text(texts)), folder)
    return record, folder / "weights" / "text_small.safetensors"


def timeless(record: PretrainingRecord) -> list[Any]:
    """Return the learning curve and the validations without the time they took."""
    return [
        (point.step, point.loss, {k: v for k, v in (point.validation or {}).items() if k != "seconds"})
        for point in record.history
    ]


@pytest.mark.parametrize("kept", ["objects", "signs"])
def test_cnn_weights_can_leave_one_data_set_out(sets: dict[str, str], kept: str, tmp_path: Path) -> None:
    one = {name: path if name == kept else "" for name, path in sets.items()}
    recipe = CnnRecipe(
        **one, steps=2, batch_size=16, validation_fraction=0.1, ema=0.0, crop_padding=1, cutout=0
    )
    record = pretrain(config(recipe), tmp_path / "run")
    assert set(record.files) == {f"{kept}.parquet"}
    assert set(record.data) == {kept}
    assert {key.partition("_")[0] for key in record.final if key.endswith("_loss")} == {kept}
    card = json.loads((tmp_path / "run" / "weights" / "cnn_small.json").read_text())
    assert set(card["files"]) == {f"{kept}.parquet"}, "the card lists only what was read"
    with pytest.raises(ValueError, match=r"recipe\.objects"):
        CnnRecipe(objects="", signs="")


def test_cnn_weights_are_trained_written_and_loaded(sets: dict[str, str], tmp_path: Path) -> None:
    recipe = CnnRecipe(
        **sets, steps=40, batch_size=16, validation_fraction=0.1, ema=0.8, crop_padding=1, cutout=0
    )
    record = pretrain(config(recipe), tmp_path / "run")
    written = PretrainingRecord.model_validate_json((tmp_path / "run" / "record.json").read_text())
    assert written == record
    assert record.validations()[-1][0] == 40
    assert record.final["objects_accuracy"] > 0.5, "brightness separates five classes"
    assert record.data["objects"]["train"] == 108
    assert record.data["signs"]["train"] + record.data["signs"]["validation"] == 120
    assert record.units_per_second > 0
    assert record.flops_per_step > 1e9
    assert record.energy.wh > 0
    assert set(record.files) == {"objects.parquet", "signs.parquet"}
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count("<svg") == 2, "losses and accuracies"
    for value in (record.final["objects_loss"], record.final["signs_accuracy"]):
        assert f">{format_number(value)}<" in page
    assert all(sha in page for sha in record.files.values())
    good, fast, _, weights = closing(record)
    assert f"objects accuracy {format_number(record.final['objects_accuracy'])}" in good
    assert "40 steps" in fast
    assert "cnn_small.safetensors" in weights
    path = tmp_path / "run" / "weights" / "cnn_small.safetensors"
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["files"]["objects.parquet"]["sha256"] == record.files["objects.parquet"]
    assert record.weights is not None
    assert record.weights.prediction_change_rate is not None
    assert record.weights.prediction_change_rate <= 0.1
    layout = Layout(image=(3, 32, 32))
    loaded = build(CnnSmallConfig(weights=str(path)), layout, 0)
    stored = load_file(path)
    for name, tensor in loaded.trunk.state_dict().items():
        assert stored[name].dtype == torch.float16
        assert torch.equal(tensor, stored[name].float())
    fresh = build(CnnSmallConfig(weights="random"), layout, 0)
    again = build(CnnSmallConfig(weights=str(path)), layout, 0, architecture={})
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), again.parameters(), strict=True)), (
        "a saved run must load no pretrained weights"
    )


def test_weight_standardization_is_folded_into_plain_kernels() -> None:
    torch.manual_seed(0)
    trunk = cnn_module.Trunk(cnn_module.TrunkConfig(16, (16, 32), (1, 0)))
    plain_keys = set(trunk.state_dict())
    cnn_module.standardize_weights(trunk)
    conv = trunk.stages[1][0].conv
    kernels_OIHW = conv.weight
    assert torch.allclose(kernels_OIHW.mean(dim=(1, 2, 3)), torch.zeros(32), atol=1e-6)
    deviation = kernels_OIHW.std(dim=(1, 2, 3), unbiased=False)
    assert torch.allclose(deviation, torch.full((32,), (2 / (16 * 9)) ** 0.5), rtol=1e-3)
    with torch.no_grad():
        conv.parametrizations.weight[0].gain.fill_(3.0)
    assert torch.allclose(conv.weight, 3 * kernels_OIHW)
    image = torch.randint(0, 256, (2, 3, 32, 32))
    before = [m.detach() for m in trunk(image)]
    cnn_module.remove_standardization(trunk)
    assert set(trunk.state_dict()) == plain_keys
    assert all(torch.equal(a, b) for a, b in zip(before, trunk(image), strict=True))


def test_text_weights_are_trained_written_and_loaded(text_run: tuple[PretrainingRecord, Path]) -> None:
    record, path = text_run
    assert record.unit == "tokens"
    assert {"novels_loss", "medical_loss", "pairs_accuracy"} <= set(record.final)
    card = json.loads(path.with_suffix(".json").read_text())
    assert len(card["tokenizer"]["sample"]) > 3
    layout = Layout(vocab_size=320, max_length=10)
    build(TextSmallConfig(weights=str(path)), layout, 0)
    with pytest.raises(ValueError, match=r"backbone\.weights.*words\.weight"):
        build(TextSmallConfig(weights=str(path)), Layout(vocab_size=300, max_length=10), 0)


def renamed(card: dict[str, Any], weights: Path, stem: str, **changes: str) -> Path:
    """Copy weights under another name, their card changed."""
    copy = weights.with_name(f"{stem}.safetensors")
    copy.write_bytes(weights.read_bytes())
    copy.with_suffix(".json").write_text(json.dumps(card | changes))
    return copy


def test_text_training_continues_from_earlier_weights(
    texts: dict[str, Any], text_run: tuple[PretrainingRecord, Path], tmp_path: Path
) -> None:
    _, finished = text_run
    path = tmp_path / finished.name
    for suffix in (".safetensors", ".json"):
        path.with_suffix(suffix).write_bytes(finished.with_suffix(suffix).read_bytes())
    former = json.loads(path.with_suffix(".json").read_text())
    barely = small_text(texts, initial_weights=str(path), steps=1, lr=1e-9, ema=0.0, fp16=False)
    pretrain(config(barely), tmp_path / "second")
    second = tmp_path / "second" / "weights" / "text_small.safetensors"
    before, after = load_file(path), load_file(second)
    assert all(torch.allclose(before[k].float(), after[k], atol=1e-6) for k in before)
    entries = json.loads(second.with_suffix(".json").read_text())["resumed_from"]
    assert (entries["sha256"], entries["steps"]) == (former["sha256"], 8)
    assert entries["energy"] == former["energy"]
    for changes, seed, word in (
        ({"vocab_size": 310}, 0, "tokenizer"),
        ({"validation_fraction": 0.2}, 0, "held out other texts"),
        ({}, 1, "held out other texts"),
        ({"initial_weights": str(tmp_path / "none.safetensors")}, 0, "card is missing"),
        (
            {"initial_weights": str(renamed(former, path, "other", name="cnn_small"))},
            0,
            "cnn_small, not of text_small",
        ),
        ({"initial_weights": str(renamed(former, path, "altered", sha256="0"))}, 0, "is not the file"),
    ):
        recipe = small_text(texts, **{"initial_weights": str(path), **changes})
        with pytest.raises(ValueError, match=rf"recipe\.initial_weights.*{word}"):
            pretrain(config(recipe, seed=seed), tmp_path / "refused")


@pytest.mark.parametrize("kind", ["cnn", "text"])
def test_a_killed_run_ends_as_a_straight_one(
    kind: str,
    sets: dict[str, str],
    texts: dict[str, Any],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe: Recipe
    if kind == "cnn":
        recipe = CnnRecipe(**sets, steps=6, batch_size=8, validation_fraction=0.1, ema=0.8)  # type: ignore[arg-type]
        straight = pretrain(config(recipe), tmp_path / "straight")
    else:
        recipe = small_text(texts)
        straight, _ = request.getfixturevalue("text_run")
    taken = TrainStep.__call__

    def deadly(self: TrainStep, batch: Any) -> Any:
        event = taken(self, batch)
        if event.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return event

    with monkeypatch.context() as patch:
        patch.setattr(TrainStep, "__call__", deadly)
        with pytest.raises(TrainingInterrupted):
            pretrain(config(recipe), tmp_path / "killed")
    resumed = pretrain(config(recipe), tmp_path / "killed")
    assert resumed.weights is not None
    assert straight.weights is not None
    assert resumed.weights.sha256 == straight.weights.sha256
    assert timeless(resumed) == timeless(straight)
    assert resumed.energy.wh > 0
    assert resumed.training_seconds > 0


def tiny_cifar(folder: Path, **changes: Any) -> CifarRecipe:
    path = strips(folder / "objects.parquet", 5, False, None)
    sizes = {"stem_channels": 8, "channels": [16, 16], "blocks": [1, 1], "batch_size": 20}
    return CifarRecipe(
        **{"objects": str(path), "lr": 0.1, "cutout": 0, "crop_padding": 1, **sizes, **changes}
    )


def test_cifar10_trains_on_the_training_and_evaluates_on_the_test_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    batches = cnn_module.ImageBatches

    def remember(sets: Any, *rest: Any) -> Any:
        trained.extend(len(s) for s in sets)
        return batches(sets, *rest)

    monkeypatch.setattr(cnn_module, "ImageBatches", remember)
    recipe = tiny_cifar(tmp_path, epochs=6)
    record = pretrain(config(recipe), tmp_path / "run")
    assert set(trained) == {120}
    assert record.steps == 36
    assert [step for step, _ in record.validations()] == [6, 12, 18, 24, 30, 36]
    assert record.final["test_accuracy"] > 0.5
    assert record.weights is None
    assert not (tmp_path / "run" / "weights").exists()


def test_a_plan_by_target_minutes_is_kept_for_the_resume(tmp_path: Path) -> None:
    recipe = tiny_cifar(tmp_path, target_minutes=0.01, validate_every_epochs=100)
    record = pretrain(config(recipe), tmp_path / "run")
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert plan["steps"] == record.steps == max(round(0.6 / plan["seconds_per_step"]), 1)
    assert pretrain(config(recipe), tmp_path / "run").steps == plan["steps"]


def test_sentences_of_test_sets_stay_out(texts: dict[str, Any]) -> None:
    found = read(small_text(texts), {})
    commands = found[2].whole
    assert len(commands) == 60
    assert not [t for t in commands if "zzqx" in t.lower() or "yyvv" in t]


def test_a_folder_of_devel_and_test_gives_devel_without_what_test_says(tmp_path: Path) -> None:
    for name, sentences in (("devel", ["wake me up", "Lights  on"]), ("test", ["lights on", "stop"])):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps({"sentence": s}) for s in sentences))
    recipe = TextRecipe(novels="", medical="", commands=[str(tmp_path)])
    assert read(recipe, {})[2].whole == ["wake me up"]


def test_what_is_held_out_is_whole_units(texts: dict[str, Any], sets: dict[str, str]) -> None:
    from core.data.encoders.tokens import byte_level_bpe

    recipe = small_text(texts)
    sources = read(recipe, {})
    tokenizer = byte_level_bpe((t for s in sources for t in s.whole), 320, True)
    train, validation = tokenized(sources, tokenizer, recipe, 0)
    for k, source in enumerate(sources):
        ends = [(int((split.streams[k] == SEP).sum())) for split in (train, validation)]
        assert sum(ends) == len(source.whole)
        assert min(ends) >= 1
    assert len(train.pairs) + len(validation.pairs) == 60
    assert len(validation.pairs) == 6, "two of 20 diseases"
    signs = images.read_strips(sets["signs"], "recipe.signs", "train", {})
    taught, held_out = images.split_by_unit(signs, 0.2, 0)
    assert not set(taught.unit) & set(held_out.unit)
    assert len(taught) + len(held_out) == 120


def test_masked_tokens_are_the_right_ones_and_batches_repeat(texts: dict[str, Any]) -> None:
    from core.data.encoders.tokens import byte_level_bpe

    recipe = small_text(texts, mask_fraction=0.3)
    sources = read(recipe, {})
    tokenizer = byte_level_bpe((t for s in sources for t in s.whole), 320, True)
    part, _ = tokenized(sources, tokenizer, recipe, 0)
    batches = TextBatches(part, recipe, 8, 3, torch.device("cpu"))
    again = TextBatches(part, recipe, 8, 3, torch.device("cpu"))
    for batch, other in zip(batches.from_step(0), again.from_step(0), strict=True):
        assert torch.equal(batch.inputs["tokens"], other.inputs["tokens"])
    batch = batches.at(0)
    tokens, positions = batch.inputs["tokens"], batch.inputs["mask_positions"]
    assert tokens.shape == (4, 24)
    assert positions.shape == (4, round(0.3 * 22))
    assert all(len(set(row.tolist())) == positions.shape[1] for row in positions)
    whole = tokens.scatter(1, positions, batch.targets)
    inner = whole[:, 1:-1]
    assert not (whole == MASK).any()
    for row, start in zip(inner, batch.index, strict=True):
        assert torch.equal(row, batches.stream[start : start + 22].long())
    masked = (tokens.gather(1, positions) == MASK).double().mean()
    assert 0.5 < float(masked) < 1.0
    assert batches.at(2).inputs["tokens"].shape == (1, 96), "each third step has long rows"
    pair = batches.at(5)
    half = len(pair) // 2
    assert torch.equal(pair.targets, torch.arange(2 * half).roll(half))


def test_losses_follow_their_definition() -> None:
    outputs = torch.randn(6, 9, dtype=torch.float64)
    targets = torch.tensor([[0, 2], [1, 3], [0, 4], [1, 0], [0, 0], [1, 1]])
    found = PerSetCrossEntropy([5, 4], 0.2).losses(outputs, targets)
    for row, (kind, label) in enumerate(targets.tolist()):
        own = outputs[row, :5] if kind == 0 else outputs[row, 5:]
        expected = torch.nn.functional.cross_entropy(own[None], torch.tensor([label]), label_smoothing=0.2)
        torch.testing.assert_close(found[row], expected)
    vectors = torch.nn.functional.normalize(torch.randn(4, 8, dtype=torch.float64), dim=1)
    partner = torch.tensor([2, 3, 0, 1])
    losses = MaskedOrContrastiveLoss(0.5).losses(vectors, partner)
    row = (vectors[1] @ vectors.T / 0.5).exp()
    torch.testing.assert_close(losses[1], -torch.log(row[3] / (row.sum() - row[1])))


def test_attention_equals_torchs_and_depends_on_relative_positions_only() -> None:
    torch.manual_seed(0)
    trunk = Trunk(TrunkConfig(hidden_size=16, num_layers=2, num_heads=2, mlp_size=32, vocab_size=30)).eval()
    tokens = torch.randint(5, 30, (3, 8))
    real = torch.arange(8) < torch.tensor([8, 5, 3])[:, None]
    with torch.no_grad():
        fused = trunk(tokens, real)
    plain = trunk(tokens, real).detach()
    torch.testing.assert_close(fused, plain)
    shifted = torch.cat([torch.full((3, 4), 7), tokens], 1)
    hidden = torch.cat([torch.zeros(3, 4, dtype=torch.bool), real], 1)
    with torch.no_grad():
        torch.testing.assert_close(trunk(shifted, hidden)[:, 4:], fused)


def test_augmentation_keeps_images_and_flips_only_where_allowed() -> None:
    image = torch.arange(32 * 32, dtype=torch.int32).remainder(251).to(torch.uint8).reshape(1, 1, 32, 32)
    image = image.expand(64, 3, 32, 32).contiguous()
    generator = torch.Generator().manual_seed(0)
    rows, none = torch.arange(64), torch.zeros(64, dtype=torch.bool)
    even, odd = torch.zeros(64, dtype=torch.int64), torch.full((64,), 3)
    first = torch.arange(64) % 3 == 0
    same = images.BatchAugmentation(none, first, 0, 0)(image, rows, even, generator)
    assert torch.equal(same, image)
    for passes, expected in ((even, first), (odd, ~first)):
        turned = images.BatchAugmentation(~none, first, 0, 0)(image, rows, passes, generator)
        assert torch.equal(turned, torch.where(expected[:, None, None, None], image.flip(-1), image))
    moved = images.BatchAugmentation(none, none, 2, 0)(image, rows, even, generator)
    edged = torch.nn.functional.pad(image[:1].float(), (2,) * 4, mode="reflect").to(torch.uint8)
    crops = [edged[0, :, y : y + 32, x : x + 32] for y in range(5) for x in range(5)]
    assert all(any(torch.equal(one, crop) for crop in crops) for one in moved)
    holed = images.BatchAugmentation(none, none, 0, 8)(image, rows, even, generator)
    blank = (holed != image).any(1).flatten(1).sum(1)
    assert int(blank.max()) <= 64
    assert int(blank.min()) >= 12


def test_every_second_epoch_shows_the_flipped_image() -> None:
    draw = np.random.default_rng(0)
    image = torch.from_numpy(draw.integers(0, 255, (12, 3, 32, 32)).astype(np.uint8))
    set_ = images.Images(image, torch.arange(12), np.arange(12).astype(str))
    batches = images.ImageBatches([set_], [12], [True], 4, 0, 0, 0, torch.device("cpu"))
    seen = []
    for step in range(4):
        batch = batches.at(step)
        order = batch.targets[:, 1].argsort()
        mirrored = (batch.inputs["image"][order] == image.flip(-1)).flatten(1).all(1)
        assert torch.equal(batch.inputs["image"][order][~mirrored], image[~mirrored])
        seen.append(mirrored)
    assert 0 < int(seen[0].sum()) < 12
    for even, odd in ((0, 1), (2, 1), (2, 3)):
        assert torch.equal(seen[even], ~seen[odd])


def test_the_first_convolution_starts_with_whitening_filters() -> None:
    draw = np.random.default_rng(0)
    smooth = np.cumsum(draw.normal(size=(40, 3, 32, 32)), axis=3) * 9 + 120
    image = torch.from_numpy(smooth.clip(0, 255).astype(np.uint8))
    trunk = cnn_module.Trunk(cnn_module.TrunkConfig(20, (16,), (0,)))
    cnn_module.whitening_init(trunk, image)
    conv = trunk.stem[0]
    assert isinstance(conv, torch.nn.Conv2d)
    torch.testing.assert_close(conv.weight[:10], -conv.weight[10:20])
    patches = torch.nn.functional.unfold(image.float() / 64, 3).transpose(1, 2).flatten(0, 1)
    found = (patches - patches.mean(0)) @ conv.weight[:10].flatten(1).T
    assert (found.std(0) - 1).abs().max() < 0.1
    correlated = torch.corrcoef(found.detach().T) - torch.eye(10)
    assert correlated.abs().max() < 0.02, "the first layer's outputs are decorrelated"


@pytest.mark.parametrize(
    ("recipe", "key"),
    [
        (partial(CnnRecipe, steps=0), "recipe.steps"),
        (partial(CnnRecipe, signs_fraction=1.5), "recipe.signs_fraction"),
        (partial(CifarRecipe, norm="layer"), "recipe.norm"),
        (partial(CifarRecipe, channels=[16, 20], blocks=[1, 1], norm="group"), "recipe.channels"),
        (partial(TextRecipe, optimizer="adam"), "recipe.optimizer"),
        (partial(TextRecipe, source_weights=[1.0, 2.0]), "recipe.source_weights"),
        (partial(CnnRecipe, objects="nowhere.parquet"), "recipe.objects"),
    ],
)
def test_wrong_settings_are_refused_with_their_key(
    recipe: Callable[[], Recipe], key: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=key):
        pretrain(config(recipe()), tmp_path)


def test_every_renamed_key_of_a_recipe_exists() -> None:
    keys = {f.name for cls in RECIPES.values() for f in fields(cls)}
    renamed = {new for new in RENAMED_KEYS.values() if new.startswith("recipe.")}
    assert len(renamed) > 20
    assert {new.removeprefix("recipe.") for new in renamed} <= keys
    assert not {old.removeprefix("recipe.") for old in RENAMED_KEYS if old.startswith("recipe.")} & keys


def test_a_card_with_old_names_is_read() -> None:
    old = {"sha256": "0", "settings": {"held_out": 0.1}, "tokenizer": {"sample": [1], "vocabulary": 9}}
    card = WeightsCard.model_validate(old)
    assert card.settings == {"validation_fraction": 0.1}
    assert card.tokenizer is not None
    assert card.tokenizer.vocab_size == 9


def test_the_command_reports_mistakes_and_old_keys_and_helps_without_torch() -> None:
    script = (
        "import sys; sys.argv = ['x', '--help'];"
        "from core.pretrain.__main__ import main; main(); print({'torch', 'pandas'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip().endswith("set()")
    assert "recipe.signs_fraction=0.25" in out.stdout
    command = [sys.executable, "-m", "core.pretrain", "recipe=cnn", "recipe.rate=0.1", "recipe.steps=many"]
    wrong = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "PLINTH_TRACEBACK": ""}
    )
    assert wrong.returncode == 2
    warning, error = wrong.stderr.splitlines()[:2]
    assert warning.startswith("warning: recipe.rate=0.1 is called recipe.lr=0.1")
    assert error.startswith("error:")
    assert "steps" in wrong.stderr
