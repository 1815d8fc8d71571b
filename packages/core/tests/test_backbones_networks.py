"""Every own network: it trains, keeps examples apart, ignores padding, and its weights come from the seed alone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from fakes.layouts import COLUMNS, LAYOUTS, NOTE, TABLE, random_inputs
from torch import nn

from core.backbones.config import (
    CNN1dConfig,
    CnnSmallConfig,
    FullConfig,
    PatchesConfig,
    ResNetGNConfig,
    ScatteringConfig,
    SequenceConfig,
    TabularConfig,
    TextConfig,
    TextSmallConfig,
)
from core.backbones.input_layers import ColumnFeatures, PiecewiseLinearEncoding
from core.backbones.layers import Pooling
from core.backbones.model import Model, trainable_parameters
from core.config import build
from core.data.types import Layout

SMALL = {"hidden_size": 16, "num_heads": 2}
CASES = {
    "tabular": (TabularConfig(**SMALL), "table"),
    "tabular with a note": (TabularConfig(**SMALL, pooling="attention", token_dropout=0.3), "table and note"),
    "tabular linear, without layers": (
        TabularConfig(**SMALL, num_layers=0, numeric_embedding="linear", pooling="mean"),
        "table",
    ),
    "text": (TextConfig(**SMALL), "note"),
    "text with columns": (TextConfig(**SMALL, pooling="mean", token_dropout=0.3), "note and columns"),
    "text with latent semantic features": (TextConfig(**SMALL, lsa_components=4), "note and columns"),
    "text cls": (TextConfig(**SMALL, pooling="cls", linear_branch_lr_scale=0.0), "note"),
    "resnet_gn": (ResNetGNConfig(hidden_size=8, channels_per_group=4), "image"),
    "resnet_gn with columns": (
        ResNetGNConfig(hidden_size=8, channels_per_group=4, stem_stride="4", blocks=[1, 2]),
        "image and columns",
    ),
    "cnn_small": (CnnSmallConfig(weights="random"), "image"),
    "cnn_small with columns": (CnnSmallConfig(weights="random", stem_stride="2"), "image and columns"),
    "text_small": (TextSmallConfig(weights="random"), "note"),
    "text_small with columns": (
        TextSmallConfig(weights="random", pooling="attention", token_dropout=0.3),
        "note and columns",
    ),
    "text_small as a tagger": (TextSmallConfig(weights="random"), "note and words"),
    "scattering": (ScatteringConfig(), "image"),
    "scattering, mirrored, with columns": (
        ScatteringConfig(orientations=4, mirror=True),
        "image and columns",
    ),
    "scattering with convolutions and columns": (
        ScatteringConfig(scales=3, orientations=4, conv_channels=[16, 32]),
        "image and columns",
    ),
    "patches": (PatchesConfig(num_patches=16), "image"),
    "patches, mirrored, with columns": (
        PatchesConfig(num_patches=16, patch_size=3, mirror=True),
        "image and columns",
    ),
    "cnn1d": (CNN1dConfig(hidden_size=8, channels_per_group=4), "signal"),
    "cnn1d with columns": (
        CNN1dConfig(hidden_size=8, channels_per_group=4, pooling="attention", kernel_size=3),
        "signal and columns",
    ),
    "sequence": (SequenceConfig(**SMALL), "events"),
    "sequence causal": (SequenceConfig(**SMALL, causal=True, pooling="last"), "events and columns"),
    "sequence of patches": (SequenceConfig(**SMALL, pooling="mean", token_dropout=0.3), "signal"),
}


def model_of(option, layout, seed=1, width=3):
    return build(FullConfig(), build(option, layout, seed), width, "pooled", seed)


@pytest.fixture(params=CASES)
def case(request):
    option, layout = CASES[request.param]
    return option, LAYOUTS[layout]


def test_one_step_changes_every_weight_that_has_a_gradient(case):
    option, layout = case
    model = model_of(option, layout).train()
    inputs = random_inputs(layout, 5)
    loss = model(inputs).logsumexp(dim=1).sum() - model(inputs)[:, 0].sum()
    loss.backward()
    without = [n for n, p in model.named_parameters() if p.grad is None]
    assert not without, "weights that take no part"
    outputs = model.eval()(inputs).detach()
    with torch.no_grad():
        for p in model.parameters():
            p -= 0.05 * p.grad
    assert outputs.shape == (5, 3)
    assert torch.isfinite(outputs).all()
    assert not torch.equal(model(inputs), outputs)


def test_no_example_sees_another(case):
    option, layout = case
    model = model_of(option, layout)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    model.train()
    if hasattr(model.backbone, "token_dropout"):
        model.backbone.token_dropout = 0.0
    inputs = random_inputs(layout, 4)
    together = model(inputs)
    alone = torch.cat([model({k: v[i : i + 1] for k, v in inputs.items()}) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_weights_come_from_the_seed_alone(case):
    option, layout = case
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = model_of(option, layout, seed=1)
    assert torch.equal(torch.get_rng_state(), before), "the process's random state was touched"
    threads = torch.get_num_threads()
    torch.manual_seed(12)
    torch.set_num_threads(3)
    try:
        again = model_of(option, layout, seed=1)
    finally:
        torch.set_num_threads(threads)
    other = model_of(option, layout, seed=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    weights = list(zip(first.backbone.parameters(), other.backbone.parameters(), strict=True))
    assert not weights or not all(torch.equal(a, b) for a, b in weights)
    assert not torch.equal(first.head.answer.weight, other.head.answer.weight)


def test_own_networks_have_nothing_that_mixes_examples_or_works_in_place(case):
    option, layout = case
    for module in model_of(option, layout).modules():
        assert not isinstance(module, nn.modules.batchnorm._BatchNorm)
        assert not getattr(module, "inplace", False)
        if any(True for _ in module.parameters(recurse=False)):
            assert not any(True for c in module.children() for _ in c.parameters()), (
                "free parameters belong in layers of their own"
            )


def test_features_have_the_declared_shapes(case):
    option, layout = case
    backbone = build(option, layout, 0)
    features = backbone(random_inputs(layout, 2))
    assert features.pooled.shape == (2, backbone.num_features)
    assert ("tokens" in backbone.provides) == (features.tokens is not None)
    assert ("map" in backbone.provides) == (features.map is not None)
    if features.tokens is not None:
        assert features.tokens.shape[2] == backbone.num_features
    if features.map is not None:
        assert features.map.shape[1] == backbone.num_features
    assert (features.wide is None) == (backbone.wide_inputs is None)
    if features.wide is not None:
        assert features.wide.shape[1] == backbone.wide_inputs.width


@pytest.mark.parametrize(
    "name", ["tabular with a note", "text", "text with columns", "text cls", "text_small with columns"]
)
def test_padding_changes_nothing(name):
    option, layout = CASES[name]
    layout = replace(LAYOUTS[layout], pad_token_id=7)
    model = model_of(option, layout).eval()
    inputs = random_inputs(replace(layout, pad_token_id=0), 6)
    tokens = inputs["tokens"]
    tokens[tokens == 7] = 8
    inputs["tokens"] = torch.where(tokens == 0, 7, tokens)
    shorter = inputs | {"tokens": inputs["tokens"][:, :-2].clone()}
    assert (inputs["tokens"][:, -2:] == 7).all()
    torch.testing.assert_close(model(inputs), model(shorter), rtol=1e-5, atol=1e-6)
    inputs["tokens"][0, 0] = 9
    assert not torch.allclose(model(inputs)[0], model(shorter)[0])


def test_a_row_without_any_token_or_event_has_an_output():
    text = model_of(*[CASES["text"][0], NOTE]).eval()
    tokens = torch.zeros(2, NOTE.max_length, dtype=torch.int64)
    assert torch.isfinite(text({"tokens": tokens})).all()
    layout = LAYOUTS["events"]
    sequence = model_of(CASES["sequence causal"][0], layout).eval()
    assert torch.isfinite(sequence({"events": torch.ones(2, 6, 4), "events_mask": torch.zeros(2, 6)})).all()


@pytest.mark.parametrize("name", ["sequence", "sequence causal"])
def test_masked_events_change_nothing(name):
    option, layout = CASES[name][0], LAYOUTS[CASES[name][1]]
    model = model_of(option, layout).eval()
    inputs = random_inputs(layout, 6)
    mask = inputs["events_mask"].unsqueeze(-1)
    changed = inputs | {"events": inputs["events"] * mask + 5.0 * (1 - mask)}
    torch.testing.assert_close(model(inputs), model(changed), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(model(inputs), model(inputs | {"events": inputs["events"] + mask}))


def test_a_causal_network_sees_nothing_later():
    layout = LAYOUTS["events"]
    backbone = build(SequenceConfig(**SMALL, causal=True, pooling="last"), layout, 0).eval()
    inputs = {"events": torch.randn(3, 6, 4), "events_mask": torch.ones(3, 6)}
    later = inputs["events"].clone()
    later[:, 4:] += 1.0
    before = backbone(inputs).tokens
    after = backbone(inputs | {"events": later}).tokens
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_a_missing_number_is_its_flag_and_not_its_value():
    model = model_of(TabularConfig(**SMALL), TABLE).eval()
    inputs = random_inputs(TABLE, 3)
    inputs["missing"][:, 0] = 1.0
    changed = inputs | {"numeric": inputs["numeric"] + torch.tensor([2.0, 0.0, 0.0])}
    assert torch.equal(model(inputs), model(changed))
    present = inputs | {"missing": inputs["missing"] * torch.tensor([0.0, 1.0, 1.0])}
    assert not torch.allclose(model(inputs), model(present))


def test_the_piecewise_linear_encoding_follows_its_definition():
    pieces = PiecewiseLinearEncoding(TABLE)
    x = torch.tensor([[-1.0, 1.5, 0.7]])
    coded = pieces(x, torch.zeros(1, 3))
    expected = np.zeros((3, 4))
    for n, edges in enumerate(COLUMNS["bin_edges"]):
        for k in range(len(edges) - 1):
            expected[n, k] = np.clip((x[0, n].item() - edges[k]) / (edges[k + 1] - edges[k]), 0, 1)
    np.testing.assert_allclose(coded[0].numpy(), expected, atol=1e-6)
    plain = PiecewiseLinearEncoding(Layout(numeric=("a",), bin_edges=((),)))
    assert plain(torch.tensor([[-37.0]]), torch.zeros(1, 1)).item() == -37.0


def test_the_wide_branch_is_a_linear_model_that_starts_at_zero():
    layout = LAYOUTS["note and columns"]
    model = model_of(TextConfig(**SMALL, linear_branch_lr_scale=2.0), layout).eval()
    without = model_of(TextConfig(**SMALL, linear_branch_lr_scale=2.0), layout).eval()
    without.head.wide = None
    inputs = random_inputs(layout, 4)
    assert torch.equal(model(inputs), without(inputs))
    weight = model.head.wide.linear.weight
    with torch.no_grad():
        weight.normal_()
    columns = ColumnFeatures(layout, with_tfidf=True)
    assert columns.width == 3 * 5 + 8 + 7
    vector = columns(inputs)
    codes = inputs["categorical"]
    assert torch.equal(vector[:, 15:18], nn.functional.one_hot(codes[:, 0], 3).float())
    assert torch.equal(vector[:, -7:], inputs["tfidf"])
    torch.testing.assert_close(model(inputs) - without(inputs), 2.0 * vector @ weight.T, rtol=1e-4, atol=1e-5)


def test_side_features_of_an_image_start_at_zero_and_then_count():
    layout = LAYOUTS["image and columns"]
    backbone = build(ResNetGNConfig(hidden_size=8, channels_per_group=4), layout, 0).eval()
    inputs = random_inputs(layout, 4)
    image_only = inputs | {"numeric": inputs["numeric"] * 0, "categorical": inputs["categorical"] * 0}
    assert torch.equal(backbone(inputs).pooled, backbone(image_only).pooled)
    with torch.no_grad():
        backbone.side.out.weight.normal_()
    assert not torch.allclose(backbone(inputs).pooled, backbone(image_only).pooled)


def test_latent_semantic_features_start_from_the_singular_vectors_of_training_rows():
    layout = Layout(vocab_size=50, max_length=9, tfidf_size=40)
    draw = torch.Generator().manual_seed(0)
    bags = torch.rand(60, 3, generator=draw) @ torch.rand(3, 40, generator=draw) + 0.01 * torch.rand(
        60, 40, generator=draw
    )
    backbone = build(TextConfig(**SMALL, lsa_components=4), layout, 5)
    assert backbone.init_from({"tfidf": bags})
    directions = backbone.topics.directions.weight.detach()
    _, sizes, right = torch.linalg.svd(bags, full_matrices=False)
    sizes = sizes[:4].clamp_min(0.03 * sizes[0])
    whitened = right[:4] * (sizes.mean() / sizes)[:, None]
    gram = directions @ directions.T
    torch.testing.assert_close(gram - torch.diag(gram.diag()), torch.zeros(4, 4), atol=0.05, rtol=0)
    same = (directions[:3] * whitened[:3]).sum(dim=1).abs() / whitened[:3].square().sum(dim=1)
    torch.testing.assert_close(same, torch.ones(3), atol=1e-2, rtol=0)
    again = build(TextConfig(**SMALL, lsa_components=4), layout, 5)
    again.init_from({"tfidf": bags})
    assert torch.equal(again.topics.directions.weight, directions)
    assert not build(TextConfig(**SMALL), layout, 5).init_from({"tfidf": bags})
    with pytest.raises(ValueError, match=r"backbone\.lsa_components=4: the inputs have no TF-IDF"):
        build(TextConfig(**SMALL, lsa_components=4), NOTE, 0)


def test_mean_max_pooling_is_masked_mean_and_maximum():
    tokens = torch.randn(2, 5, 3)
    real = torch.tensor([[True] * 5, [True, True, False, False, False]])
    pooled = Pooling("mean_max", 3)(tokens, real)
    torch.testing.assert_close(pooled[1], torch.cat([tokens[1, :2].mean(0), tokens[1, :2].amax(0)]))
    torch.testing.assert_close(pooled[0], torch.cat([tokens[0].mean(0), tokens[0].amax(0)]))


@pytest.mark.parametrize(
    ("option", "layout", "message"),
    [
        (TabularConfig(), "note", r"backbone=tabular reads numeric or categorical .* the inputs are tokens"),
        (TextConfig(), "table", r"backbone=text reads tokens .* the inputs are numeric, categorical"),
        (
            TextConfig(linear_branch_lr_scale=0.0),
            "note and columns",
            r"also have tfidf, which it would ignore; set backbone\.linear_branch_lr_scale above 0",
        ),
        (ResNetGNConfig(), "signal", "backbone=resnet_gn reads image .* the inputs are signal"),
        (CNN1dConfig(), "events", "backbone=cnn1d reads signal .* the inputs are events"),
        (SequenceConfig(), "image", "backbone=sequence reads events or signal .* the inputs are image"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(option, layout, message):
    with pytest.raises(ValueError, match=message):
        build(option, LAYOUTS[layout], 0)


def test_inputs_that_would_be_ignored_are_refused():
    with pytest.raises(ValueError, match="also have tokens, which it would ignore"):
        build(ResNetGNConfig(), Layout(image=(3, 32, 32), vocab_size=50, max_length=9), 0)
    with pytest.raises(ValueError, match="have both; leave one out"):
        build(SequenceConfig(), Layout(signal=(2, 50), events=(6, 4)), 0)
    with pytest.raises(ValueError, match="the inputs are none"):
        build(TabularConfig(), Layout(), 0)


@pytest.mark.parametrize(
    ("option", "key"),
    [
        (partial(TabularConfig, hidden_size=10, num_heads=4), "num_heads"),
        (partial(TabularConfig, numeric_embedding="periodic"), "numeric_embedding"),
        (partial(TabularConfig, num_layers=0), "pooling"),
        (partial(TabularConfig, dropout=1.0), "dropout"),
        (partial(TextConfig, pooling="max"), "pooling"),
        (partial(TextConfig, linear_branch_lr_scale=-1.0), "linear_branch_lr_scale"),
        (partial(TextConfig, lsa_components=-1), "lsa_components"),
        (partial(ResNetGNConfig, blocks=[]), "blocks"),
        (partial(ResNetGNConfig, hidden_size=12), "channels_per_group"),
        (partial(ResNetGNConfig, blocks=[1] * 7), "blocks"),
        (partial(CNN1dConfig, kernel_size=4), "kernel_size"),
        (partial(CNN1dConfig, blocks=[1] * 6), "blocks"),
        (partial(SequenceConfig, causal=True, pooling="cls"), "pooling"),
        (partial(SequenceConfig, patch_size=0), "patch_size"),
    ],
)
def test_wrong_settings_are_refused_with_their_key(option, key):
    suited = {TabularConfig: "table", TextConfig: "note", ResNetGNConfig: "image", CNN1dConfig: "signal"}
    with pytest.raises(ValueError, match=rf"backbone\.{key}"):
        build(option(), LAYOUTS[suited.get(option.func, "signal")], 0)


def test_settings_are_checked_before_any_layout_is_known():
    with pytest.raises(ValueError, match=r"backbone\.num_heads=4"):
        TabularConfig(hidden_size=10)
    with pytest.raises(ValueError, match=r"adapter\.head_type="):
        FullConfig(head_type="deep")


def test_the_configuration_imports_nothing_heavy():
    script = (
        "import core.backbones.config, core.targets.config, sys; print({'torch', 'numpy'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_full_and_linear_probe_need_no_adapter_library():
    script = (
        "import sys; from core.backbones.config import *; from core.config import build;"
        "from core.data.types import Layout;"
        "backbone = build(TabularConfig(), Layout(numeric=('a',), bin_edges=((0., 1.),)), 0);"
        "build(FullConfig(), backbone, 1, 'pooled', 0);"
        "print({'peft', 'transformers', 'timm'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_the_default_cnn_is_of_the_size_two_cores_train():
    layout = Layout(image=(3, 64, 64))
    count = trainable_parameters(model_of(ResNetGNConfig(), layout, width=7))
    assert 300_000 < count < 3_000_000
    assert (
        build(ResNetGNConfig(), Layout(image=(1, 33, 47)), 0)({"image": torch.zeros(1, 1, 33, 47)}).map
        is not None
    )


@pytest.mark.parametrize(
    "name",
    [
        "tabular with a note",
        "text with columns",
        "resnet_gn",
        "cnn_small",
        "text_small",
        "sequence causal",
        "scattering",
        "patches",
    ],
)
def test_networks_compile_without_a_break(name):
    option, layout = CASES[name][0], LAYOUTS[CASES[name][1]]
    model: Model = model_of(option, layout).eval()
    inputs = random_inputs(layout, 3)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(inputs), model(inputs))
