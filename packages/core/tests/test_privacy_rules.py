"""Each kind of layer, and each way a parameter may be used, against a float64 loop over single examples."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from timm.layers import BatchNormAct2d, GroupNormAct, LayerNorm2d
from torch import Tensor, nn

from core.privacy.batch_norm import convert_batch_norm
from core.privacy.clipping import FlatClip, PerExampleClipper

torch.set_num_threads(1)
ROWS = 4


def assert_exact(model: nn.Module, x: Tensor) -> None:
    model.double()
    torch.manual_seed(3)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() == 1:
                p.add_(0.3 * torch.randn_like(p))
    parameters = [p for p in model.parameters() if p.requires_grad]
    weights = torch.randn(64, dtype=torch.float64)

    def losses(index: Tensor) -> Tensor:
        out = model(x[index]).flatten(1).sin()
        return (out * weights.repeat(out.shape[1] // 64 + 1)[: out.shape[1]]).sum(1) * (index + 1)

    single = []
    for i in range(ROWS):
        found = torch.autograd.grad(losses(torch.tensor([i])).sum(), parameters)
        single.append(torch.cat([g.flatten() for g in found]))
    norms = torch.stack([g.norm() for g in single])
    clip_norm = float(norms.median())
    clipper = PerExampleClipper(model, rule=FlatClip(clip_norm))
    with clipper.trace(ROWS):
        result = clipper.clipped_gradients(losses(torch.arange(ROWS)))
    torch.testing.assert_close(result.norms_U, norms, rtol=1e-8, atol=1e-12)
    expected = sum((clip_norm / n).clamp_max(1.0) * g for n, g in zip(norms, single, strict=True))
    assert float((clipper.flat - expected).norm() / expected.norm()) <= 1e-6


class Use(nn.Module):
    """Parameters used by a function, without any module of their own."""

    def __init__(self, use: Callable[..., Tensor], *shapes: tuple[int, ...]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.use = use
        self.p = nn.ParameterList([nn.Parameter(torch.randn(shape)) for shape in shapes])

    def forward(self, x: Tensor) -> Tensor:
        return self.use(x, *self.p)


def assigned(x: Tensor, p: Tensor) -> Tensor:
    out = x * 1.0
    out[:, :2] = p
    return out


def masked(x: Tensor, p: Tensor) -> Tensor:
    out = x * 1.0
    out[x[:, :, 0] > 0] = p
    return out


def inplace(x: Tensor, p: Tensor) -> Tensor:
    out = x * 1.0
    out += p
    out.mul_(p)
    return out


# x is (4, 8, 6): a length of twice the batch, so that a guess by size would be wrong
USES: dict[str, tuple[Callable[..., Tensor], tuple[tuple[int, ...], ...]]] = {
    "class token": (lambda x, c: torch.cat([c.expand(x.shape[0], -1, -1), x], 1), ((1, 1, 6),)),
    "class token repeated": (lambda x, c: torch.cat([x, c.repeat(len(x), 1, 1)], 1), ((1, 2, 6),)),
    "position embedding": (lambda x, p: x + p, ((1, 8, 6),)),
    "position embedding without batch": (lambda x, p: p + x, ((8, 6),)),
    "sliced position embedding": (lambda x, p: x + p[:, : x.shape[1]], ((1, 12, 6),)),
    "layer scale": (lambda x, g: x * g, ((6,),)),
    "layer scale in place": (inplace, ((6,),)),
    "one minus": (lambda x, g: (1 - g) * x / (2 + g.exp()), ((6,),)),
    "matrix product": (lambda x, w: x @ w, ((6, 5),)),
    "product from the left": (lambda x, w: w @ x, ((5, 8),)),
    "addmm": (lambda x, b, w: torch.addmm(b, x.reshape(-1, 6), w).view(*x.shape[:2], 5), ((5,), (6, 5))),
    "einsum": (lambda x, w: torch.einsum("btd,hde->bhte", x, w), ((2, 6, 3),)),
    "prelu": (F.prelu, ((8,),)),
    "bias from parts": (
        lambda x, q, v, w: F.linear(x, w, torch.cat([q, torch.zeros_like(q), v])),
        ((2,), (2,), (6, 6)),
    ),
    "normalised weight": (lambda x, w, g: F.linear(x, g * F.normalize(w, dim=1)), ((5, 6), (5, 1))),
    "weight used twice": (lambda x, w: F.linear(F.linear(x, w).tanh(), w), ((6, 6),)),
    "weight and its transpose": (lambda x, w: F.linear(F.linear(x, w).tanh(), w.t()), ((5, 6),)),
    "table of constants": (
        lambda x, t: (
            x @ x.transpose(1, 2) + t[torch.arange(8)[:, None] - torch.arange(8) + 7].permute(2, 0, 1)[0]
        ),
        ((15, 1),),
    ),
    "attention bias": (
        lambda x, b: F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None], b),
        ((1, 1, 8, 8),),
    ),
    "windows": (
        lambda x, w, b: (F.linear(x.reshape(-1, 4, 6), w) + b[None]).view(len(x), -1),
        ((5, 6), (4, 5)),
    ),
    "assigned": (assigned, ((6,),)),
    "mask token": (masked, ((6,),)),
    "temperature": (lambda x, t: x * t.clamp(max=0.5).exp(), ((8, 1),)),
    "lora": (lambda x, a, b: x + F.linear(F.linear(x, a), b), ((2, 6), (6, 2))),
    "constants grown to the batch": (
        lambda x, b: x @ x.transpose(1, 2) + (b + torch.eye(8).double().expand(len(x), 8, 8)),
        ((1, 8, 8),),
    ),
    "looked-up rows joined to examples": (
        lambda x, t: torch.cat([x, F.embedding(torch.zeros(len(x), 2).long(), t)], 1),
        ((3, 6),),
    ),
    "rows of a table added": (lambda x, t: x + t[torch.arange(len(x)) * 0], ((3, 8, 6),)),
    "chunks": (lambda x, w: F.linear(x, w.chunk(2)[0]) * F.linear(x, w.chunk(2)[1]), ((6, 6),)),
}


@pytest.mark.parametrize("name", USES)
def test_ways_to_use_a_parameter(name: str) -> None:
    use, shapes = USES[name]
    torch.manual_seed(0)
    assert_exact(Use(use, *shapes), torch.randn(ROWS, 8, 6, dtype=torch.float64))


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(6, 5), (6,)),
    "linear, long": (lambda: nn.Linear(6, 5), (9, 6)),
    "linear, 4-D": (lambda: nn.Linear(40, 30, bias=False), (2, 3, 40)),
    "bilinear": (lambda: Twice(nn.Bilinear(6, 6, 5)), (6,)),
    "conv1d": (lambda: nn.Conv1d(6, 4, 3, stride=2, padding=1), (6, 9)),
    "conv1d same": (lambda: nn.Conv1d(6, 4, 4, padding="same", dilation=3), (6, 9)),
    "conv2d, few positions": (lambda: nn.Conv2d(6, 8, 3, stride=2), (6, 5, 5)),
    "conv2d, many positions": (lambda: nn.Conv2d(2, 3, 3, padding=1, dilation=2), (2, 9, 9)),
    "conv2d, circular": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 6, 6)),
    "conv2d, pointwise": (lambda: nn.Conv2d(6, 8, 1), (6, 3, 3)),
    "conv2d, groups": (lambda: nn.Conv2d(6, 4, 3, groups=2), (6, 5, 5)),
    "conv2d, depthwise": (lambda: nn.Conv2d(6, 6, 3, groups=6, bias=False), (6, 5, 5)),
    "conv2d, depthwise, strided": (
        lambda: nn.Conv2d(6, 12, 3, stride=2, padding=1, dilation=2, groups=6),
        (6, 8, 7),
    ),
    "conv1d, depthwise": (lambda: nn.Conv1d(6, 6, 3, stride=3, padding=1, groups=6), (6, 11)),
    "conv3d": (lambda: nn.Conv3d(2, 3, 2, padding=1), (2, 3, 4, 3)),
    "conv transposed": (lambda: nn.ConvTranspose2d(2, 3, 2, stride=2), (2, 4, 4)),
    "conv shared": (lambda: Twice(nn.Conv2d(2, 2, 3, padding=1), chain=True), (2, 4, 4)),
    "layer norm": (lambda: nn.LayerNorm(6), (5, 6)),
    "layer norm over two": (lambda: nn.LayerNorm((5, 6)), (5, 6)),
    "layer norm of channels": (lambda: LayerNorm2d(6), (6, 4, 4)),
    "group norm": (lambda: nn.GroupNorm(2, 6), (6, 4, 4)),
    "group norm with activation": (lambda: GroupNormAct(8, num_groups=2), (8, 4, 4)),
    "instance norm": (lambda: nn.InstanceNorm2d(6, affine=True), (6, 4, 4)),
    "rms norm": (lambda: nn.RMSNorm(6), (5, 6)),
    "batch norm in eval": (lambda: nn.BatchNorm2d(6).eval(), (6, 4, 4)),
    "prelu": (lambda: nn.PReLU(6), (6, 4, 4)),
    "attention": (lambda: SelfAttention(nn.MultiheadAttention(6, 2, batch_first=True)), (8, 6)),
    "attention, separate": (
        lambda: SelfAttention(nn.MultiheadAttention(6, 2, kdim=6, vdim=6), cross=True),
        (8, 6),
    ),
    "transformer layer": (
        lambda: nn.TransformerEncoderLayer(6, 2, 12, dropout=0.0, batch_first=True),
        (8, 6),
    ),
}


class Twice(nn.Module):
    """One layer with two inputs, or applied twice."""

    def __init__(self, layer: nn.Module, chain: bool = False) -> None:
        super().__init__()
        self.layer, self.chain = layer, chain

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(self.layer(x).tanh()) if self.chain else self.layer(x, x.cos())


class SelfAttention(nn.Module):
    """Attention as a function of one tensor."""

    def __init__(self, attention: nn.MultiheadAttention, cross: bool = False) -> None:
        super().__init__()
        self.attention, self.cross = attention, cross

    def forward(self, x: Tensor) -> Tensor:
        if not self.cross:
            mask = torch.triu(torch.ones(x.shape[1], x.shape[1], dtype=torch.bool), 1)
            return self.attention(x, x, x, attn_mask=mask)[0]
        x = x.transpose(0, 1)
        return self.attention(x, x.sin(), x.cos(), need_weights=False)[0].transpose(0, 1)


FORMATS = [(name, False) for name in LAYERS] + [
    (name, True) for name, (_, shape) in LAYERS.items() if len(shape) == 3
]
"""Only images have a channels_last format."""


@pytest.mark.parametrize(("name", "channels_last"), FORMATS)
def test_layers(name: str, channels_last: bool) -> None:
    build, shape = LAYERS[name]
    torch.manual_seed(0)
    x, layer = torch.randn(ROWS, *shape, dtype=torch.float64), build()
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
        layer.to(memory_format=torch.channels_last)
    assert_exact(layer, x)
    if name != "bilinear":
        assert_exact(nn.Sequential(Use(lambda x, p: x * p, (1,)), build()), x)  # an input under autograd


@pytest.mark.parametrize("padding", [None, 0, -1])
def test_embedding(padding: int | None) -> None:
    ids = torch.randint(0, 7, (ROWS, 8))
    assert_exact(nn.Embedding(7, 3, padding_idx=padding), ids)


def test_categorical_columns() -> None:
    class Columns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tables = nn.ModuleList([nn.Embedding(5, 3), nn.Embedding(5, 2)])

        def forward(self, x: Tensor) -> Tensor:
            index = x.long()
            return torch.cat([table(index[:, i]) for i, table in enumerate(self.tables)], 1)

    assert_exact(Columns(), torch.randint(0, 5, (ROWS, 2)).double())


def test_batch_norm_is_replaced_with_its_activation() -> None:
    model = nn.Sequential(nn.Conv2d(2, 8, 3), BatchNormAct2d(8))
    assert convert_batch_norm(model, "group") == ["1"]
    assert isinstance(model[1], nn.GroupNorm)
    x = torch.randn(ROWS, 2, 5, 5, dtype=torch.float64)
    assert bool((model.double()(x) >= 0).all())
    assert_exact(model, x)


def test_frozen_batch_norm_stays_frozen() -> None:
    model = nn.Sequential(nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8))
    assert convert_batch_norm(model, "frozen") == ["1"]
    model.train()
    assert model[0].training
    assert not model[1].training
    assert_exact(model, torch.randn(ROWS, 2, 5, 5, dtype=torch.float64))


def test_batch_norm_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"1 \(BatchNorm2d\).*mixes"):
        convert_batch_norm(nn.Sequential(nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8)), "refuse")
    with pytest.raises(ValueError, match="no statistics to freeze"):
        convert_batch_norm(nn.Sequential(nn.BatchNorm2d(8, track_running_stats=False)), "frozen")


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        (lambda x, p: F.embedding(x.long().abs() % 3, p, max_norm=1.0), "max_norm"),
        (
            lambda x, p: x.transpose(0, 1)[:7] * p.sum() + F.linear(x.transpose(0, 1)[:7], p),
            "first dimension",
        ),
        (lambda x, p: F.batch_norm(x.transpose(1, 2), None, None, p.sum(0), None, training=True), "mixes"),
    ],
)
def test_what_is_not_exact_is_refused_by_name(use: Callable[..., Tensor], reason: str) -> None:
    model = Use(use, (5, 6))
    clipper = PerExampleClipper(model, rule=FlatClip(1.0))
    with clipper.trace(ROWS), pytest.raises(ValueError, match=rf"p\.0: .*{reason}"):
        model(torch.randn(ROWS, 8, 6))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_depthwise_in_float32_takes_its_own_path(dims: int, stride: int) -> None:
    torch.manual_seed(0)
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    layer, x = kind(4, 8, 3, stride, padding=2, dilation=2, groups=4), torch.randn(ROWS, 4, *(9, 8, 7)[:dims])
    clipper = PerExampleClipper(layer, rule=FlatClip(1e9))
    with clipper.trace(ROWS):
        result = clipper.clipped_gradients(layer(x).flatten(1).sin().sum(1))
    for i in range(ROWS):
        found = torch.autograd.grad(layer(x[i : i + 1]).sin().sum(), list(layer.parameters()))
        norm = torch.cat([g.flatten() for g in found]).norm()
        torch.testing.assert_close(result.norms_U[i], norm, rtol=1e-4, atol=1e-5)
