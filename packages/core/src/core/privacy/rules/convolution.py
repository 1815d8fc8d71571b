"""Convolutions: norms by whichever of three forms is cheapest, the clipped sum by one weight-gradient call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from core.privacy.rules.forms import Dense, Gradient, Units, gram_is_cheaper, precise, row_norms
from core.privacy.rules.products import label_of, unchanged
from core.privacy.rules.trace import Trace, carries_rows
from core.privacy.rules.tracked import Tracked, rule, value_of

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


@dataclass
class ConvolutionGradient:
    """A convolution's weight gradients, from its inputs (B k, C, *) and output-gradients (B k, O, *)."""

    g: Tensor
    x: Tensor
    weight: Tensor
    geometry: Geometry
    rows: int

    @property
    def positions(self) -> int:
        """Output positions per example."""
        return self.g.numel() // (self.rows * self.g.shape[1])

    def _weight_gradient(self, g: Tensor, x: Tensor, like: Tensor, groups: int) -> Tensor:
        at = self.geometry
        zeros = [0] * len(at.stride)
        found = torch.ops.aten.convolution_backward(
            g, x, like, None, at.stride, at.padding, at.dilation, False, zeros, groups, [False, True, False]
        )
        return found[1]  # type: ignore[no-any-return]

    def dense(self) -> Tensor:
        k = self.g.shape[0] // self.rows
        if self.geometry.groups == 1 and len(self.geometry.stride) <= 2:
            product = torch.bmm(self._flat(self.g), self._unfolded().transpose(1, 2))
            return product.view(self.rows, k, *self.weight.shape).sum(1) if k > 1 else self._shaped(product)
        # The batch is folded into the groups, so that one call returns every example's own weight gradient.
        n = self.g.shape[0]
        like = self.weight.new_empty(1).expand(n * self.weight.shape[0], *self.weight.shape[1:])
        g, x = (t.reshape(1, n * t.shape[1], *t.shape[2:]) for t in (self.g, self.x))
        dense = self._weight_gradient(g, x, like, n * self.geometry.groups)
        return dense.view(self.rows, k, *self.weight.shape).sum(1) if k > 1 else self._shaped(dense)

    def _shaped(self, dense: Tensor) -> Tensor:
        return dense.reshape(self.rows, *self.weight.shape)

    def _flat(self, g: Tensor) -> Tensor:
        return g.flatten(2)

    def _unfolded(self) -> Tensor:
        """The input patches, (B k, C * kernel, positions)."""
        at, kernel = self.geometry, self.weight.shape[2:]
        if all(size == 1 for size in kernel) and all(n == 1 for n in at.stride) and not any(at.padding):
            return self.x.flatten(2)
        if len(kernel) == 1:
            patches = F.unfold(
                self.x[:, :, None], (1, *kernel), (1, *at.dilation), (0, *at.padding), (1, *at.stride)
            )
        else:
            patches = F.unfold(self.x, tuple(kernel), at.dilation, at.padding, at.stride)
        return patches

    def add_sum(self, weights_B: Tensor, into: Tensor) -> None:
        k = self.g.shape[0] // self.rows
        weights = weights_B.repeat_interleave(k) if k > 1 else weights_B
        weights = weights.view(-1, *[1] * (self.g.dim() - 1))
        if self.g.numel() <= self.x.numel():
            found = self._weight_gradient(self.g * weights, self.x, self.weight, self.geometry.groups)
        else:
            found = self._weight_gradient(self.g, self.x * weights, self.weight, self.geometry.groups)
        into.add_(found)

    def squared_norms(self, units: Units) -> tuple[Tensor, Gradient]:
        width_in = self.weight[0].numel()
        gram = gram_is_cheaper(self.positions, self.weight.shape[0], width_in)
        simple = self.geometry.groups == 1 and len(self.geometry.stride) <= 2 and units.index_B is None
        if gram and simple and self.g.shape[0] == self.rows:
            patches, g = self._unfolded(), self._flat(self.g)
            left = torch.bmm(patches.transpose(1, 2), patches)
            right = torch.bmm(g.transpose(1, 2), g)
            B = self.rows
            return torch.bmm(left.reshape(B, 1, -1), right.reshape(B, -1, 1)).view(-1), self
        dense = self.dense()
        return row_norms(dense, units), self if gram else Dense(dense)


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
    label = label_of(weight, bias, input)
    if not carries_rows(input):
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
