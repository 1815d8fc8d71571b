"""The pretrained weights of core: each card's file is there and unaltered, loads, and trains privately."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from fakes.layouts import COLUMNS, random_inputs
from torch.nn.functional import cross_entropy

from core.backbones import pretrained
from core.backbones.config import CnnSmallConfig, FullConfig, TextSmallConfig, TimmConfig, TransformersConfig
from core.backbones.pretrained import load_pretrained, weights_origin
from core.config import OPTIONS, build
from core.data.encoders.tokens import SAMPLE, bundled_tokenizer
from core.data.types import ColumnRoles, Dataset, Finding, Layout
from core.privacy.clipping import FlatClip, PerExampleClipper
from core.privacy.config import DifferentialPrivacy, NoPrivacy
from core.privacy.preflight import preflight
from core.run.steps.prepare import pretraining_overlap_findings

torch.set_num_threads(1)
FOLDER = Path(str(pretrained.weights_directory()))
CARDS = sorted(FOLDER.glob("*.json"))
MEGABYTE = 2**20


def test_every_file_of_weights_has_a_card_and_the_sizes_stay_small() -> None:
    files = sorted(FOLDER.glob("*.safetensors"))
    assert [f.stem for f in files] == [c.stem for c in CARDS] == ["cnn_small", "text_small"]
    sizes = [f.stat().st_size for f in files]
    assert max(sizes) <= 16 * MEGABYTE
    assert sum(sizes) <= 40 * MEGABYTE


@pytest.mark.parametrize("card", CARDS, ids=[c.stem for c in CARDS])
def test_a_card_is_true_of_its_file(card: Path) -> None:
    entries = json.loads(card.read_text())
    content = (FOLDER / entries["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == entries["sha256"]
    assert len(content) == entries["bytes"]
    assert {"recipe", "settings", "seed", "steps", "energy", "final", "data"} <= set(entries)
    assert all(len(f["sha256"]) == 64 and f["terms"] for f in entries["files"].values())
    assert entries["prediction_change_rate"] < 0.01, "half precision loses too much"
    if "tokenizer" in entries:
        tokenizer = bundled_tokenizer(entries["name"])
        assert tokenizer.encode(SAMPLE, add_special_tokens=False).ids == entries["tokenizer"]["sample"]
        assert tokenizer.get_vocab_size() == entries["tokenizer"]["vocab_size"]


@pytest.mark.parametrize("card", CARDS, ids=[c.stem for c in CARDS])
def test_pretrained_weights_load_and_random_starts_from_random_initialization(card: Path) -> None:
    entries = json.loads(card.read_text())
    if "tokenizer" in entries:
        sample = tuple(entries["tokenizer"]["sample"])
        layout = Layout(vocab_size=entries["tokenizer"]["vocab_size"], max_length=12, tokenizer_sample=sample)
        other = Layout(
            vocab_size=entries["tokenizer"]["vocab_size"], max_length=12, tokenizer_sample=sample[1:]
        )
        with pytest.raises(ValueError, match=r"encoder\.text\.tokenizer"):
            build(OPTIONS["backbone", card.stem](), other, 0)
    else:
        layout = Layout(image=(3, 32, 32))
    made = build(OPTIONS["backbone", card.stem](), layout, 0)
    again = build(OPTIONS["backbone", card.stem](), layout, 1)
    fresh = build(OPTIONS["backbone", card.stem](weights="random"), layout, 0)
    name = next(n for n, p in made.trunk.named_parameters() if p.ndim > 1)
    weight = made.trunk.get_parameter(name)
    assert torch.equal(weight, again.trunk.get_parameter(name))
    assert not torch.equal(weight, fresh.trunk.get_parameter(name))
    assert weight.dtype == torch.float32


def test_altered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save

    fresh = build(CnnSmallConfig(weights="random"), Layout(image=(3, 32, 32)), 0)
    content = save(fresh.trunk.state_dict())
    (tmp_path / "cnn_small.safetensors").write_bytes(content)
    (tmp_path / "cnn_small.json").write_text(json.dumps({"sha256": hashlib.sha256(content).hexdigest()}))
    monkeypatch.setattr(pretrained, "weights_directory", lambda: tmp_path)
    build(CnnSmallConfig(), Layout(image=(3, 32, 32)), 0)
    (tmp_path / "cnn_small.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match="differs from its card"):
        build(CnnSmallConfig(), Layout(image=(3, 32, 32)), 0)
    (tmp_path / "cnn_small.json").unlink()
    with pytest.raises(ValueError, match=r"backbone\.weights='pretrained'"):
        build(CnnSmallConfig(), Layout(image=(3, 32, 32)), 0)


@pytest.mark.parametrize(
    ("option", "layout"),
    [
        (CnnSmallConfig(weights="random"), Layout(image=(3, 32, 32))),
        (CnnSmallConfig(weights="random"), Layout(image=(1, 50, 64), **COLUMNS)),
        (TextSmallConfig(weights="random"), Layout(vocab_size=60, max_length=9)),
        (
            TextSmallConfig(weights="random", pooling="attention"),
            Layout(vocab_size=60, max_length=9, tfidf_size=7, **COLUMNS),
        ),
    ],
)
def test_gradients_of_single_examples_are_exact(option: object, layout: Layout) -> None:
    model = build(FullConfig(), build(option, layout, 0), 3, "pooled", 0).train()
    inputs = random_inputs(layout, 4)
    truth = torch.arange(4) % 3
    clipper = PerExampleClipper(model, rule=FlatClip(0.5))

    def losses(index: torch.Tensor) -> torch.Tensor:
        taken = {name: tensor[index] for name, tensor in inputs.items()}
        return cross_entropy(model(taken), truth[index], reduction="none")

    report = preflight(clipper, losses, 4)
    assert report.norm_error < 1e-3
    assert report.sum_error < 1e-4
    assert report.independence_error < 1e-4


def test_the_privacy_statement_names_the_weights() -> None:
    assert weights_origin(CnnSmallConfig()) == "the pretrained weights of cnn_small that are part of core"
    assert weights_origin(TextSmallConfig(weights="mine.safetensors")) == "the weights in mine.safetensors"
    assert weights_origin(TextSmallConfig(weights="random")) == ""
    assert weights_origin(TransformersConfig(name="bert")) == "the published weights of bert"
    assert weights_origin(TimmConfig(weights="mine.pth")) == "the weights in mine.pth"
    assert weights_origin(TimmConfig()) == ""


def test_weights_pretrained_on_the_data_are_reported_and_void_no_guarantee(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"old_name.parquet": {"sha256": "a" * 64, "terms": "free"}}
    (tmp_path / "cnn_small.json").write_text(json.dumps({"sha256": "0", "files": files}))
    monkeypatch.setattr(pretrained, "weights_directory", lambda: tmp_path)
    frame = pd.DataFrame({"image": [b""], "label": ["a"]})
    roles = ColumnRoles(target=("label",), image="image")
    known = Dataset(frame, roles, "mine", files={"mine.parquet": "a" * 64, "other.csv": "b" * 64})
    fresh = Dataset(frame, roles, "mine", files={"other.csv": "b" * 64})

    def findings(dataset: Dataset, weights: str, privacy: object) -> list[Finding]:
        config = SimpleNamespace(backbone=CnnSmallConfig(weights=weights), privacy=privacy)
        return pretraining_overlap_findings(config, dataset)  # type: ignore[arg-type]

    (finding,) = findings(known, "pretrained", NoPrivacy())
    assert finding.level == "warning"
    assert "pretrained on mine.parquet" in finding.message
    assert "other.csv" not in finding.message
    with pytest.raises(
        ValueError, match=r"backbone\.weights=\'?pretrained\'?: .* pretrained on mine\.parquet"
    ):
        findings(known, "pretrained", DifferentialPrivacy())
    for dataset, weights in ((fresh, "pretrained"), (known, "random"), (known, "local.safetensors")):
        for privacy in (NoPrivacy(), DifferentialPrivacy()):
            assert findings(dataset, weights, privacy) == []


def test_grayscale_images_and_maps_of_every_size_fit() -> None:
    for image, finest in (((1, 32, 32), 16), ((3, 96, 96), 24), ((3, 37, 45), 19)):
        backbone = build(CnnSmallConfig(weights="random"), Layout(image=image), 0)
        backbone.open_pyramid()
        features = backbone({"image": torch.zeros(2, *image, dtype=torch.uint8)})
        assert features.maps is not None
        assert [m.shape[1] for m in features.maps] == list(backbone.pyramid)
        assert features.maps[0].shape[2] == finest
    with pytest.raises(ValueError, match=r"backbone\.stem_stride"):
        build(CnnSmallConfig(weights="random"), Layout(image=(3, 7, 7)), 0)
    with pytest.raises(ValueError, match=r"encoder\.image\.channels"):
        build(CnnSmallConfig(weights="random"), Layout(image=(4, 32, 32)), 0)


def test_weights_that_are_not_there_are_named() -> None:
    with pytest.raises(ValueError, match=r"no weights of nothing; set backbone\.weights=random"):
        load_pretrained(torch.nn.Linear(1, 1), "nothing", "pretrained")
