"""Preflight passes honest models and names the layer of each planted fault."""

import json

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

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
