"""Networks of timm and transformers: local weights round-trip, masks hold, mistakes are named."""

from __future__ import annotations

import pytest
import timm
import torch
import transformers
from fakes.layouts import LAYOUTS, NOTE, random_inputs
from safetensors.torch import save_file
from torch import nn

from core.backbones.config import FullConfig, TimmConfig, TransformersConfig
from core.config import build
from core.data.types import Layout

IMAGE = LAYOUTS["image"]
SIZES = {
    "bert": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32},
    "distilbert": {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32},
    "roberta": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
    "t5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2},
    "gpt2": {"n_embd": 16, "n_layer": 1, "n_head": 2},
    "deberta-v2": {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    },
}


@pytest.mark.parametrize("name", SIZES)
def test_any_architecture_trains_from_the_seed_and_ignores_padding(name):
    option = TransformersConfig(
        name=name,
        pretrained=False,
        config_overrides=SIZES[name],
        pooling="last" if name == "gpt2" else "mean",
    )
    torch.manual_seed(1)
    backbone = build(option, NOTE, 4)
    torch.manual_seed(2)
    again = build(option, NOTE, 4)
    assert all(torch.equal(a, b) for a, b in zip(backbone.parameters(), again.parameters(), strict=True))
    model = build(FullConfig(), backbone, 3, "pooled", 4)
    inputs = random_inputs(NOTE, 4)
    model(inputs).square().sum().backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None]
    model.eval()
    shorter = {"tokens": inputs["tokens"][:, :-2]}
    torch.testing.assert_close(model(inputs), model(shorter), rtol=1e-4, atol=1e-5)
    alone = model({"tokens": inputs["tokens"][:1]})
    torch.testing.assert_close(model(inputs)[:1], alone, rtol=1e-4, atol=1e-5)


@pytest.fixture
def bert_folder(tmp_path):
    config = transformers.BertConfig(vocab_size=60, max_position_embeddings=40, **SIZES["bert"])
    torch.manual_seed(9)
    network = transformers.BertModel(config)
    network.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert", network


