"""Per-example gradients kept in factored form: squared norms and weighted sums without storing B gradients.

An example's gradient of a weight matrix is a sum of outer products of output-gradients and inputs. Its squared norm
needs only the two T x T Gram matrices of these factors (Goodfellow 2015, arXiv:1510.01799; Li et al. 2021,
arXiv:2110.05679; the choice between Gram and instantiated form: Bu et al. 2022, arXiv:2205.10683).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import torch
from torch import Tensor

LONG_ROW = 1 << 16
"""Values whose norm torch computes well in float32; longer rows are computed in blocks."""
NEGLIGIBLE = 5e-7
"""Relative error of a norm that is left alone: the sum of a step is rounded to as much."""
CANCELLING = 0.5
"""Share of the squares of single positions below which the rounding of a Gram form may show in the squared norm."""
LOST = 1e-3
"""Share below which a Gram form is computed again in float64."""
GRAM_ERROR = 32.0
"""Bound on the rounding of a Gram form, in roundoffs of the sum of the squares of single positions (measured: 20)."""


class PerExampleGrad(Protocol):
    """The per-example gradients of one tensor from one use of it in the forward pass."""

    def dense(self) -> Tensor:
        """Return the gradients themselves, (B, *shape)."""

    def add_weighted_sum(self, weights_B: Tensor, into: Tensor) -> None:
        """Add the weighted sum over examples to `into`, a tensor of the parameter's shape."""

    def squared_norms(self, units: "Units") -> "tuple[Tensor, PerExampleGrad]":
        """Return squared norms (U,) and the cheapest form to keep for the sum."""

    def magnitudes(self) -> Tensor:
        """Return an upper bound (B,) on the sum over positions of the norms of what is added up for an example."""


