"""Pretraining on made-up data: what is read, what is written, and that a killed run ends as a straight one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from core.backbones.config import CnnSmallConfig, TextSmallConfig
from core.backbones.text_small import Shape, Trunk
from core.data.types import Layout
from core.pretrain import cnn as cnn_module
from core.pretrain import images
from core.pretrain.cnn import OwnClasses
from core.pretrain.config import CifarRecipe, CnnRecipe, PretrainConfig, TextRecipe
from core.pretrain.corpus import MASK, SEP, TextBatches, read, tokenised
from core.pretrain.page import closing
from core.pretrain.run import pretrain
from core.pretrain.text import GuessOrFind
from core.report import formatting
from core.training.shutdown import TrainingInterrupted
from core.training.step import TrainStep

torch.set_num_threads(1)


def strip(images: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(images.reshape(-1, 32, 3)).save(out, "PNG")
    return out.getvalue()


def strips(path: Path, classes: int, tracks: bool, test_pixels: bytes | None) -> Path:
    """Write rows of 40 pictures whose colour tells the class; the test part's bytes may be no picture at all."""
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


@pytest.fixture
def sets(tmp_path: Path) -> dict[str, str]:
    """Two sets whose test pictures can't be decoded: whoever looks at them fails."""
    return {
        "objects": str(strips(tmp_path / "objects.parquet", 5, False, b"no picture")),
        "signs": str(strips(tmp_path / "signs.parquet", 4, True, b"no picture")),
    }


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, Any]:
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
    paths = {}
    for name, rows in (("novels", novels), ("medical", medical), ("commands", commands)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        paths[name] = str(path)
    return {**paths, "commands": [paths["commands"]]}


def small_text(texts: dict[str, Any], **changes: Any) -> TextRecipe:
    sizes = {
        "vocabulary": 320,
        "length": 24,
        "batch_tokens": 96,
        "long_every": 3,
        "pairs": 6,
        "pair_length": 12,
    }
    return TextRecipe(
        **{**texts, **sizes, "steps": 8, "pairs_from": 0.5, "held_out": 0.1, "ema": 0.9, **changes}
    )


def config(recipe: Any, **changes: Any) -> PretrainConfig:
    return PretrainConfig(recipe=recipe, device="cpu", precision="fp32", progress="none", **changes)


@pytest.mark.parametrize("kept", ["objects", "signs"])
def test_cnn_weights_can_leave_one_set_out(sets: dict[str, str], kept: str, tmp_path: Path) -> None:
    one = {name: path if name == kept else "" for name, path in sets.items()}
    recipe = CnnRecipe(**one, steps=2, batch_size=16, held_out=0.1, ema=0.0, move=1, cutout=0)
    record = pretrain(config(recipe), tmp_path / "run")
    assert set(record["files"]) == {f"{kept}.parquet"}
    assert set(record["data"]) == {kept}
    assert {key.partition("_")[0] for key in record["final"] if key.endswith("_loss")} == {kept}
    card = json.loads((tmp_path / "run" / "weights" / "cnn_small.json").read_text())
    assert set(card["files"]) == {f"{kept}.parquet"}, "the card names but what was read"
    with pytest.raises(ValueError, match=r"recipe\.objects"):
        CnnRecipe(objects="", signs="").check()


def test_cnn_weights_are_trained_written_and_taken_up(sets: dict[str, str], tmp_path: Path) -> None:
    recipe = CnnRecipe(**sets, steps=40, batch_size=16, held_out=0.1, ema=0.8, move=1, cutout=0)
    record = pretrain(config(recipe), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "record.json").read_text()) == record
    assert record["final"]["step"] == 40
    assert record["final"]["objects_accuracy"] > 0.5, "colours tell five classes apart"
    assert record["data"]["objects"]["trained_on"] == 108
    assert record["data"]["signs"]["trained_on"] + record["data"]["signs"]["watched"] == 120
    assert record["units_per_second"] > 0
    assert record["flops_per_step"] > 1e9
    assert record["energy"]["wh"] > 0
    assert set(record["files"]) == {"objects.parquet", "signs.parquet"}
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count("<svg") == 2, "losses and shares right"
    for figure in (record["final"]["objects_loss"], record["final"]["signs_accuracy"]):
        assert f">{formatting.format_number(figure)}<" in page
    assert all(sha in page for sha in record["files"].values())
    good, fast, _, weights = closing(record)
    assert f"objects accuracy {formatting.format_number(record['final']['objects_accuracy'])}" in good
    assert "40 steps" in fast
    assert "cnn_small.safetensors" in weights
    path = tmp_path / "run" / "weights" / "cnn_small.safetensors"
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["files"]["objects.parquet"]["sha256"] == record["files"]["objects.parquet"]
    assert record["weights"]["answers_that_change"] <= 0.1
    layout = Layout(image=(3, 32, 32))
    loaded = CnnSmallConfig(weights=str(path)).build(layout, 0)
    stored = load_file(path)
    for name, tensor in loaded.trunk.state_dict().items():
        assert stored[name].dtype == torch.float16
        assert torch.equal(tensor, stored[name].float())
    fresh = CnnSmallConfig(weights="none").build(layout, 0)
    again = CnnSmallConfig(weights=str(path)).rebuild(layout, 0)
    assert all(torch.equal(a, b) for a, b in zip(fresh.parameters(), again.parameters(), strict=True)), (
        "rebuild must read no weights"
    )