def test_a_local_folder_gives_the_same_features(bert_folder):
    folder, network = bert_folder
    backbone = build(TransformersConfig(name=str(folder)), NOTE, 0).eval()
    inputs = random_inputs(NOTE, 3)
    mask = (inputs["tokens"] != 0).long()
    expected = network.eval()(input_ids=inputs["tokens"], attention_mask=mask).last_hidden_state
    features = backbone(inputs)
    torch.testing.assert_close(features.tokens[mask.bool()], expected[mask.bool()])
    pooled = (expected * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    torch.testing.assert_close(features.pooled, pooled)


def test_text_mistakes_are_named(bert_folder, tmp_path):
    folder, network = bert_folder
    too_many = Layout(vocab_size=61, max_length=9)
    with pytest.raises(ValueError, match=r"encoder\.text\.tokenizer.*knows 60"):
        build(TransformersConfig(name=str(folder)), too_many, 0)
    with pytest.raises(ValueError, match=r"encoder\.text\.max_length=41.*at most 40 tokens"):
        build(TransformersConfig(name=str(folder)), Layout(vocab_size=50, max_length=41), 0)
    with pytest.raises(ValueError, match=r"backbone\.config_overrides"):
        build(TransformersConfig(name=str(folder), config_overrides={"hidden_size": 8}), NOTE, 0)
    with pytest.raises(ValueError, match=r"backbone\.config_overrides\.hiden.*no such size"):
        build(TransformersConfig(name="bert", pretrained=False, config_overrides={"hiden": 8}), NOTE, 0)
    with pytest.raises(ValueError, match=r"backbone=transformers reads tokens"):
        build(TransformersConfig(name="bert", pretrained=False), IMAGE, 0)
    empty = tmp_path / "nothing"
    empty.mkdir()
    with pytest.raises(ValueError, match=r"backbone\.name=.*no local folder with a config\.json"):
        build(TransformersConfig(name=str(empty)), NOTE, 0)
    network.config.save_pretrained(empty)
    with pytest.raises(ValueError, match=r"backbone\.name=.*weights could not be loaded"):
        build(TransformersConfig(name=str(empty)), NOTE, 0)
    state = {n: t.contiguous() for n, t in network.state_dict().items() if "layer.1" not in n}
    save_file(state, empty / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"backbone\.name=.*lacks \d+ weights, among them encoder\.layer\.1"):
        build(TransformersConfig(name=str(empty)), NOTE, 0)


# ---- images

NETWORKS = [
    "resnet10t",
    "mobilenetv3_small_050",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
]


@pytest.mark.parametrize("name", NETWORKS)
def test_timm_networks_give_features_of_small_images(name):
    torch.manual_seed(1)
    backbone = build(TimmConfig(name=name, norm="group"), IMAGE, 5)
    assert not [m for m in backbone.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    inputs = random_inputs(IMAGE, 3)
    features = backbone(inputs)
    assert features.pooled.shape == (3, backbone.num_features)
    if "map" in backbone.provides:
        assert features.map.shape[:2] == (3, backbone.num_features)
    if "tokens" in backbone.provides:
        assert features.tokens.shape[2] == backbone.num_features
    backbone.eval()
    alone = backbone({"image": inputs["image"][:1]}).pooled
    torch.testing.assert_close(backbone(inputs).pooled[:1], alone, rtol=1e-3, atol=1e-4)


def test_the_seed_alone_draws_a_timm_network():
    first = build(TimmConfig(name="resnet10t"), IMAGE, 5)
    torch.manual_seed(2)
    again = build(TimmConfig(name="resnet10t"), IMAGE, 5)
    other = build(TimmConfig(name="resnet10t"), IMAGE, 6)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("ending", ["safetensors", "pth", "bin"])
def test_a_local_file_gives_the_same_features(tmp_path, ending):
    torch.manual_seed(3)
    network = timm.create_model("resnet10t", num_classes=11).eval()
    file = tmp_path / f"weights.{ending}"
    state = {n: t.contiguous() for n, t in network.state_dict().items()}
    if ending == "safetensors":
        save_file(state, file)
    else:
        torch.save({"state_dict": {f"module.{n}": t for n, t in state.items()}, "epoch": 3}, file)
    backbone = build(
        TimmConfig(name="resnet10t", weights=str(file), stem_stride="published"), IMAGE, 0
    ).eval()
    image = random_inputs(IMAGE, 2)["image"]
    mean = torch.tensor(network.pretrained_cfg["mean"]).reshape(3, 1, 1)
    deviation = torch.tensor(network.pretrained_cfg["std"]).reshape(3, 1, 1)
    with torch.no_grad():
        expected = network.forward_features((image / 255 - mean) / deviation)
        found = backbone({"image": image})
    torch.testing.assert_close(found.map, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.pooled, expected.mean(dim=(2, 3)), rtol=1e-4, atol=1e-4)


def test_local_weights_fit_other_sizes_and_channels(tmp_path):
    network = timm.create_model("vit_tiny_patch16_224", num_classes=0)
    save_file({n: t.contiguous() for n, t in network.state_dict().items()}, tmp_path / "vit.safetensors")
    layout = Layout(image=(1, 64, 64))
    backbone = build(
        TimmConfig(name="vit_tiny_patch16_224", weights=str(tmp_path / "vit.safetensors")), layout, 0
    )
    assert torch.equal(backbone.network.blocks[0].attn.qkv.weight, network.blocks[0].attn.qkv.weight)
    assert backbone(random_inputs(layout, 1)).tokens.shape == (1, 16, 192)


def test_the_stem_keeps_small_images_large():
    layout = Layout(image=(3, 32, 32))
    sides = {}
    for stem in ("published", "auto", "1"):
        backbone = build(TimmConfig(name="resnet10t", stem_stride=stem), layout, 0).eval()
        sides[stem] = backbone(random_inputs(layout, 1)).map.shape[-1]
    assert sides == {"published": 1, "auto": 2, "1": 4}
    vit = build(TimmConfig(name="vit_tiny_patch16_224"), layout, 0)
    assert vit(random_inputs(layout, 1)).tokens.shape[1] == 64
    fine = build(TimmConfig(name="convnext_atto", stem_stride="2"), layout, 0)
    assert fine(random_inputs(layout, 1)).map.shape[-1] == 2


def test_group_norm_keeps_the_activation_and_the_affine_weights():
    batch = build(TimmConfig(name="efficientnet_b0"), IMAGE, 0)
    group = build(TimmConfig(name="efficientnet_b0", norm="group"), IMAGE, 0)
    assert group.network.bn1.act.__class__ is batch.network.bn1.act.__class__
    assert torch.equal(group.network.bn1.weight, batch.network.bn1.weight)
    assert group.network.bn1.num_groups == 32


class Planted:
    """Would run code when unpickled."""

    def __reduce__(self):
        return (print, ("this must never run",))


def test_image_mistakes_are_named(tmp_path, capsys):
    with pytest.raises(ValueError, match=r"backbone\.name='resnet19'.*near it: .*resnet18"):
        build(TimmConfig(name="resnet19"), IMAGE, 0)
    with pytest.raises(ValueError, match=r"backbone\.weights=.*no such file"):
        build(TimmConfig(weights=str(tmp_path / "none.pth")), IMAGE, 0)
    torch.save({"w": Planted()}, tmp_path / "planted.pth")
    with pytest.raises(ValueError, match=r"backbone\.weights=.*can't be read as plain weights"):
        build(TimmConfig(weights=str(tmp_path / "planted.pth")), IMAGE, 0)
    assert "never run" not in capsys.readouterr().out
    (tmp_path / "damaged.safetensors").write_bytes(b"12345")
    with pytest.raises(ValueError, match=r"backbone\.weights=.*damaged"):
        build(TimmConfig(weights=str(tmp_path / "damaged.safetensors")), IMAGE, 0)
    network = timm.create_model("resnet10t", num_classes=0)
    some = {n: t.contiguous() for n, t in network.state_dict().items() if not n.startswith("layer3")}
    save_file(some, tmp_path / "some.safetensors")
    with pytest.raises(
        ValueError, match=r"backbone\.weights=.*lacks \d+ weights of resnet10t, among them layer3"
    ):
        build(TimmConfig(name="resnet10t", weights=str(tmp_path / "some.safetensors")), IMAGE, 0)
    with pytest.raises(
        ValueError, match=r"backbone\.weights=.*no weights of convnext_atto|lacks \d+ weights"
    ):
        build(TimmConfig(name="convnext_atto", weights=str(tmp_path / "some.safetensors")), IMAGE, 0)
    with pytest.raises(ValueError, match="can't read images of 20 x 20"):
        build(TimmConfig(name="inception_v3"), Layout(image=(3, 20, 20)), 0)
    with pytest.raises(ValueError, match=r"backbone\.norm"):
        build(TimmConfig(norm="instance"), IMAGE, 0)