@dataclass(frozen=True)
class Units:
    """Which privacy unit each row belongs to; `index_B` is None when every row is its own unit."""

    count: int
    index_B: Tensor | None = None

    def add(self, values_B: Tensor) -> Tensor:
        """Return the sums over the rows of each unit, (B, ...) -> (U, ...)."""
        if self.index_B is None:
            return values_B
        return values_B.new_zeros(self.count, *values_B.shape[1:]).index_add_(0, self.index_B, values_B)

    def pairs(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Return row pairs (i, j) of the same unit and that unit, or None when every row is its own unit."""
        if self.index_B is None:
            return None
        i, j = (self.index_B[:, None] == self.index_B[None, :]).nonzero(as_tuple=True)
        return i, j, self.index_B[i]


def norm_precision(tensor: Tensor) -> Tensor:
    """Return the tensor in the precision that norms are computed in: float32, or float64 if it already is."""
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def in_precision(gradient: Any, dtype: torch.dtype) -> Any:
    """Return gradients whose numbers have a precision: a network may compute some of its layers in another."""
    own = {f.name: getattr(gradient, f.name) for f in fields(gradient)}
    other = {
        name: value.to(dtype)
        for name, value in own.items()
        if isinstance(value, Tensor) and value.is_floating_point() and value.dtype != dtype
    }
    return replace(gradient, **other) if other else gradient


def squared_row_norms(dense_B: Tensor, units: Units) -> Tensor:
    """Return squared norms (U,) of instantiated gradients (B, *shape)."""
    flat = units.add(dense_B.reshape(dense_B.shape[0], -1))
    size = flat.shape[1]
    if size <= LONG_ROW:
        norms: Tensor = torch.linalg.vector_norm(flat, dim=1)
        return norms.square_()
    # torch adds the squares of a row one after the other: float32 loses 1e-5 of a million, 2e-4 of ten million.
    even = size - size % LONG_ROW
    blocks = torch.linalg.vector_norm(flat[:, :even].reshape(flat.shape[0], -1, LONG_ROW), dim=2)
    rest = torch.linalg.vector_norm(flat[:, even:], dim=1, keepdim=True)
    squares: Tensor = torch.cat([blocks, rest], 1).double().square_().sum(1)
    return squares.to(flat.dtype)


def roundoff(dtype: torch.dtype) -> float:
    """Return the largest relative error of one rounding."""
    return torch.finfo(dtype).eps / 2


def bound_rounding(squares_U: Tensor, magnitudes_U: Tensor) -> Tensor:
    """Return squared norms that bound a sum which is computed in another order than its norm was.

    `magnitudes_U` bounds the sum of the norms of what is added up: where that is far larger than the norm (terms
    cancel), rounding of the sum shows beside the norm, and is added to it. Other norms stay as they are.
    """
    norms = squares_U.clamp_min(0.0).sqrt_()
    slack = 2 * roundoff(squares_U.dtype) * magnitudes_U
    return torch.where(slack > NEGLIGIBLE * norms, (norms + slack).square_(), squares_U)


def certify_gram(
    squares_U: Tensor, norms_BT: Tensor, units: Units, in_float64: Callable[[Tensor, Units], Tensor]
) -> Tensor:
    """Return upper bounds (U,) of squared norms from Gram matrices, which cancel where positions nearly do.

    `norms_BT` are the norms of each position's outer product. The rounding of a Gram form is a few units in the last
    place of the sum of their squares: it is added where it could show, and where little else is left the form is
    computed again in float64, `in_float64(rows, units)`. A norm without cancellation stays as it is.
    """
    if norms_BT.shape[1] == 1 and units.index_B is None:
        return squares_U  # one product: nothing cancels
    u = roundoff(squares_U.dtype)
    diagonal_U = units.add(norms_BT.square().sum(1))
    doubtful_U = squares_U < CANCELLING * diagonal_U
    if not bool(doubtful_U.any()):
        return squares_U
    certified_U = squares_U.clamp_min(0.0) + GRAM_ERROR * u * diagonal_U
    lost_U = squares_U < LOST * diagonal_U
    if squares_U.dtype == torch.float32 and bool(lost_U.any()):
        if units.index_B is None:
            rows = lost_U.nonzero().squeeze(1)
            some = Units(len(rows))
        else:
            rows = lost_U[units.index_B].nonzero().squeeze(1)
            index_B = torch.unique(units.index_B[rows], return_inverse=True)[1]
            some = Units(int(lost_U.sum()), index_B)
        again = in_float64(rows, some).clamp_min_(0.0).sqrt_()
        slack = 4 * u * units.add(norms_BT.sum(1))[lost_U].double()
        certified_U[lost_U] = (again + slack).square_().to(squares_U.dtype)
    return torch.where(doubtful_U, certified_U, squares_U)


def add_weighted_rows(dense_B: Tensor, weights_B: Tensor, into: Tensor) -> None:
    """Add sum_b weights_b dense_b to `into`."""
    rows = dense_B.reshape(dense_B.shape[0], -1)
    if into.is_contiguous():
        into.view(-1).addmv_(rows.t(), weights_B)
    else:
        into.add_((rows.t() @ weights_B).view(into.shape))


@dataclass
class DenseGrad:
    """Instantiated gradients (B, *shape)."""

    values: Tensor

    def dense(self) -> Tensor:
        return self.values

    def add_weighted_sum(self, weights_B: Tensor, into: Tensor) -> None:
        add_weighted_rows(self.values, weights_B, into)

    def squared_norms(self, units: Units) -> tuple[Tensor, PerExampleGrad]:
        return squared_row_norms(self.values, units), self

    def magnitudes(self) -> Tensor:
        lengths_B: Tensor = torch.linalg.vector_norm(self.values.reshape(self.values.shape[0], -1), dim=1)
        return lengths_B


@dataclass
class FactoredGrad:
    """Gradient[p, q] = sum_t left[t, p] right[t, q]; an integer `left` (B, T) stands for one-hot rows."""

    left: Tensor
    right: Tensor
    width: int

    @property
    def indexed(self) -> bool:
        return not self.left.is_floating_point()

    def dense(self) -> Tensor:
        if not self.indexed:
            return torch.bmm(self.left.transpose(1, 2), self.right)
        B, T, q = self.right.shape
        rows = self.left + self.width * torch.arange(B, device=self.left.device)[:, None]
        out = self.right.new_zeros(B * self.width, q)
        return out.index_add_(0, rows.reshape(-1), self.right.reshape(B * T, q)).view(B, self.width, q)

    def add_weighted_sum(self, weights_B: Tensor, into: Tensor) -> None:
        left, right = self.left, self.right
        weights = weights_B[:, None, None]
        if self.indexed:
            into.index_add_(0, left.reshape(-1), (right * weights).reshape(-1, right.shape[2]))
            return
        if left.shape[2] < right.shape[2]:
            left = left * weights
        else:
            right = right * weights
        into.addmm_(left.reshape(-1, left.shape[2]).t(), right.reshape(-1, right.shape[2]))

    def squared_norms(self, units: Units) -> tuple[Tensor, PerExampleGrad]:
        norms, kept = factored_norms([self], units, False)
        return norms, kept[0]

    def position_norms(self, ones: bool = False) -> Tensor:
        """Return the norms (B, T) of each position's outer product; `ones` with that of a bias."""
        norms: Tensor = torch.linalg.vector_norm(self.right, dim=2)
        if ones:
            norms = norms.square_().add_(1.0).sqrt_()
        return norms if self.indexed else norms * torch.linalg.vector_norm(self.left, dim=2)

    def magnitudes(self) -> Tensor:
        return self.position_norms().sum(1)

    def rows_in_float64(self, rows: Tensor) -> "FactoredGrad":
        """Return some examples' gradients in float64."""
        left = self.left[rows] if self.indexed else self.left[rows].double()
        return FactoredGrad(left, self.right[rows].double(), self.width)


def gram_is_cheaper(positions: int, width_out: int, width_in: int) -> bool:
    """Return whether two T x T Gram matrices cost less than instantiating a (out, in) gradient (Bu et al. 2022)."""
    return 2 * positions * positions <= width_out * width_in


def factored_norms(
    factored: Sequence[FactoredGrad], units: Units, ones: bool
) -> tuple[Tensor, list[PerExampleGrad]]:
    """Return squared norms (U,) of the summed gradient of several uses, and the forms to keep for its sum.

    `ones` adds the gradient of a bias, which is the same product with inputs of one.
    """
    positions = sum(one.right.shape[1] for one in factored)
    if not gram_is_cheaper(positions, factored[0].width, factored[0].right.shape[2]):
        dense = sum_dense(factored)
        norms = squared_row_norms(dense, units)
        if ones:
            bias = factored[0].left.sum(1)
            for one in factored[1:]:
                bias = bias + one.left.sum(1)
            squares = squared_row_norms(bias, units)
            if positions > 1 or units.index_B is not None:  # the bias's sum is another product
                lengths = sum(torch.linalg.vector_norm(one.left, dim=2).sum(1) for one in factored)
                assert isinstance(lengths, Tensor)
                squares = bound_rounding(squares, units.add(lengths))
            norms = norms + squares
        return norms, [DenseGrad(dense)]
    if len(factored) > 1 and not any(one.indexed for one in factored):
        left = torch.cat([one.left for one in factored], 1)
        factored = [FactoredGrad(left, torch.cat([one.right for one in factored], 1), factored[0].width)]
    squares = _gram_squares(factored, units, ones)
    norms_BT = torch.cat([one.position_norms(ones) for one in factored], 1)

    def in_float64(rows: Tensor, some: Units) -> Tensor:
        return _gram_squares([one.rows_in_float64(rows) for one in factored], some, ones)

    return certify_gram(squares, norms_BT, units, in_float64), list(factored)


def _gram_squares(factored: Sequence[FactoredGrad], units: Units, ones: bool) -> Tensor:
    """Return squared norms (U,) of the summed gradient of several uses, from their Gram matrices."""
    pairs = units.pairs()
    total = factored[0].right.new_zeros(units.count)
    for i, first in enumerate(factored):
        for second in factored[i:]:
            share = _pair_norms(first, second, pairs, units, ones)
            total = total + (share if second is first else 2 * share)
    return total


def sum_dense(gradients: Sequence[PerExampleGrad]) -> Tensor:
    """Return the sum (B, *shape) of the instantiated gradients of several uses."""
    total = gradients[0].dense()
    for gradient in gradients[1:]:
        total = total + gradient.dense()
    return total


def _pair_norms(
    first: FactoredGrad,
    second: FactoredGrad,
    pairs: tuple[Tensor, Tensor, Tensor] | None,
    units: Units,
    ones: bool,
) -> Tensor:
    """Return inner products (U,) of two uses' gradients: <L1^T R1, L2^T R2> = sum (L1 L2^T) o (R1 R2^T)."""
    left1, right1, left2, right2 = first.left, first.right, second.left, second.right
    if pairs is not None:
        left1, right1, left2, right2 = left1[pairs[0]], right1[pairs[0]], left2[pairs[1]], right2[pairs[1]]
    gram = torch.bmm(right1, right2.transpose(1, 2))
    if ones:
        gram += 1
    if first.indexed and second.indexed:
        other = (left1[:, :, None] == left2[:, None, :]).to(gram.dtype)
    elif first.indexed:
        other = _columns(left2, left1).transpose(1, 2)
    elif second.indexed:
        other = _columns(left1, left2)
    else:
        other = torch.bmm(left1, left2.transpose(1, 2))
    products = gram.mul_(other).flatten(1).sum(1)  # a batched product of vectors takes ten times as long
    if pairs is None:
        return products
    return products.new_zeros(units.count).index_add_(0, pairs[2], products)


def _columns(dense_BTp: Tensor, index_BS: Tensor) -> Tensor:
    """Return dense[b, t, index[b, s]] as (B, T, S): the product of dense rows with one-hot rows."""
    B, T, _ = dense_BTp.shape
    return dense_BTp.gather(2, index_BS[:, None, :].expand(B, T, index_BS.shape[1]))