def test_standardized_kernels_are_settled_into_plain_ones() -> None:
    torch.manual_seed(0)
    trunk = cnn_module.Trunk(cnn_module.Shape(16, (16, 32), (1, 0)))
    plain_keys = set(trunk.state_dict())
    cnn_module.standardize(trunk)
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
    cnn_module.settle(trunk)
    assert set(trunk.state_dict()) == plain_keys
    assert all(torch.equal(a, b) for a, b in zip(before, trunk(image), strict=True))


def test_text_weights_are_trained_written_and_taken_up(texts: dict[str, Any], tmp_path: Path) -> None:
    record = pretrain(config(small_text(texts)), tmp_path / "run")
    assert record["unit"] == "tokens"
    assert {"novels_loss", "medical_loss", "pairs_right"} <= set(record["final"])
    path = tmp_path / "run" / "weights" / "text_small.safetensors"
    card = json.loads(path.with_suffix(".json").read_text())
    assert len(card["tokenizer"]["sample"]) > 3
    layout = Layout(vocab_size=320, max_length=10)
    TextSmallConfig(weights=str(path)).build(layout, 0)
    with pytest.raises(ValueError, match=r"backbone\.weights.*words\.weight"):
        TextSmallConfig(weights=str(path)).build(Layout(vocab_size=300, max_length=10), 0)


def renamed(card: dict[str, Any], weights: Path, stem: str, **changes: str) -> Path:
    """Copy weights under another name, their card changed."""
    copy = weights.with_name(f"{stem}.safetensors")
    copy.write_bytes(weights.read_bytes())
    copy.with_suffix(".json").write_text(json.dumps(card | changes))
    return copy


def test_text_training_goes_on_from_former_weights(texts: dict[str, Any], tmp_path: Path) -> None:
    pretrain(config(small_text(texts)), tmp_path / "first")
    path = tmp_path / "first" / "weights" / "text_small.safetensors"
    former = json.loads(path.with_suffix(".json").read_text())
    barely = small_text(texts, start=str(path), steps=1, rate=1e-9, ema=0.0, fp16=False)
    pretrain(config(barely), tmp_path / "second")
    second = tmp_path / "second" / "weights" / "text_small.safetensors"
    before, after = load_file(path), load_file(second)
    assert all(torch.allclose(before[k].float(), after[k], atol=1e-6) for k in before)
    told = json.loads(second.with_suffix(".json").read_text())["start"]
    assert (told["sha256"], told["steps"]) == (former["sha256"], 8)
    assert told["energy"] == former["energy"]
    for changes, seed, word in (
        ({"vocabulary": 310}, 0, "tokenizer"),
        ({"held_out": 0.2}, 0, "held out other texts"),
        ({}, 1, "held out other texts"),
        ({"start": str(tmp_path / "none.safetensors")}, 0, "card is missing"),
        ({"start": str(renamed(former, path, "other", name="cnn_small"))}, 0, "cnn_small, not of text_small"),
        ({"start": str(renamed(former, path, "altered", sha256="0"))}, 0, "is not the file"),
    ):
        recipe = small_text(texts, **{"start": str(path), **changes})
        with pytest.raises(ValueError, match=rf"recipe\.start.*{word}"):
            pretrain(config(recipe, seed=seed), tmp_path / "refused")


