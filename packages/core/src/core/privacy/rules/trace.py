"""One forward and backward pass as the engine sees it: uses of parameters, then their gradients."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from core.privacy.rules.per_example_grads import DenseGrad, FactoredGrad, PerExampleGrad, in_precision
from core.privacy.rules.traced_parameter import Function, TracedParameter, leaves, map_nested, source_of

_VIEWS = frozenset(
    {"t", "transpose", "permute", "view", "reshape", "unsqueeze", "squeeze", "flatten", "swapaxes"}
)


class _Anchor(torch.autograd.Function):
    """Puts an output of constants under autograd, so that its gradient is computed; nothing is copied."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, anchor: Tensor) -> Tensor:
        ctx.mark_dirty(output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None]:
        return None, None


_MARK = "_plinth_batched"  # an attribute, so that the mark lives exactly as long as the tensor


class BatchSizes:
    """The leading sizes seen so far, which tell the batch from sizes that only happen to be a multiple of it.

    It outlives a pass and learns from each.

    A site seen with a size that is no multiple of the batch, or with the same size at two batches, is never the batch.
    """

    def __init__(self) -> None:
        self._seen: dict[str, dict[int, int]] = defaultdict(dict)
        self._fixed: set[str] = set()

    def is_batch(self, site: str, leading: int, rows: int) -> bool:
        """Return whether the size `leading` at `site` is (a multiple of) the batch of `rows`."""
        seen = self._seen[site]
        if leading % rows or any(size == leading for batch, size in seen.items() if batch != rows):
            self._fixed.add(site)
        if len(seen) < 4:
            seen[rows] = leading
        return site not in self._fixed


