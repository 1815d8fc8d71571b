"""Convolutions: norms by whichever of three forms is cheapest, the clipped sum by one weight-gradient call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from core.privacy.rules.linear import label_of, require_unmodified
from core.privacy.rules.per_example_grads import (
    DenseGrad,
    PerExampleGrad,
    Units,
    bound_rounding,
    certify_gram,
    gram_is_cheaper,
    norm_precision,
    squared_row_norms,
)
from core.privacy.rules.trace import Trace, is_batched
from core.privacy.rules.traced_parameter import TracedParameter, per_example_rule, value_of


@dataclass(frozen=True)
class ConvGeometry:
    """Stride, padding, dilation (per spatial dimension) and groups of a convolution."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


def _per_dimension(value: int | Sequence[int], dims: int) -> tuple[int, ...]:
    values = (value,) * dims if isinstance(value, int) else tuple(value)
    return values * dims if len(values) == 1 else values


@dataclass
class ConvGrad:
    """A convolution's weight gradients, from its inputs (B k, C, *) and output-gradients (B k, O, *)."""

    g: Tensor
    x: Tensor
    weight: Tensor
    geometry: ConvGeometry
    rows: int

    @property
    def positions(self) -> int:
        """Return the number of output positions per example."""
        return self.g.numel() // (self.rows * self.g.shape[1])

    def _weight_gradient(self, g: Tensor, x: Tensor, like: Tensor, groups: int) -> Tensor:
        at = self.geometry
        zeros = [0] * len(at.stride)
        found = torch.ops.aten.convolution_backward(
            g, x, like, None, at.stride, at.padding, at.dilation, False, zeros, groups, [False, True, False]
        )
        return found[1]  # type: ignore[no-any-return]

    @property
    def _foldable(self) -> bool:
        """Return whether the input's patches can be laid out as a matrix."""
        return len(self.geometry.stride) <= 2

    def _windows(self) -> Tensor:
        """Return the input's patches as a view, (C, kernel, B k, positions), both in two dimensions."""
        at, kernel, x = self.geometry, self.weight.shape[2:], self.x
        stride, padding, dilation, size = at.stride, at.padding, at.dilation, self.g.shape[2:]
        if len(kernel) == 1:  # a line is an image one pixel high
            x, kernel, size = x[:, :, None], torch.Size((1, *kernel)), torch.Size((1, *size))
            stride, padding, dilation = (1, *stride), (0, *padding), (1, *dilation)
        if any(padding):
            x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
        x = x.contiguous()
        n, C = x.shape[:2]
        each, channel, row, column = x.stride()
        steps = (dilation[0] * row, dilation[1] * column, each, stride[0] * row, stride[1] * column)
        return x.as_strided((C, *kernel, n, *size), (channel, *steps))

    def _patches(self) -> Tensor:
        """Return the input's patches, (C * kernel, B k, positions): one strided copy beats im2col on a CPU."""
        return self._windows().reshape(-1, *self.g.shape[:1], self.g[0, 0].numel())

    def dense(self) -> Tensor:
        k = self.g.shape[0] // self.rows
        groups, n = self.geometry.groups, self.g.shape[0]
        if self.weight.shape[1] == 1 and groups > 1 and self.g.dtype == torch.float32:
            dense = self._depthwise()
        elif self._foldable:
            patches = self._windows().permute(3, 0, 1, 2, 4, 5).reshape(n * groups, -1, self.g[0, 0].numel())
            g = self.g.reshape(n * groups, self.weight.shape[0] // groups, -1)
            dense = torch.bmm(g, patches.transpose(1, 2))
        else:
            # The batch is folded into the groups, so that one call returns every example's own weight gradient.
            like = self.g.new_empty(n * self.weight.shape[0], *self.weight.shape[1:])
            g, x = (t.reshape(1, n * t.shape[1], *t.shape[2:]) for t in (self.g, self.x))
            dense = self._weight_gradient(g, x, like, n * self.geometry.groups)
        if k == 1:
            return dense.reshape(self.rows, *self.weight.shape)
        return dense.view(self.rows, k, *self.weight.shape).sum(1)

    def _depthwise(self) -> Tensor:
        """One input channel per group: the input convolved with the output-gradient as its kernel, stride and dilation
        exchanged; on a CPU in float32 up to ten times faster than the weight gradient of the same convolution.
        """
        at, n = self.geometry, self.g.shape[0]
        x = (
            F.pad(self.x, [size for size in reversed(at.padding) for _ in (0, 1)])
            if any(at.padding)
            else self.x
        )
        x = x.reshape(1, n * x.shape[1], *x.shape[2:])
        g = self.g.reshape(n * self.g.shape[1], 1, *self.g.shape[2:])
        run = (F.conv1d, F.conv2d, F.conv3d)[len(at.stride) - 1]
        found = run(x, g, None, at.dilation, 0, at.stride, n * at.groups)
        for dim, size in enumerate(
            self.weight.shape[2:], 2
        ):  # a stride may leave room for offsets beyond the kernel
            found = found.narrow(dim, 0, size)
        return found.reshape(n, *self.weight.shape)

    def add_weighted_sum(self, weights_B: Tensor, into: Tensor) -> None:
        k = self.g.shape[0] // self.rows
        weights = weights_B.repeat_interleave(k) if k > 1 else weights_B
        weights = weights.view(-1, *[1] * (self.g.dim() - 1))
        if self.g.numel() <= self.x.numel():
            found = self._weight_gradient(self.g * weights, self.x, self.weight, self.geometry.groups)
        else:
            found = self._weight_gradient(self.g, self.x * weights, self.weight, self.geometry.groups)
        into.add_(found)

    def squared_norms(self, units: Units) -> tuple[Tensor, PerExampleGrad]:
        gram = gram_is_cheaper(self.positions, self.weight.shape[0], self.weight[0].numel())
        if (
            gram
            and self.geometry.groups == 1
            and self._foldable
            and units.index_B is None
            and self.g.shape[0] == self.rows
        ):
            patches, g = self._patches(), self.g.flatten(2)
            left = torch.bmm(patches.permute(1, 2, 0), patches.permute(1, 0, 2))
            right = torch.bmm(g.transpose(1, 2), g)
            squares = left.mul_(right).flatten(1).sum(1)
            kept = UnfoldedConvGrad(g.transpose(0, 1), patches)
            return certify_gram(squares, kept.position_norms(), units, kept.squares_in_float64), kept
        dense = self.dense()
        # A weighted sum of what is instantiated anyway is far cheaper than another weight-gradient call.
        small = dense.numel() <= 8 * (self.g.numel() + self.x.numel())
        squares = squared_row_norms(dense, units)
        if small or not gram:
            return squares, DenseGrad(dense)
        return bound_rounding(squares, units.add(self.magnitudes())), self

    def magnitudes(self) -> Tensor:
        """By Cauchy-Schwarz: an input lies in at most as many patches as the kernel has places."""
        places: float = self.weight[0, 0].numel() ** 0.5
        g, x = (t.reshape(self.rows, -1) for t in (self.g, self.x))
        lengths_B: Tensor = torch.linalg.vector_norm(g, dim=1) * torch.linalg.vector_norm(x, dim=1)
        return lengths_B * places


@dataclass
class UnfoldedConvGrad:
    """A convolution as one matrix product: output-gradients (O, B, T) and patches (C * kernel, B, T)."""

    g: Tensor
    patches: Tensor

    def dense(self) -> Tensor:
        return torch.bmm(self.g.transpose(0, 1), self.patches.permute(1, 2, 0))

    def add_weighted_sum(self, weights_B: Tensor, into: Tensor) -> None:
        scaled = (self.g * weights_B[:, None]).reshape(self.g.shape[0], -1)
        into.view(len(scaled), -1).addmm_(scaled, self.patches.flatten(1).t())

    def squared_norms(self, units: Units) -> tuple[Tensor, PerExampleGrad]:
        return squared_row_norms(self.dense(), units), self

    def position_norms(self) -> Tensor:
        """Return the norms (B, T) of each position's outer product."""
        norms: Tensor = torch.linalg.vector_norm(self.g, dim=0) * torch.linalg.vector_norm(
            self.patches, dim=0
        )
        return norms

    def magnitudes(self) -> Tensor:
        return self.position_norms().sum(1)

    def squares_in_float64(self, rows: Tensor, units: Units) -> Tensor:
        """Return the squared norms of some examples, computed in float64."""
        left, right = (t[:, rows].permute(1, 2, 0).double() for t in (self.g, self.patches))
        squares = torch.bmm(left, left.transpose(1, 2)).mul_(torch.bmm(right, right.transpose(1, 2)))
        summed: Tensor = squares.flatten(1).sum(1)
        return summed


@per_example_rule(F.conv1d, F.conv2d, F.conv3d)
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
    """Apply a convolution of 1 to 3 dimensions, any groups and memory format."""
    label = label_of(weight, bias, input)
    if not is_batched(input):
        return trace.run_on_parameters(func, input, weight, bias, stride, padding, dilation, groups)
    dims = weight.dim() - 2
    trace.rows_per_example(input, label)
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
    geometry = ConvGeometry(_per_dimension(stride, dims), _per_dimension(padding, dims), spread, groups)
    plain, version = value_of(weight), input._version
    assert plain is not None
    trace.expect_grads(weight, bias)

    def receive(gradient: Tensor) -> None:
        require_unmodified(input, version, label)
        g = norm_precision(gradient)
        if isinstance(bias, TracedParameter):
            trace.add_grad(bias, DenseGrad(g.flatten(2).sum(2).view(trace.rows, -1, g.shape[1]).sum(1)))
        if isinstance(weight, TracedParameter):
            trace.add_grad(weight, ConvGrad(g, norm_precision(input.detach()), plain, geometry, trace.rows))

    out = func(input, plain, value_of(bias), geometry.stride, geometry.padding, spread, groups)
    return trace.on_output_grad(out, receive)
