"""From the per-example gradients of every use to norms per unit, then to the clipped sum."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from core.privacy.rules.per_example_grads import (
    NEGLIGIBLE,
    DenseGrad,
    FactoredGrad,
    PerExampleGrad,
    Units,
    add_weighted_rows,
    bound_rounding,
    factored_norms,
    roundoff,
    squared_row_norms,
    sum_dense,
)
from core.privacy.rules.trace import Trace
from core.privacy.rules.traced_parameter import TracedParameter


@dataclass
class _DerivedGroup:
    """Tensors computed from parameters, and those parameters: what one pull-back has to treat together."""

    keys: list[int] = field(default_factory=list)
    roots: set[int] = field(default_factory=set)
    apart: Tensor | None = None
    """Rows whose pulled-back gradients are kept, because they would not come out the same a second time."""


class GradAccumulator:
    """Squared norms (G, U) per clipping group and unit, filled while the backward pass runs; then the sums.

    `leaves` are the tracked parameters, `sums` the buffers of their shapes and `groups` their clipping groups.
    """

    def __init__(
        self,
        trace: Trace,
        leaves: Sequence[TracedParameter],
        sums: Sequence[Tensor],
        groups: Sequence[int],
        units: Units,
    ) -> None:
        self.trace, self.leaves, self.sums, self.groups, self.units = trace, leaves, sums, groups, units
        self.squares_GU = sums[0].new_zeros(max(groups) + 1, units.count)
        self._index = {id(leaf): i for i, leaf in enumerate(leaves)}
        self._pending: list[tuple[int, PerExampleGrad, Tensor]] = []
        self._derived: list[_DerivedGroup] = []
        self._done: set[int] = set()

    def complete(self, key: int) -> None:
        """Compute the norms of a tensor whose gradients have all arrived, unless others feed the same parameter."""
        index = self._index.get(key)
        if index is not None and index not in self.trace.parents:
            self._accumulate_leaf(index, None)

    def finish(self) -> None:
        """Compute the norms that the backward pass left open: unused outputs, tensors computed from parameters."""
        self.trace.collect_expanded_grads()
        arrived = [key for key, found in self.trace.gradients.items() if found]
        for key in arrived:
            index = self._index.get(key)
            if index is not None and index not in self.trace.parents:
                self._accumulate_leaf(index, None)
        self._derived = self._grouped([key for key in arrived if key not in self._index])
        pulled = set[int]()
        for derived in self._derived:
            pulled |= derived.roots
            self._accumulate_derived(derived)
        for index in sorted(self.trace.parents - pulled):
            self._accumulate_leaf(index, None)

    def add_sums(self, factors_GU: Tensor) -> None:
        """Add the clipped sum to the buffers."""
        rows_GB = factors_GU if self.units.index_B is None else factors_GU[:, self.units.index_B]
        for group, gradient, into in self._pending:
            gradient.add_weighted_sum(rows_GB[group], into)
        for derived in self._derived:
            self._add_derived(derived, rows_GB)

    def release(self) -> None:
        """Release the examples' tensors; a pass refers to itself, so they would stay until Python collects cycles.

        In a small network that takes dozens of steps, each with a batch held in memory.
        """
        self._pending.clear()
        self._derived.clear()
        self.trace.release()

    def _add_squares(self, index: int, squares_U: Tensor) -> None:
        self.squares_GU[self.groups[index]] += squares_U

    def _accumulate_leaf(self, index: int, extra: Tensor | None) -> None:
        """Add the norms of one parameter from its direct uses and, in `extra` (B, *shape), the pulled-back ones."""
        key = id(self.leaves[index])
        gradients = self.trace.gradients.get(key, [])
        if key in self._done:
            return
        self._done.add(key)
        factored = [gradient for gradient in gradients if isinstance(gradient, FactoredGrad)]
        bias = self.trace.paired_bias(key)
        if bias is not None:
            self._accumulate_affine(index, self._index[bias], factored)
            return
        if extra is not None:
            total = extra if not gradients else sum_dense(gradients) + extra
            added = [*gradients, DenseGrad(extra)]
            self._add_squares(index, self._squares_of_sum(total, added))
            kept: Sequence[PerExampleGrad] = gradients
        elif not gradients:
            return
        elif len(factored) == len(gradients):
            squares, kept = factored_norms(factored, self.units, False)
            self._add_squares(index, squares)
        elif len(gradients) == 1:
            squares, only = gradients[0].squared_norms(self.units)
            self._add_squares(index, squares)
            kept = [only]
        else:
            self._add_squares(index, self._squares_of_sum(sum_dense(gradients), gradients))
            kept = gradients
        self._keep(index, kept)
        self.trace.gradients[key] = []

    def _accumulate_affine(self, index: int, bias: int, factored: list[FactoredGrad]) -> None:
        """Add the norms of a weight and its bias together; the bias's sum is a product with the same rows."""
        same = self.groups[index] == self.groups[bias]
        for outer in factored:
            self._pending.append((self.groups[bias], BiasGrad(outer.left), self.sums[bias]))
        squares, kept = factored_norms(factored, self.units, same)
        self._add_squares(index, squares)
        if not same:
            biases = [BiasGrad(outer.left) for outer in factored]
            self._add_squares(bias, self._squares_of_sum(sum_dense(biases), biases))
        self._keep(index, kept)
        self.trace.gradients[id(self.leaves[index])] = []

    def _squares_of_sum(self, total: Tensor, added: Sequence[PerExampleGrad]) -> Tensor:
        """Return squared norms (U,) of a sum whose parts are scaled and added up one by one."""
        magnitudes_B = added[0].magnitudes()
        for gradient in added[1:]:
            magnitudes_B = magnitudes_B + gradient.magnitudes()
        return bound_rounding(squared_row_norms(total, self.units), self.units.add(magnitudes_B))

    def _keep(self, index: int, gradients: Sequence[PerExampleGrad]) -> None:
        self._pending += [(self.groups[index], gradient, self.sums[index]) for gradient in gradients]

    def _grouped(self, keys: Sequence[int]) -> list[_DerivedGroup]:
        derived_groups: list[_DerivedGroup] = []
        for key in keys:
            merged = _DerivedGroup([key], set(self.trace.tracked[key].roots))
            apart = []
            for derived in derived_groups:
                if derived.roots & merged.roots:
                    merged = _DerivedGroup(derived.keys + merged.keys, derived.roots | merged.roots)
                else:
                    apart.append(derived)
            derived_groups = [*apart, merged]
        return derived_groups

    def _only_view(self, derived: _DerivedGroup) -> TracedParameter | None:
        """Return the group's tensor if it is a mere view of a parameter used nowhere else."""
        tensor = self.trace.tracked[derived.keys[0]]
        if len(derived.keys) > 1 or len(derived.roots) > 1 or tensor.as_view is None:
            return None
        root = next(iter(derived.roots))
        return None if self.trace.gradients.get(id(self.leaves[root])) else tensor

    def _accumulate_derived(self, derived: _DerivedGroup) -> None:
        tensor = self._only_view(derived)
        if tensor is not None and tensor.as_view is not None:
            key, root = derived.keys[0], next(iter(derived.roots))
            gradients = self.trace.gradients[key]
            factored = [gradient for gradient in gradients if isinstance(gradient, FactoredGrad)]
            kept: Sequence[PerExampleGrad] = gradients
            if len(factored) == len(gradients):
                squares, kept = factored_norms(factored, self.units, False)
            elif len(gradients) == 1:
                squares, only = gradients[0].squared_norms(self.units)
                kept = [only]
            else:
                squares = self._squares_of_sum(sum_dense(gradients), gradients)
            self._add_squares(root, squares)
            into = tensor.as_view(self.sums[root])
            self._pending += [(self.groups[root], gradient, into) for gradient in kept]
            derived.keys.clear()
            return
        roots = sorted(derived.roots)
        cotangents = [sum_dense(self.trace.gradients[key]) for key in derived.keys]
        pulled = self._pull_back(derived, roots, cotangents, batched=True)
        derived.apart = self._cancelling_rows(derived, roots, cotangents, pulled)
        for root, extra in zip(roots, pulled, strict=True):
            if extra is not None and derived.apart is not None:
                self._keep(root, [SomeRowsGrad(derived.apart, extra[derived.apart], self.trace.rows)])
            self._accumulate_leaf(root, extra)

    def _cancelling_rows(
        self,
        derived: _DerivedGroup,
        roots: Sequence[int],
        cotangents: Sequence[Tensor],
        pulled: Sequence[Tensor | None],
    ) -> Tensor | None:
        """Return the rows where positions, uses or the pull-back cancel so far that rounding shows, or None.

        The pull-back is linear: rounding of a cotangent grows as much as a typical or the longest cotangent does.
        """
        gradients = [gradient for key in derived.keys for gradient in self.trace.gradients[key]]
        magnitudes_B = torch.stack([gradient.magnitudes() for gradient in gradients]).sum(0)
        lengths_B = torch.stack([torch.linalg.vector_norm(c.flatten(1), dim=1) for c in cotangents]).norm(
            dim=0
        )
        typical = [torch.arange(c[0].numel(), device=c.device).mul(12.9898).sin() for c in cotangents]
        probes = [t.to(c.dtype).view(c.shape[1:]) for t, c in zip(typical, cotangents, strict=True)]
        probed = self._pull_back(derived, roots, probes, batched=False)
        apart_U = torch.zeros(self.units.count, dtype=torch.bool, device=lengths_B.device)
        slack = 2 * roundoff(lengths_B.dtype)
        for probe, extra in zip(probed, pulled, strict=True):
            if probe is None or extra is None:
                continue
            gain = probe.norm() / torch.stack([p.norm() for p in probes]).norm()
            gains_B = torch.linalg.vector_norm(extra.flatten(1), dim=1) / lengths_B.clamp_min(1e-30)
            gain = torch.maximum(gain, gains_B.max())
            norms_U = squared_row_norms(extra, self.units).sqrt_()
            apart_U |= slack * gain * self.units.add(magnitudes_B) > NEGLIGIBLE * norms_U
        if not bool(apart_U.any()):
            return None
        apart_B = apart_U if self.units.index_B is None else apart_U[self.units.index_B]
        return apart_B.nonzero().squeeze(1)

    def _pull_back(
        self, derived: _DerivedGroup, roots: Sequence[int], cotangents: Sequence[Tensor], batched: bool
    ) -> Sequence[Tensor | None]:
        """Return gradients of the roots from those of the tensors computed from them; `batched` for one per example."""
        outputs = [self.trace.tracked[key].source for key in derived.keys]
        inputs = [self.leaves[root].source for root in roots]
        with torch.enable_grad():
            return torch.autograd.grad(
                outputs,
                inputs,
                [c.to(output.dtype) for c, output in zip(cotangents, outputs, strict=True)],
                retain_graph=True,
                allow_unused=True,
                is_grads_batched=batched,
            )

    def _add_derived(self, derived: _DerivedGroup, rows_GB: Tensor) -> None:
        if not derived.keys:
            return
        if derived.apart is not None:
            rows_GB = rows_GB.index_fill(1, derived.apart, 0.0)
        for group in sorted({self.groups[root] for root in derived.roots}):
            roots = [root for root in sorted(derived.roots) if self.groups[root] == group]
            cotangents = []
            for key in derived.keys:
                total = torch.zeros_like(self.trace.tracked[key].value, dtype=self.sums[0].dtype)
                for gradient in self.trace.gradients[key]:
                    gradient.add_weighted_sum(rows_GB[group], total)
                cotangents.append(total)
            for root, found in zip(
                roots, self._pull_back(derived, roots, cotangents, batched=False), strict=True
            ):
                if found is not None:
                    self.sums[root] += found


