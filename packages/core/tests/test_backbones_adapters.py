"""Heads and adapters: what trains, what stays, and what is refused."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from fakes.layouts import LAYOUTS, random_inputs

from core.backbones.config import (
    FullConfig,
    LinearProbeConfig,
    LoraAdapterConfig,
    ResNetGNConfig,
    SequenceConfig,
    TabularConfig,
    TextConfig,
    TimmConfig,
    TransformersConfig,
)
from core.backbones.model import trainable_parameters
from core.config import build

BERT = TransformersConfig(
    name="bert",
    pretrained=False,
    config_overrides={
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    },
)
GPT2 = TransformersConfig(
    name="gpt2", pretrained=False, config_overrides={"n_embd": 16, "n_layer": 1, "n_head": 2}, pooling="last"
)
VIT = TimmConfig(name="vit_tiny_patch16_224")
LORA_CASES = {
    "tabular": (TabularConfig(hidden_size=16, num_heads=2), "table and note"),
    "text": (TextConfig(hidden_size=16, num_heads=2), "note and columns"),
    "sequence": (SequenceConfig(hidden_size=16, num_heads=2), "events"),
    "transformers": (BERT, "note"),
    "transformers Conv1D": (GPT2, "note"),
    "timm": (VIT, "image"),
}


def changed_by_a_step(model, inputs):
    """Name the weights that one step of plain descent changes."""
    model.train()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    model(inputs).square().sum().backward()
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None:
                p -= 0.1 * p.grad
    return {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}


def test_full_trains_everything():
    layout = LAYOUTS["table"]
    model = build(
        FullConfig(head_type="mlp", dropout=0.1),
        build(TabularConfig(hidden_size=16, num_heads=2), layout, 0),
        2,
        "pooled",
        0,
    )
    assert trainable_parameters(model) == sum(p.numel() for p in model.parameters())
    assert any("backbone" in n for n in changed_by_a_step(model, random_inputs(layout, 8)))


def test_linear_probe_trains_the_head_and_new_modules_only():
    layout = LAYOUTS["note and columns"]
    model = build(
        LinearProbeConfig(),
        build(TextConfig(hidden_size=16, num_heads=2, dropout=0.5), layout, 0),
        2,
        "pooled",
        0,
    )
    changed = changed_by_a_step(model, random_inputs(layout, 8))
    assert {n.split(".")[0] + "." + n.split(".")[1] for n in changed} <= {
        "head.answer",
        "head.wide",
        "backbone.side",
        "backbone.pooling",
    }
    assert {"head.answer.weight", "head.wide.linear.weight", "backbone.pooling.question.weight"} <= changed


def test_a_frozen_backbone_keeps_its_statistics_and_its_dropout_off():
    layout = LAYOUTS["image"]
    backbone = build(TimmConfig(name="resnet10t"), layout, 0)
    model = build(LinearProbeConfig(), backbone, 2, "pooled", 0).train()
    statistics = {n: b.clone() for n, b in model.backbone.named_buffers()}
    inputs = random_inputs(layout, 4)
    first = model(inputs)
    assert all(torch.equal(b, statistics[n]) for n, b in model.backbone.named_buffers())
    assert torch.equal(first, model(inputs))
    alone = model({"image": inputs["image"][:1]})
    torch.testing.assert_close(first[:1], alone, rtol=1e-4, atol=1e-5)
    full = build(FullConfig(), build(TimmConfig(name="resnet10t"), layout, 0), 2, "pooled", 0).train()
    full(inputs)
    assert not all(torch.equal(b, statistics[n]) for n, b in full.backbone.named_buffers())


@pytest.mark.parametrize("name", LORA_CASES)
def test_lora_starts_as_the_network_and_trains_only_its_additions(name):
    option, layout = LORA_CASES[name][0], LAYOUTS[LORA_CASES[name][1]]
    inputs = random_inputs(layout, 6)
    plain = build(LinearProbeConfig(), build(option, layout, 3), 2, "pooled", 3).eval()
    model = build(LoraAdapterConfig(rank=2), build(option, layout, 3), 2, "pooled", 3).eval()
    torch.testing.assert_close(model(inputs), plain(inputs))
    changed = changed_by_a_step(model, inputs)
    allowed = ("lora_", "head.", "backbone.side", "backbone.pooling")
    assert not [n for n in changed if not any(a in n for a in allowed)]
    assert any("lora_B" in n for n in changed)
    assert 0 < trainable_parameters(model) < sum(p.numel() for p in model.parameters())
    again = build(LoraAdapterConfig(rank=2), build(option, layout, 3), 2, "pooled", 3)
    drawn = [p for n, p in again.named_parameters() if "lora_A" in n]
    assert drawn
    assert all(
        torch.equal(p, dict(plain.named_parameters())[n])
        for n, p in again.named_parameters()
        if n.startswith("head")
    )


def test_lora_draws_from_the_seed_alone():
    layout = LAYOUTS["table"]

    def additions(seed):
        model = build(
            LoraAdapterConfig(rank=2),
            build(TabularConfig(hidden_size=16, num_heads=2), layout, 0),
            2,
            "pooled",
            seed,
        )
        return torch.cat([p.flatten() for n, p in model.named_parameters() if "lora_A" in n])

    before = torch.get_rng_state()
    first = additions(1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    assert torch.equal(first, additions(1))
    assert not torch.equal(first, additions(2))


def test_lora_adapts_the_layers_that_are_named():
    layout = LAYOUTS["table"]
    model = build(
        LoraAdapterConfig(rank=2, target_modules=["qkv"]),
        build(TabularConfig(hidden_size=16, num_layers=2, num_heads=2), layout, 0),
        2,
        "pooled",
        0,
    )
    adapted = {n.split(".lora_")[0] for n, _ in model.backbone.named_parameters() if "lora_A" in n}
    assert adapted == {"blocks.blocks.0.qkv", "blocks.blocks.1.qkv"}
    with pytest.raises(ValueError, match=r"adapter\.target_modules=\['query'\].*qkv"):
        build(
            LoraAdapterConfig(target_modules=["qkv", "query"]),
            build(TabularConfig(hidden_size=16, num_heads=2), layout, 0),
            2,
            "pooled",
            0,
        )


@pytest.mark.parametrize(
    ("option", "name"),
    [(ResNetGNConfig(hidden_size=8), "resnet_gn"), (TimmConfig(name="resnet10t"), "timm resnet10t")],
)
def test_lora_refuses_a_network_without_linear_layers(option, name):
    with pytest.raises(ValueError, match=f"backbone={name} has none"):
        build(LoraAdapterConfig(), build(option, LAYOUTS["image"], 0), 2, "pooled", 0)


def test_heads_read_tokens_and_maps():
    note, image = LAYOUTS["note"], LAYOUTS["image"]
    tagger = build(FullConfig(), build(TextConfig(hidden_size=16, num_heads=2), note, 0), 5, "tokens", 0)
    assert tagger(random_inputs(note, 2)).shape == (2, note.max_length, 5)
    segmenter = build(
        FullConfig(head_type="mlp"),
        build(ResNetGNConfig(hidden_size=8, blocks=[1, 1]), image, 0),
        5,
        "map",
        0,
    )
    assert segmenter(random_inputs(image, 2)).shape == (2, 5, 32, 32), "as fine as the finest stage"
    with pytest.raises(ValueError, match=r"'map' features, but this backbone provides pooled, tokens"):
        build(FullConfig(), build(TextConfig(hidden_size=16, num_heads=2), note, 0), 5, "map", 0)


@pytest.mark.parametrize(
    ("option", "key"),
    [
        (partial(FullConfig, head_type="deep"), "head_type"),
        (partial(LinearProbeConfig, dropout=1.0), "dropout"),
        (partial(LoraAdapterConfig, rank=0), "rank"),
        (partial(LoraAdapterConfig, lora_dropout=1.5), "lora_dropout"),
    ],
)
def test_wrong_settings_are_refused_with_their_key(option, key):
    with pytest.raises(ValueError, match=rf"adapter\.{key}="):
        option()
