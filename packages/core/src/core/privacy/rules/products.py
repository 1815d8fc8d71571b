"""Linear layers, matrix products, embeddings and convolutions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from core.privacy.rules import generic
from core.privacy.rules.forms import Dense, Outer, precise
from core.privacy.rules.trace import Trace
from core.privacy.rules.tracked import Function, Tracked, rule, value_of


def label_of(*tensors: Any) -> str:
    """The name of the first tracked tensor."""
    return next(tensor.label for tensor in tensors if isinstance(tensor, Tracked))


@rule(F.linear)
def linear(trace: Trace, func: Function, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:  # noqa: A002
    """x W^T + b with any number of positions per example."""
    label = label_of(weight, bias, input)
    if not trace.carries_rows(input, f"{label}:linear"):
        return trace.pure(func, input, weight, bias)
    trace.per_row(input, label)
    version = input._version
    trace.expect_affine(weight, bias)

    def receive(gradient: Tensor) -> None:
        unchanged(input, version, label)
        left = precise(gradient).reshape(trace.rows, -1, gradient.shape[-1])
        right = precise(input.detach()).reshape(trace.rows, -1, input.shape[-1])
        trace.give_affine(weight, bias, Outer(left, right, left.shape[-1]))

    return trace.observe(F.linear(input, value_of(weight), value_of(bias)), receive)  # type: ignore[arg-type]


def unchanged(tensor: Tensor, version: int, label: str) -> None:
    """Refuse an input that was overwritten after the layer read it."""
    if tensor._version != version:
        raise ValueError(
            f"{label}: its input was changed in place after the layer read it (an in-place activation or addition); "
            "make that operation out of place"
        )


@rule(torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.mm, Tensor.mm)
def matmul(trace: Trace, func: Function, input: Tensor, other: Tensor) -> Any:  # noqa: A002
    """x @ W is a linear layer with the weight transposed; every other product is mapped."""
    if isinstance(other, Tracked) and not isinstance(input, Tracked) and other.dim() == 2 and input.dim() > 1:
        return linear(trace, F.linear, input, trace.pure(Tensor.t, other))
    return generic.apply(trace, func, "matmul", (input, other), {})


@rule(torch.addmm)
def addmm(
    trace: Trace, func: Function, bias: Tensor, input: Tensor, weight: Tensor, *, beta: float = 1, alpha: float = 1  # noqa: A002
) -> Any:
    """b + x @ W, as GPT-2 writes its linear layers."""
    if beta == alpha == 1 and bias.dim() == 1 and not isinstance(input, Tracked):
        transposed = trace.pure(Tensor.t, weight) if isinstance(weight, Tracked) else weight.t()
        return linear(trace, F.linear, input, transposed, bias)
    return generic.apply(trace, func, "addmm", (bias, input, weight), {"beta": beta, "alpha": alpha})


@rule(F.embedding)
def embedding(
    trace: Trace,
    func: Function,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Rows of a table; an index tensor that carries no examples (positions) makes a tensor of parameters alone."""
    assert isinstance(weight, Tracked)
    if max_norm is not None or scale_grad_by_freq:
        raise ValueError(f"{weight.label}: max_norm and scale_grad_by_freq mix the examples of a batch")
    if padding_idx is not None and padding_idx < 0:
        padding_idx += weight.shape[0]
    if not trace.carries_rows(input, f"{weight.label}:embedding"):
        return trace.pure(func, input, weight, padding_idx)
    trace.per_row(input, weight.label)
    trace.expect(weight)

    def receive(gradient: Tensor) -> None:
        index = input.reshape(trace.rows, -1)
        right = precise(gradient).reshape(trace.rows, -1, weight.shape[1])
        if padding_idx is not None:
            right = right.masked_fill((index == padding_idx)[..., None], 0.0)
        trace.give(weight, Outer(index, right, weight.shape[0]))

    return trace.observe(func(input, weight.value, padding_idx), receive)


@rule(Tensor.__getitem__)
def getitem(trace: Trace, func: Function, tensor: Tensor, index: Any) -> Any:
    """Indexing a table by examples is an embedding; any other indexing of a parameter involves no example."""
    if isinstance(tensor, Tracked) and isinstance(index, Tensor) and tensor.dim() == 2 and index.dtype == torch.long:
        return embedding(trace, F.embedding, index, tensor)
    return generic.apply(trace, func, "getitem", (tensor, index), {})


@dataclass(frozen=True)
class Geometry:
    """Stride, padding, dilation (per spatial dimension) and groups of a convolution."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


def _per_dimension(value: int | Sequence[int], dims: int) -> tuple[int, ...]:
    values = (value,) * dims if isinstance(value, int) else tuple(value)
    return values * dims if len(values) == 1 else values


@rule(F.conv1d, F.conv2d, F.conv3d)
def convolution(
    trace: Trace,
    func: Callable[..., Tensor],
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Any:
    """Convolutions of 1 to 3 dimensions, any groups and memory format."""
    from core.privacy.rules.convolution import ConvolutionGradient  # it builds on Geometry

    label = label_of(weight, bias, input)
    if not trace.carries_rows(input, f"{label}:conv"):
        return trace.pure(func, input, weight, bias, stride, padding, dilation, groups)
    dims = weight.dim() - 2
    trace.per_row(input, label)
    if input.dim() != weight.dim():
        raise ValueError(f"{label}: the convolution got an input without a batch dimension")
    spread = _per_dimension(dilation, dims)
    if padding == "same":
        total = [d * (size - 1) for d, size in zip(spread, weight.shape[2:], strict=True)]
        if any(length % 2 for length in total):
            input = F.pad(input, [side for n in reversed(total) for side in (n // 2, n - n // 2)])  # noqa: A001
            padding = 0
        else:
            padding = [length // 2 for length in total]
    elif padding == "valid":
        padding = 0
    assert not isinstance(padding, str)
    geometry = Geometry(_per_dimension(stride, dims), _per_dimension(padding, dims), spread, groups)
    plain, version = value_of(weight), input._version
    assert plain is not None
    trace.expect(weight, bias)

    def receive(gradient: Tensor) -> None:
        unchanged(input, version, label)
        g = precise(gradient)
        if isinstance(bias, Tracked):
            trace.give(bias, Dense(g.flatten(2).sum(2).view(trace.rows, -1, g.shape[1]).sum(1)))
        if isinstance(weight, Tracked):
            trace.give(weight, ConvolutionGradient(g, precise(input.detach()), plain, geometry, trace.rows))

    out = func(input, plain, value_of(bias), geometry.stride, geometry.padding, spread, groups)
    return trace.observe(out, receive)
