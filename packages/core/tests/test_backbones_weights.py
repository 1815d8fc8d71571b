"""A model's weights on disk."""

from __future__ import annotations

import json
import shutil

import pytest
import timm
import torch
import transformers
from fakes.layouts import LAYOUTS, random_inputs
from safetensors.torch import save_file
from torch import nn

from core.backbones.config import (
    FullConfig,
    LoraAdapterConfig,
    TabularConfig,
    TextConfig,
    TimmConfig,
    TransformersConfig,
)
from core.backbones.model import load_weights, save_weights
from core.config import build

CASES = {
    "tabular": (TabularConfig(hidden_size=16, num_heads=2), "table", FullConfig()),
    "text with lora": (
        TextConfig(hidden_size=16, num_heads=2),
        "note and columns",
        LoraAdapterConfig(rank=2),
    ),
    "timm": (TimmConfig(name="resnet10t"), "image", FullConfig()),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_saved_is_loaded(name, tmp_path):
    option, layout, adapter = CASES[name]
    layout = LAYOUTS[layout]
    model = build(adapter, build(option, layout, 1), 2, "pooled", 1)
    inputs = random_inputs(layout, 4)
    model.train()(inputs)  # Batch statistics are part of the state.
    with torch.no_grad():
        for p in model.parameters():
            p += 0.01
    save_weights(model, tmp_path / "model.safetensors")
    assert [f.name for f in tmp_path.iterdir()] == ["model.safetensors"]
    again = build(adapter, build(option, layout, 2), 2, "pooled", 2)
    assert not torch.equal(again.eval()(inputs), model.eval()(inputs))
    load_weights(again, tmp_path / "model.safetensors")
    assert torch.equal(again(inputs), model(inputs))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.out = nn.Linear(3, 5, bias=False)
        self.out.weight = self.embed.weight
        self.other = nn.Linear(3, 2)


def test_tied_weights_are_written_once_and_stay_tied(tmp_path):
    model, again = Tied(), Tied()
    save_weights(model, tmp_path / "tied.safetensors")
    assert (tmp_path / "tied.safetensors").stat().st_size < 2 * 4 * 15 + 4 * 8 + 500
    load_weights(again, tmp_path / "tied.safetensors")
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True)
    )
    assert again.out.weight is again.embed.weight


def test_weights_of_another_model_are_refused_by_name(tmp_path):
    save_weights(nn.ModuleDict({"a": nn.Linear(2, 3), "b": nn.Linear(2, 2)}), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"it lacks c\.bias, c\.weight; it also has b\.bias"):
        load_weights(nn.ModuleDict({"a": nn.Linear(2, 3), "c": nn.Linear(2, 2)}), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"of another size is a\.bias, a\.weight"):
        load_weights(nn.ModuleDict({"a": nn.Linear(2, 4), "b": nn.Linear(2, 2)}), tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no weights that can be read"):
        load_weights(nn.Linear(1, 1), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="no weights that can be read"):
        load_weights(nn.Linear(1, 1), tmp_path / "absent.safetensors")


def test_a_saved_run_is_rebuilt_without_fetching_weights(tmp_path):
    network = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
        )
    )
    network.save_pretrained(tmp_path / "bert")
    save_file(timm.create_model("resnet10t", num_classes=0).state_dict(), tmp_path / "resnet.safetensors")
    cases = [
        (TransformersConfig(name=str(tmp_path / "bert")), LAYOUTS["note"]),
        (TimmConfig(name="resnet10t", weights=str(tmp_path / "resnet.safetensors")), LAYOUTS["image"]),
        (TabularConfig(hidden_size=16, num_heads=2), LAYOUTS["table"]),
    ]
    for i, (option, layout) in enumerate(cases):
        backbone = build(option, layout, 1)
        architecture = json.loads(json.dumps(backbone.architecture))
        model = build(FullConfig(), backbone, 2, "pooled", 1).eval()
        save_weights(model, tmp_path / f"{i}.safetensors")
        shutil.rmtree(tmp_path / "bert", ignore_errors=True)
        if i == 1:
            (tmp_path / "resnet.safetensors").unlink()
        again = build(
            FullConfig(), build(option, layout, 2, architecture=architecture), 2, "pooled", 2
        ).eval()
        load_weights(again, tmp_path / f"{i}.safetensors")
        inputs = random_inputs(layout, 3)
        assert torch.equal(model(inputs), again(inputs))