@pytest.mark.parametrize("kind", ["cnn", "text"])
def test_a_killed_run_ends_as_a_straight_one(
    kind: str, sets: dict[str, str], texts: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "cnn":
        recipe: Any = CnnRecipe(**sets, steps=6, batch_size=8, held_out=0.1, ema=0.8)
    else:
        recipe = small_text(texts)
    straight = pretrain(config(recipe), tmp_path / "straight")
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
    assert resumed["weights"]["sha256"] == straight["weights"]["sha256"]
    assert resumed["curve"] == straight["curve"]
    before, after = straight["final"], resumed["final"]
    assert {k: v for k, v in before.items() if k != "seconds"} == {
        k: v for k, v in after.items() if k != "seconds"
    }
    assert resumed["energy"]["wh"] > 0


def test_cifar10_is_judged_on_its_test_part_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = strips(tmp_path / "objects.parquet", 5, False, None)
    trained: list[int] = []
    made = cnn_module.PictureBatches

    def remember(sets: Any, *rest: Any) -> Any:
        trained.extend(len(s) for s in sets)
        return made(sets, *rest)

    monkeypatch.setattr(cnn_module, "PictureBatches", remember)
    recipe = CifarRecipe(
        objects=str(path),
        epochs=6,
        batch_size=20,
        stem=8,
        widths=[16, 16],
        blocks=[1, 1],
        rate=0.1,
        cutout=0,
        move=1,
    )
    record = pretrain(config(recipe), tmp_path / "run")
    assert set(trained) == {120}
    assert record["steps"] == 36
    assert [point["step"] for point in record["looks"]] == [6, 12, 18, 24, 30, 36]
    assert record["final"]["test_accuracy"] > 0.5
    assert "weights" not in record
    assert not (tmp_path / "run" / "weights").exists()


def test_a_plan_by_minutes_is_kept_for_the_resume(sets: dict[str, str], tmp_path: Path) -> None:
    recipe = CnnRecipe(**sets, minutes=0.01, batch_size=4, held_out=0.1, ema=0.0)
    record = pretrain(config(recipe), tmp_path / "run")
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert plan["steps"] == record["steps"] == max(round(0.6 / plan["seconds_per_step"]), 1)
    assert pretrain(config(recipe), tmp_path / "run")["steps"] == plan["steps"]


def test_sentences_of_test_parts_stay_out(texts: dict[str, Any]) -> None:
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
    trained, watched = tokenised(sources, tokenizer, recipe, 0)
    for k, source in enumerate(sources):
        ends = [(int((part.streams[k] == SEP).sum())) for part in (trained, watched)]
        assert sum(ends) == len(source.whole)
        assert min(ends) >= 1
    assert len(trained.pairs) + len(watched.pairs) == 60
    assert len(watched.pairs) == 6, "two of 20 diseases"
    signs = images.read(sets["signs"], "recipe.signs", "train", {})
    taught, watching = images.cut(signs, 0.2, 0)
    assert not set(taught.unit) & set(watching.unit)
    assert len(taught) + len(watching) == 120


def test_hidden_tokens_are_the_right_ones_and_batches_repeat(texts: dict[str, Any]) -> None:
    from core.data.encoders.tokens import byte_level_bpe

    recipe = small_text(texts, hidden=0.3)
    sources = read(recipe, {})
    tokenizer = byte_level_bpe((t for s in sources for t in s.whole), 320, True)
    part, _ = tokenised(sources, tokenizer, recipe, 0)
    batches = TextBatches(part, recipe, 8, 3, torch.device("cpu"))
    again = TextBatches(part, recipe, 8, 3, torch.device("cpu"))
    for batch, other in zip(batches.from_step(0), again.from_step(0), strict=True):
        assert torch.equal(batch.inputs["tokens"], other.inputs["tokens"])
    batch = batches.at(0)
    tokens, places = batch.inputs["tokens"], batch.inputs["places"]
    assert tokens.shape == (4, 24)
    assert places.shape == (4, round(0.3 * 22))
    assert all(len(set(row.tolist())) == places.shape[1] for row in places)
    whole = tokens.scatter(1, places, batch.targets)
    inner = whole[:, 1:-1]
    assert not (whole == MASK).any()
    for row, start in zip(inner, batch.index, strict=True):
        assert torch.equal(row, batches.stream[start : start + 22].long())
    hidden = (tokens.gather(1, places) == MASK).double().mean()
    assert 0.5 < float(hidden) < 1.0
    assert batches.at(2).inputs["tokens"].shape == (1, 96), "each third step has long rows"
    pair = batches.at(5)
    half = len(pair) // 2
    assert torch.equal(pair.targets, torch.arange(2 * half).roll(half))


def test_losses_follow_their_definition() -> None:
    outputs = torch.randn(6, 9, dtype=torch.float64)
    targets = torch.tensor([[0, 2], [1, 3], [0, 4], [1, 0], [0, 0], [1, 1]])
    found = OwnClasses([5, 4], 0.2).losses(outputs, targets)
    for row, (kind, label) in enumerate(targets.tolist()):
        own = outputs[row, :5] if kind == 0 else outputs[row, 5:]
        expected = torch.nn.functional.cross_entropy(own[None], torch.tensor([label]), label_smoothing=0.2)
        torch.testing.assert_close(found[row], expected)
    vectors = torch.nn.functional.normalize(torch.randn(4, 8, dtype=torch.float64), dim=1)
    partner = torch.tensor([2, 3, 0, 1])
    losses = GuessOrFind(0.5).losses(vectors, partner)
    row = (vectors[1] @ vectors.T / 0.5).exp()
    torch.testing.assert_close(losses[1], -torch.log(row[3] / (row.sum() - row[1])))


def test_attention_is_torchs_own_and_sees_distances_only() -> None:
    torch.manual_seed(0)
    trunk = Trunk(Shape(width=16, layers=2, heads=2, hidden=32, vocabulary=30)).eval()
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


def test_changes_keep_pictures_and_mirror_only_where_allowed() -> None:
    image = torch.arange(32 * 32, dtype=torch.int32).remainder(251).to(torch.uint8).reshape(1, 1, 32, 32)
    image = image.expand(64, 3, 32, 32).contiguous()
    generator = torch.Generator().manual_seed(0)
    rows, none = torch.arange(64), torch.zeros(64, dtype=torch.bool)
    even, odd = torch.zeros(64, dtype=torch.int64), torch.full((64,), 3)
    first = torch.arange(64) % 3 == 0
    same = images.Changes(none, first, 0, 0)(image, rows, even, generator)
    assert torch.equal(same, image)
    for passes, expected in ((even, first), (odd, ~first)):
        turned = images.Changes(~none, first, 0, 0)(image, rows, passes, generator)
        assert torch.equal(turned, torch.where(expected[:, None, None, None], image.flip(-1), image))
    moved = images.Changes(none, none, 2, 0)(image, rows, even, generator)
    edged = torch.nn.functional.pad(image[:1].float(), (2,) * 4, mode="reflect").to(torch.uint8)
    crops = [edged[0, :, y : y + 32, x : x + 32] for y in range(5) for x in range(5)]
    assert all(any(torch.equal(one, crop) for crop in crops) for one in moved)
    holed = images.Changes(none, none, 0, 8)(image, rows, even, generator)
    blank = (holed != image).any(1).flatten(1).sum(1)
    assert int(blank.max()) <= 64
    assert int(blank.min()) >= 12


def test_every_second_pass_shows_the_other_side() -> None:
    draw = np.random.default_rng(0)
    image = torch.from_numpy(draw.integers(0, 255, (12, 3, 32, 32)).astype(np.uint8))
    set_ = images.Pictures(image, torch.arange(12), np.arange(12).astype(str))
    batches = images.PictureBatches([set_], [12], [True], 4, 0, 0, 0, torch.device("cpu"))
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


def test_the_first_convolution_starts_white() -> None:
    draw = np.random.default_rng(0)
    smooth = np.cumsum(draw.normal(size=(40, 3, 32, 32)), axis=3) * 9 + 120
    image = torch.from_numpy(smooth.clip(0, 255).astype(np.uint8))
    trunk = cnn_module.Trunk(cnn_module.Shape(20, (16,), (0,)))
    cnn_module.start_white(trunk, image)
    conv = trunk.stem[0]
    assert isinstance(conv, torch.nn.Conv2d)
    torch.testing.assert_close(conv.weight[:10], -conv.weight[10:20])
    patches = torch.nn.functional.unfold(image.float() / 64, 3).transpose(1, 2).flatten(0, 1)
    found = (patches - patches.mean(0)) @ conv.weight[:10].flatten(1).T
    assert (found.std(0) - 1).abs().max() < 0.1
    correlated = torch.corrcoef(found.detach().T) - torch.eye(10)
    assert correlated.abs().max() < 0.02, "what the first layer sees of a picture is decorrelated"


@pytest.mark.parametrize(
    ("recipe", "key"),
    [
        (CnnRecipe(steps=0), "recipe.steps"),
        (CnnRecipe(signs_share=1.5), "recipe.signs_share"),
        (CifarRecipe(norm="layer"), "recipe.norm"),
        (CifarRecipe(widths=[16, 20], blocks=[1, 1], norm="group"), "recipe.widths"),
        (TextRecipe(optimizer="adam"), "recipe.optimizer"),
        (TextRecipe(shares=[1.0, 2.0]), "recipe.shares"),
        (CnnRecipe(objects="nowhere.parquet"), "recipe.objects"),
    ],
)
def test_wrong_settings_are_refused_with_their_key(recipe: Any, key: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=key):
        pretrain(config(recipe), tmp_path)


def test_the_command_says_what_is_wrong_and_helps_without_torch() -> None:
    script = (
        "import sys; sys.argv = ['x', '--help'];"
        "from core.pretrain.__main__ import main; main(); print({'torch', 'pandas'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip().endswith("set()")
    assert "recipe.signs_share=0.25" in out.stdout
    command = [sys.executable, "-m", "core.pretrain", "recipe=cnn", "recipe.steps=many"]
    wrong = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "PLINTH_TRACEBACK": ""}
    )
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error:")
    assert "steps" in wrong.stderr