class BatchDimTracker(TorchFunctionMode):
    """Marks what is computed from the model's inputs as batched: these tensors have a row, or several, per example.

    Tensors under autograd need no mark: in a traced pass only examples bring them there.
    """

    def __torch_function__(
        self, func: Function, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        kind = type(found)
        if kind is Tensor:
            if not found.requires_grad and any(is_batched(leaf) for leaf in leaves((args, kwargs))):
                mark_batched(found)
        elif (kind is tuple or kind is list) and any(is_batched(leaf) for leaf in leaves((args, kwargs))):
            for leaf in leaves(found):
                if isinstance(leaf, Tensor) and not leaf.requires_grad:
                    mark_batched(leaf)
        return found


def is_batched(value: Any) -> bool:
    """Return whether a tensor holds one row (or several, adjacent) per example."""
    if not isinstance(value, Tensor) or isinstance(value, TracedParameter):
        return False
    return value.requires_grad or getattr(value, _MARK, False)


def mark_batched(tensor: Tensor) -> None:
    """Mark a tensor as holding a row, or several, per example."""
    if not isinstance(tensor, TracedParameter):
        setattr(tensor, _MARK, True)


class Trace:
    """Collects each use of a parameter in the forward pass and its gradients in the backward pass.

    `rows` is the number of examples in the pass; the first dimension of every activation is a multiple of it, all
    parts of an example lying together.
    """

    def __init__(
        self, sizes: BatchSizes, device: torch.device, rows: int, dtype: torch.dtype = torch.float32
    ) -> None:
        """`dtype` is the precision that gradients are summed in."""
        self.sizes = sizes
        self.rows = rows
        self.dtype = dtype
        self.expected: dict[int, int] = {}
        self.tracked: dict[int, TracedParameter] = {}
        self.gradients: dict[int, list[PerExampleGrad]] = defaultdict(list)
        self.biases: dict[int, set[int]] = defaultdict(set)
        self.weights: dict[int, set[int]] = defaultdict(set)
        self.parents: set[int] = set()
        self.expanded: list[tuple[TracedParameter, Tensor, bool]] = []
        self.on_complete: Callable[[int], None] = lambda key: None
        self.kind: type[TracedParameter] = type("Tracked", (TracedParameter,), {"tracker": self})
        self._sites: dict[str, int] = defaultdict(int)
        self._anchor = torch.zeros((), device=device, requires_grad=True)

    # ---- tracked tensors

    def track(self, source: Tensor, label: str, roots: frozenset[int]) -> TracedParameter:
        """Return a tracked tensor for a leaf or for a tensor computed from parameters."""
        value = source.detach()
        tracked: TracedParameter = torch.Tensor._make_subclass(self.kind, value)
        tracked.source, tracked.value, tracked.label, tracked.roots = source, value, label, roots
        tracked.as_view, tracked.as_batched = None, None
        return tracked

    def track_derived(
        self,
        found: Tensor,
        parents: Sequence[TracedParameter],
        func: Function,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> TracedParameter:
        """Return the result of an operation on parameters alone, tracked."""
        roots = frozenset[int]().union(*(parent.roots for parent in parents))
        tracked = self.track(found, parents[0].label, roots)
        parent = parents[0]
        is_view = getattr(func, "__name__", "") in _VIEWS and found.numel() == parent.numel()
        plain = parent.source.is_leaf or parent.as_view is not None
        if is_view and plain and len(parents) == 1 and args[0] is parent:
            before = parent.as_view

            def view(other: Tensor) -> Tensor:
                return func(before(other) if before else other, *args[1:], **kwargs)  # type: ignore[no-any-return]

            tracked.as_view = view
        return tracked

    def run_on_parameters(self, func: Function, *args: Any, **kwargs: Any) -> Any:
        """Return the results of an operation that involves no example: ordinary autograd, results tracked."""
        parents = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, TracedParameter)]
        found = func(*map_nested(source_of, args), **map_nested(source_of, kwargs))

        def wrap(leaf: Any) -> Any:
            if isinstance(leaf, Tensor) and leaf.requires_grad:
                return self.track_derived(leaf, parents, func, args, kwargs)
            return leaf

        return map_nested(wrap, found)

    # ---- which tensors carry examples

    def is_batch_size(self, leading: int, site: str) -> bool:
        """Return whether a size that a parameter is expanded to is the batch."""
        self._sites[site] += 1
        return self.sizes.is_batch(f"{site}#{self._sites[site]}", leading, self.rows)

    def rows_per_example(self, tensor: Tensor, label: str) -> int:
        """Return the number of leading rows of each example, raising ValueError where they can't be told apart."""
        if tensor.shape[0] % self.rows or not tensor.dim():
            raise ValueError(
                f"{label}: it is applied to a tensor of shape {tuple(tensor.shape)} in a batch of {self.rows} "
                "examples; the first dimension must be the batch (or a multiple of it), or examples can't be told apart"
            )
        return tensor.shape[0] // self.rows

    # ---- uses

    def expect_grads(self, *tensors: Tensor | None) -> None:
        """Announce one more gradient for each tracked tensor."""
        for tensor in tensors:
            if isinstance(tensor, TracedParameter):
                key = id(tensor)
                self.tracked[key] = tensor
                self.expected[key] = self.expected.get(key, 0) + 1
                if tensor.source.grad_fn is not None:
                    self.parents |= tensor.roots

    def on_output_grad(self, output: Tensor, receive: Callable[[Tensor], None]) -> Tensor:
        """Call `receive` with the gradient of an output of the forward pass."""
        if not torch.is_grad_enabled():
            return output
        if not output.requires_grad:
            output = _Anchor.apply(output, self._anchor)
        output.register_hook(receive)  # type: ignore[no-untyped-call]
        return output

    def add_grad(self, tensor: TracedParameter, gradient: PerExampleGrad) -> None:
        """Add the per-example gradients of one use of a tensor."""
        key = id(tensor)
        self.gradients[key].append(in_precision(gradient, self.dtype))
        if len(self.gradients[key]) == self.expected[key]:
            self.on_complete(key)

    def expect_affine_grads(self, weight: Tensor | None, bias: Tensor | None) -> None:
        """Announce a product with a weight and its bias, whose norms may then be computed together."""
        self.expect_grads(weight, bias)
        if isinstance(weight, TracedParameter) and isinstance(bias, TracedParameter):
            self.biases[id(weight)].add(id(bias))
            self.weights[id(bias)].add(id(weight))

    def add_affine_grad(self, weight: Tensor | None, bias: Tensor | None, outer: FactoredGrad) -> None:
        """Add a product's gradients; the norm of a bias that accompanies its weight is computed with it."""
        if isinstance(bias, TracedParameter) and not (
            isinstance(weight, TracedParameter) and self.paired_bias(id(weight)) is not None
        ):
            self.add_grad(bias, DenseGrad(outer.left.sum(1)))
        if isinstance(weight, TracedParameter):
            self.add_grad(weight, outer)

    def paired_bias(self, weight: int) -> int | None:
        """Return the bias that accompanies every use of this weight and no other, if there is one."""
        biases = self.biases.get(weight)
        if not biases or len(biases) > 1:
            return None
        bias = next(iter(biases))
        same = self.weights[bias] == {weight} and self.expected[bias] == self.expected[weight]
        plain = all(self.tracked[key].source.is_leaf for key in (weight, bias))
        free = all(self.tracked[key].roots.isdisjoint(self.parents) for key in (weight, bias))
        return bias if same and plain and free else None

    def expand_per_example(
        self, tracked: TracedParameter, shape: Sequence[int], target: Sequence[int], as_batched: bool = False
    ) -> Tensor:
        """Return a copy per example, viewed as `shape` (a 1 first) and broadcast to (B, ...) under autograd.

        `as_batched`: the tensor itself has one row per example.
        """
        self.expect_grads(tracked)
        leaf = tracked.value.reshape(*shape).expand(*target).detach().requires_grad_(torch.is_grad_enabled())
        self.expanded.append((tracked, leaf, as_batched))
        return leaf

    def collect_expanded_grads(self) -> None:
        """Add the gradients that autograd left in the per-example copies."""
        for tracked, leaf, as_batched in self.expanded:
            if leaf.grad is None:
                continue
            if as_batched:
                k = tracked.shape[0] // self.rows
                values = leaf.grad.new_zeros(self.rows, self.rows, k, *tracked.shape[1:])
                index = torch.arange(self.rows, device=leaf.device)
                values[index, index] = leaf.grad.reshape(self.rows, k, *tracked.shape[1:])
            else:
                values = leaf.grad
            self.add_grad(tracked, DenseGrad(values.reshape(self.rows, *tracked.shape)))
        self.expanded.clear()

    def release(self) -> None:
        """Release what the pass has collected."""
        self.gradients.clear()
        self.tracked.clear()
        self.expanded.clear()
        self.on_complete = lambda key: None
