"""No row adds more than the clip norm in float32, however large it is and however much of it cancels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from core.privacy.clipping import AutomaticClip, ClipRule, FlatClip, PerExampleClipper, PerLayerClip
from core.privacy.rules.per_example_grads import Units, squared_row_norms

torch.set_num_threads(1)
LIMIT = 1 + 1e-6
SIZES = (1.0, 1e2, 1e4, 1e6)
DIFFERENCES = (1.0, 1e-2, 1e-4, 1e-6, 0.0)
"""Of tokens, relative to their size."""


class Twice(nn.Module):
    """One weight in two uses that nearly cancel."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.LayerNorm(24)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) - self.inner(x + x.roll(1, 1) * 1e-4)


class LowRank(nn.Module):
    """A weight plus a low-rank product: gradients pulled back through an operation on parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(24, 24) * 0.1)
        self.a, self.b = nn.Parameter(torch.randn(24, 2)), nn.Parameter(torch.randn(2, 24))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self.weight + self.a @ self.b)


class Channels(nn.Module):
    """A layer over channels of (B, T, C)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.transpose(1, 2)).transpose(1, 2)


class Table(nn.Module):
    """An embedding looked up twice with the same row, times the input."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Embedding(5, 24)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(torch.ones(x.shape[:2], dtype=torch.long) * (x[..., 0] > -1e30)) * x


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "gram": lambda: nn.Linear(24, 24),
    "dense": lambda: nn.Linear(24, 2),
    "layer norm": lambda: nn.LayerNorm(24),
    "scale": lambda: Scale(),  # noqa: PLW0108 - defined below
    "embedding": Table,
    "used twice": Twice,
    "low rank": LowRank,
    "convolution, gram": lambda: Channels(nn.Conv1d(24, 24, 1)),
    "convolution, dense": lambda: Channels(nn.Conv1d(24, 4, 3, padding=1)),
    "convolution, depthwise": lambda: Channels(nn.Conv1d(24, 24, 3, padding=1, groups=24)),
    "group norm": lambda: Channels(nn.GroupNorm(4, 24)),
}


class Scale(nn.Module):
    """An element-wise product with a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(24))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain


def worst(
    build: Callable[[], nn.Module], rule: Callable[[float], ClipRule], tokens: int, trials: int
) -> float:
    """Return the longest contribution found, in clip norms."""
    found = 0.0
    for trial in range(trials):
        torch.manual_seed(trial)
        model = build()
        for size in SIZES:
            for difference in DIFFERENCES:
                base = torch.randn(1, 1, 24) * size
                x = base + difference * size * torch.randn(1, tokens, 24)
                sign = torch.tensor([1.0, -1.0]).repeat(tokens // 2)[None, :, None]
                clipper = PerExampleClipper(model, rule=rule(1.0))
                with clipper.trace(1):
                    out = model(x)
                    weights = sign * torch.randn(1, 1, out.shape[2]) * size
                    weights = weights * (1 + difference * torch.randn(1, tokens, 1))
                    result = clipper.clipped_gradients((out * weights).flatten(1).sum(1))
                assert bool(result.norms_U.isfinite().all())
                found = max(found, float(clipper.flat.double().norm()))
    return found


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("rule", [FlatClip, PerLayerClip, AutomaticClip])
def test_no_contribution_is_above_the_clip_norm(name: str, rule: Callable[[float], ClipRule]) -> None:
    for tokens in (2, 16):
        assert worst(LAYERS[name], rule, tokens, 6) <= LIMIT


def test_rows_of_one_unit_that_cancel() -> None:
    for trial in range(20):
        torch.manual_seed(trial)
        model = nn.Linear(64, 64)
        x = torch.randn(1, 64) * 1e4 + torch.randn(4, 64)
        sign = torch.tensor([1.0, -1.0, 1.0, -1.0])[:, None]
        clipper = PerExampleClipper(model, rule=FlatClip(1.0))
        with clipper.trace(4):
            losses = (model(x) * sign * torch.randn(1, 64)).sum(1)
            clipper.clipped_gradients(losses, torch.zeros(4, dtype=torch.long))
        assert float(clipper.flat.double().norm()) <= LIMIT


@pytest.mark.parametrize("size", [1, 1000, 1 << 16, 100_003, 1_000_000])
def test_norms_of_long_rows_hold_in_float32(size: int) -> None:
    torch.manual_seed(0)
    x = torch.rand(2, size)
    exact = x.double().square().sum(1)
    assert float((squared_row_norms(x, Units(2)).double() / exact - 1).abs().max()) <= 2e-6


def test_a_norm_without_cancellation_is_left_alone() -> None:
    torch.manual_seed(0)
    model = nn.Linear(32, 32, bias=False)
    clipper = PerExampleClipper(model, rule=FlatClip(1e9))
    x = torch.randn(8, 4, 32)
    weights = torch.randn(8, 4, 32)
    with clipper.trace(8):
        norms = clipper.clipped_gradients((model(x) * weights).flatten(1).sum(1)).norms_U
    gram = (weights @ weights.transpose(1, 2)) * (x @ x.transpose(1, 2))
    assert torch.equal(norms, gram.flatten(1).sum(1).sqrt())
