"""What frozen layers give, in place of inputs."""

from __future__ import annotations

import pytest
import torch
from fakes.layouts import LAYOUTS, random_inputs

from core.backbones.config import (
    CnnSmallConfig,
    FullConfig,
    LinearProbeConfig,
    PatchesConfig,
    ResNetGNConfig,
    ScatteringConfig,
    TextConfig,
    TextSmallConfig,
)
from core.backbones.feature_cache import frozen_part
from core.backbones.model import Model
from core.config import build

SMALL = {"hidden_size": 16, "num_heads": 2}
FIXED = {
    "cnn, pooled": (
        LinearProbeConfig(),
        ResNetGNConfig(hidden_size=8, channels_per_group=4),
        "image",
        "pooled",
    ),
    "cnn, a place": (
        LinearProbeConfig(head_type="mlp"),
        ResNetGNConfig(hidden_size=8, channels_per_group=4),
        "image",
        "map",
    ),
    "cnn_small, several maps": (LinearProbeConfig(), CnnSmallConfig(weights="random"), "image", "map"),
    "text with its linear path": (
        LinearProbeConfig(),
        TextSmallConfig(weights="random", dropout=0.3),
        "note",
        "pooled",
    ),
    "text and words": (LinearProbeConfig(), TextSmallConfig(weights="random"), "note and words", "joint"),
    "scattering": (LinearProbeConfig(), ScatteringConfig(), "image", "pooled"),
    "random patches": (
        FullConfig(),
        PatchesConfig(num_patches=16, mirror=True),
        "image and columns",
        "pooled",
    ),
    "scattering, all trained": (
        FullConfig(),
        ScatteringConfig(conv_channels=[16]),
        "image and columns",
        "pooled",
    ),
}
CHANGING = {
    "all trained": (FullConfig(), ResNetGNConfig(hidden_size=8, channels_per_group=4), "image", "pooled"),
    "fresh pooling": (LinearProbeConfig(), TextConfig(**SMALL), "note", "pooled"),
    "fresh columns": (LinearProbeConfig(), CnnSmallConfig(weights="random"), "image and columns", "pooled"),
    "answers for tokens": (LinearProbeConfig(), TextSmallConfig(weights="random"), "note", "tokens"),
}


def made(case: tuple) -> tuple[Model, dict[str, torch.Tensor]]:
    adapter, option, layout, reads = case
    model = build(adapter, build(option, LAYOUTS[layout], 1), 3, reads, 1)
    return model.train(), random_inputs(LAYOUTS[layout], 5)


@pytest.mark.parametrize("case", FIXED.values(), ids=FIXED)
def test_the_rest_of_the_network_answers_and_learns_alike(case: tuple) -> None:
    model, inputs = made(case)
    front = frozen_part(model.backbone, model.head)
    assert front is not None
    with torch.no_grad():
        behind = front(inputs)
    assert all(len(one) == 5 for one in behind.values())
    assert not {"image", "tokens"} & set(behind), "nothing is computed twice"

    def slopes(given: dict[str, torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        model.zero_grad()
        outputs = model(given)
        outputs.square().sum().backward()
        return outputs.detach(), [p.grad.clone() for p in model.parameters() if p.requires_grad]

    expected, found = slopes(inputs), slopes(behind)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=1e-6)
    assert expected[1]
    torch.testing.assert_close(found[1], expected[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", CHANGING.values(), ids=CHANGING)
def test_nothing_is_fixed_where_a_first_layer_changes_or_a_head_reads_more(case: tuple) -> None:
    model, _ = made(case)
    assert frozen_part(model.backbone, model.head) is None