@dataclass
class SomeRowsGrad:
    """Instantiated gradients of some rows of a batch of `count`; all others are zero."""

    rows: Tensor
    values: Tensor
    count: int

    def dense(self) -> Tensor:
        out = self.values.new_zeros(self.count, *self.values.shape[1:])
        return out.index_copy_(0, self.rows, self.values)

    def add_weighted_sum(self, weights_B: Tensor, into: Tensor) -> None:
        add_weighted_rows(self.values, weights_B[self.rows], into)

    def squared_norms(self, units: Units) -> tuple[Tensor, PerExampleGrad]:
        return squared_row_norms(self.dense(), units), self

    def magnitudes(self) -> Tensor:
        return DenseGrad(self.dense()).magnitudes()


@dataclass
class BiasGrad:
    """A bias's gradients, the sums over positions of output-gradients (B, T, p)."""

    left: Tensor

    def dense(self) -> Tensor:
        return self.left.sum(1)

    def add_weighted_sum(self, weights_B: Tensor, into: Tensor) -> None:
        B, T, p = self.left.shape
        weights = weights_B[:, None].expand(B, T).reshape(B * T)
        into.addmv_(self.left.reshape(B * T, p).t(), weights)

    def squared_norms(self, units: Units) -> tuple[Tensor, PerExampleGrad]:
        return squared_row_norms(self.dense(), units), self

    def magnitudes(self) -> Tensor:
        lengths_BT: Tensor = torch.linalg.vector_norm(self.left, dim=2)
        return lengths_BT.sum(1)
