"""Per-example gradients kept in factored form: squared norms and weighted sums without storing B gradients.

An example's gradient of a weight matrix is a sum of outer products of output-gradients and inputs. Its squared norm
needs only the two T x T Gram matrices of these factors (Goodfellow 2015, arXiv:1510.01799; Li et al. 2021,
arXiv:2110.05679; the choice between Gram and instantiated form: Bu et al. 2022, arXiv:2205.10683).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class PerExampleGrad(Protocol):
    """The per-example gradients of one tensor from one use of it in the forward pass."""

    def dense(self) -> Tensor:
        """Return the gradients themselves, (B, *shape)."""

    def add_weighted_sum(self, weights_B: Tensor, into: Tensor) -> None:
        """Add the weighted sum over examples to `into`, a tensor of the parameter's shape."""

    def squared_norms(self, units: "Units") -> "tuple[Tensor, PerExampleGrad]":
        """Return squared norms (U,) and the cheapest form to keep for the sum."""


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


def squared_row_norms(dense_B: Tensor, units: Units) -> Tensor:
    """Return squared norms (U,) of instantiated gradients (B, *shape)."""
    flat = units.add(dense_B.reshape(dense_B.shape[0], -1))
    norms: Tensor = torch.linalg.vector_norm(flat, dim=1)
    return norms.square_()


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
            norms = norms + squared_row_norms(bias, units)
        return norms, [DenseGrad(dense)]
    if len(factored) > 1 and not any(one.indexed for one in factored):
        left = torch.cat([one.left for one in factored], 1)
        factored = [FactoredGrad(left, torch.cat([one.right for one in factored], 1), factored[0].width)]
    pairs = units.pairs()
    total = factored[0].right.new_zeros(units.count)
    for i, first in enumerate(factored):
        for second in factored[i:]:
            share = _pair_norms(first, second, pairs, units, ones)
            total = total + (share if second is first else 2 * share)
    return total, list(factored)


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
