"""Preflight passes honest models and names the layer of each planted fault."""

import json
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import XLNetConfig, XLNetModel

from core.privacy.batch_norm import convert_batch_norm
from core.privacy.clipping import FlatClip, PerExampleClipper
from core.privacy.preflight import preflight, require_moved, snapshot
from core.privacy.rules.linear import linear
from core.privacy.rules.traced_parameter import PER_EXAMPLE_RULES
from core.privacy.section import PreflightSection

torch.set_num_threads(1)


class Mean(nn.Module):
    """Subtracts the batch's mean: what no per-example gradient can survive."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0, keepdim=True)


def run(model: nn.Module, size: int = 4) -> PreflightSection:
    torch.manual_seed(0)
    x = torch.randn(size, 3, 8, 8)
    y = torch.arange(size) % 3
    clipper = PerExampleClipper(model, rule=FlatClip(0.5))
    return preflight(clipper, lambda i: F.cross_entropy(model(x[i]), y[i], reduction="none"), size)


def net(*middle: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), *middle, nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(3))


def ready(model: nn.Sequential) -> nn.Sequential:
    model.eval()(torch.zeros(2, 3, 8, 8))
    return model.train()


def test_an_honest_model_passes_and_the_report_is_json() -> None:
    report = run(ready(net(nn.GroupNorm(2, 8), nn.Dropout(0.5))))
    assert report.norm_error < 1e-4
    assert report.sum_error < 1e-5
    assert report.independence_error == 0
    assert report.without_gradient == []
    assert json.loads(report.model_dump_json())["examples"] == 4


def test_batch_norm_in_training_mode_is_refused_even_when_frozen() -> None:
    model = ready(net(nn.BatchNorm2d(8)))
    model[1].requires_grad_(False)
    with pytest.raises(ValueError, match=r"1 \(BatchNorm2d\).*mixes"):
        run(model)


@pytest.mark.parametrize("how", ["group", "frozen"])
def test_converted_batch_norm_passes(how: str) -> None:
    model = ready(net(nn.BatchNorm2d(8)))
    assert convert_batch_norm(model, how) == ["1"]  # type: ignore[arg-type]
    assert run(model.train()).independence_error == 0


def test_mixing_layer_is_named() -> None:
    with pytest.raises(ValueError, match=r"1 \(Mean\): it mixes"):
        run(ready(net(Mean())))


class Keeps(nn.Module):
    """Keeps something of the examples in a buffer, as ``keep`` computes it from the buffer and the batch."""

    def __init__(self, keep: Callable[[Tensor, Tensor], Tensor], *, used: bool) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(()))
        self.keep, self.used = keep, used

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.kept = self.keep(self.kept, x.detach())
        return x - self.kept if self.used else x


@pytest.mark.parametrize(
    ("keep", "used"),
    [
        (lambda kept, x: torch.maximum(kept, x.abs().max()), False),
        (lambda kept, x: torch.lerp(kept, x.mean(), 1e-4), True),
        (lambda kept, x: kept + len(x), False),
    ],
)
def test_a_buffer_that_training_changes_is_named(
    keep: Callable[[Tensor, Tensor], Tensor], used: bool
) -> None:
    model = ready(net(Keeps(keep, used=used)))
    with pytest.raises(ValueError, match=r"1\.kept: training changes this buffer of 1 \(Keeps\)"):
        run(model)
    assert float(model[1].kept) == 0  # type: ignore[arg-type]
    model.eval()  # frozen: it keeps nothing
    assert run(model).independence_error == 0


@pytest.mark.parametrize("strength", [1e-1, 1e-3, 1e-5])
def test_weak_mixing_is_named(strength: float) -> None:
    class Weak(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x - strength * x.mean(0, keepdim=True)

    with pytest.raises(ValueError, match=r"it mixes the examples of a batch"):
        run(ready(net(Weak())), 6)


def tokens(model: nn.Module, size: int = 6, dtype: torch.dtype = torch.float32) -> PreflightSection:
    torch.manual_seed(0)
    x = torch.randn(size, 5, 8, dtype=dtype)
    clipper = PerExampleClipper(model, rule=FlatClip(0.5))
    return preflight(clipper, lambda i: model(x[i]).flatten(1).square().sum(1), size)


class LearnedQueries(nn.Module):
    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, dropout=dropout, batch_first=True)
        self.queries = nn.Parameter(torch.randn(1, 3, 8))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.attention(self.queries.expand(len(x), -1, -1), x, x)[0]
        return found


def test_batches_of_one_and_of_even_and_odd_sizes_are_checked_with_dropout() -> None:
    report = tokens(LearnedQueries())
    assert report.batch_sizes == [1, 2, 5, 6]
    assert report.train_mode_checked
    assert report.norm_error < 1e-5
    assert report.independence_tolerance == 1e-6
    assert tokens(nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 3))).train_mode_checked
    tokens(LearnedQueries(dropout=0.5))


def test_an_error_in_training_mode_alone_is_named() -> None:
    class Halved(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):  # type: ignore[no-untyped-def]
            traced = type(model[0]._parameters["weight"]) is not nn.Parameter
            return gradient * (0.5 if traced else 1.0)

    class OnlyInTraining(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Halved.apply(x) if self.training else x

    model = nn.Sequential(nn.Linear(8, 8), OnlyInTraining(), nn.Linear(8, 3))
    with pytest.raises(ValueError, match=r"0 \(Linear\): its per-example gradient norms are off"):
        tokens(model)


def test_layers_in_another_precision_are_exact() -> None:
    class Upcast(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x.double()).to(x.dtype)  # type: ignore[no-any-return]

    report = tokens(nn.Sequential(nn.Linear(8, 8), nn.Tanh(), Upcast(nn.Linear(8, 8).double())))
    assert report.norm_error < 1e-5


def test_a_network_whose_batch_is_not_first_is_refused_by_name() -> None:
    config = XLNetConfig(vocab_size=30, d_model=16, n_layer=1, n_head=2, d_inner=16, dropout=0.0)
    torch.manual_seed(0)
    model = XLNetModel(config).train()
    ids = torch.randint(0, 30, (6, 7))
    clipper = PerExampleClipper(model, rule=FlatClip(0.5))
    with pytest.raises(ValueError, match=r"\w+ \(\w+\): .*|^[\w.]+: .*examples"):
        preflight(clipper, lambda i: model(ids[i]).last_hidden_state.flatten(1).square().sum(1), 6)


def test_a_wrong_rule_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(trace, func, input, weight, bias=None):  # type: ignore[no-untyped-def]  # noqa: A002
        return (
            linear(trace, func, input * 1.0, weight, bias) * 1.0
            if trace.rows == 1
            else _halved(trace, input, weight, bias)
        )

    def _halved(trace, input, weight, bias):  # type: ignore[no-untyped-def]  # noqa: A002
        trace.expected_before = dict(trace.expected)
        out = linear(trace, F.linear, input, weight, bias)
        give = trace.add_affine_grad
        trace.add_affine_grad = lambda w, b, outer: give(
            w, b, type(outer)(outer.left / 2, outer.right, outer.width)
        )
        return out

    monkeypatch.setitem(PER_EXAMPLE_RULES, F.linear, wrong)
    with pytest.raises(ValueError, match=r"3 \(Linear\): its per-example gradient norms are off"):
        run(ready(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))))


def test_unreached_parameters_are_listed() -> None:
    model = ready(net())
    model.add_module("spare", nn.Identity())
    model[-1].register_parameter("unused", nn.Parameter(torch.zeros(2)))
    assert run(model).without_gradient == ["spare.unused"]


def test_the_sums_and_the_mode_are_left_alone() -> None:
    model = ready(net(nn.Dropout(0.1)))
    clipper = PerExampleClipper(model, rule=FlatClip(0.5))
    clipper.flat.fill_(2.0)
    x, state = torch.randn(4, 3, 8, 8), torch.get_rng_state()
    preflight(clipper, lambda i: model(x[i]).square().sum(1), 4)
    assert bool((clipper.flat == 2).all())
    assert model[1].training
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_must_move() -> None:
    model = ready(net())
    named = dict(model.named_parameters())
    before = snapshot(named)
    with torch.no_grad():
        for name, p in named.items():
            if name != "0.bias":
                p.add_(1)
    with pytest.raises(ValueError, match=r"did not move 0\.bias:"):
        require_moved(named, before)
    with torch.no_grad():
        named["0.bias"].add_(1)
    require_moved(named, before)


def test_too_small_a_probe_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        run(ready(net()), 2)
