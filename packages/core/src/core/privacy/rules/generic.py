"""Any other operation: exact per-example gradients by giving every example its own copy of the parameter.

Operations on parameters alone run under ordinary autograd. Element-wise ones broadcast a copy per example (a view,
nothing is stored); all others are mapped over examples with `torch.vmap`.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from core.privacy.rules.trace import Trace, is_batched
from core.privacy.rules.traced_parameter import (
    Function,
    TracedParameter,
    fallback_rule,
    leaves,
    map_nested,
    per_example_rule,
)

_ARITHMETIC = ("add", "sub", "mul", "div", "truediv", "pow")
_ELEMENTWISE = frozenset(
    [
        f"{form}{name}{end}"
        for name in _ARITHMETIC
        for form, end in (("", ""), ("", "_"), ("__r", "__"), ("__i", "__"))
    ]
    + [f"__{name}__" for name in _ARITHMETIC]
    + [
        "where",
        "maximum",
        "minimum",
        "lerp",
        "addcmul",
        "true_divide",
        "multiply",
        "subtract",
        "rsub",
        "divide",
    ]
)
_JOINS = frozenset({"cat", "concat", "concatenate", "stack", "hstack", "vstack"})
_LIKE = frozenset(
    {"to", "type_as", "view_as", "reshape_as", "zeros_like", "ones_like", "empty_like", "randn_like"}
)


@fallback_rule
def apply(trace: Trace, func: Function, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Apply an operation without a rule of its own: on parameters alone, element-wise, or anything else."""
    flat = leaves((args, kwargs))
    tracked = [leaf for leaf in flat if isinstance(leaf, TracedParameter)]
    label = tracked[0].label
    with_rows = name not in _LIKE and any(is_batched(leaf) for leaf in flat)
    if not with_rows and not (name in _ELEMENTWISE and _grows_to_batch(trace, name, flat, tracked)):
        return trace.run_on_parameters(func, *args, **kwargs)
    if name in _ELEMENTWISE:
        return _elementwise(trace, func, label, args, kwargs)
    if name == "__setitem__":
        return _assign(trace, label, *args)
    if name.endswith("_") and not name.endswith("__"):
        raise ValueError(
            f"{label}: the in-place operation {name} writes a parameter into examples; it has no exact rule"
        )
    return _mapped(trace, func, name, label, args, kwargs)


def _grows_to_batch(trace: Trace, name: str, flat: list[Any], tracked: list[TracedParameter]) -> bool:
    """Return whether a constant repeated over the batch (a mask) is combined with parameters that are not."""
    dims = max(leaf.dim() for leaf in tracked)
    leading = max(leaf.shape[0] if leaf.dim() == dims else 1 for leaf in tracked) if dims else 1
    constants = [leaf for leaf in flat if isinstance(leaf, Tensor) and not isinstance(leaf, TracedParameter)]
    grown = [leaf.shape[0] for leaf in constants if leaf.dim() == dims > 2 and leaf.shape[0] > 1]
    return leading == 1 and bool(grown) and trace.is_batch_size(max(grown), f"{tracked[0].label}:{name}")


def _copies(trace: Trace, tracked: TracedParameter, dims: int, k: int) -> Tensor:
    """Return the parameter broadcast against an activation of `dims` dimensions with k rows per example."""
    shape = list(tracked.shape)
    inner = [1] * (k > 1)
    if len(shape) == dims and shape[0] == trace.rows * k and shape[0] > 1:
        if tracked.as_batched is not None:
            activation = tracked.as_batched()
            return activation.view(trace.rows, k, *activation.shape[1:]) if k > 1 else activation
        full = [trace.rows, *([k] if k > 1 else []), *shape[1:]]
        return trace.expand_per_example(tracked, full, full, as_batched=True)
    if len(shape) > dims or (len(shape) == dims and shape[0] != 1):
        raise ValueError(
            f"{tracked.label}: a parameter of shape {tuple(shape)} is broadcast over the batch dimension; examples "
            "can't be told apart"
        )
    tail = [1] * (dims - 1 - len(shape)) + shape if len(shape) < dims else shape[1:]
    return trace.expand_per_example(tracked, [1, *inner, *tail], [trace.rows, *inner, *tail])


def _elementwise(
    trace: Trace, func: Function, label: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    tensors = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    dims = max(tensor.dim() for tensor in tensors)
    leading = (
        max(t.shape[0] for t in tensors if not isinstance(t, TracedParameter) and t.dim() == dims)
        if dims
        else 0
    )
    rows = next(
        (
            t
            for t in tensors
            if not isinstance(t, TracedParameter) and t.dim() == dims and t.shape[0] == leading
        ),
        None,
    )
    if rows is None:
        raise ValueError(f"{label}: broadcast over the batch dimension; examples can't be told apart")
    k = trace.rows_per_example(rows, label)

    def spread(leaf: Any) -> Any:
        if isinstance(leaf, TracedParameter):
            return _copies(trace, leaf, dims, k)
        if k > 1 and isinstance(leaf, Tensor) and leaf.dim() == dims and leaf.shape[0] == leading:
            return leaf.view(trace.rows, k, *leaf.shape[1:])
        return leaf

    out = func(*map_nested(spread, args), **map_nested(spread, kwargs))
    return out.flatten(0, 1) if k > 1 else out


def _assign(trace: Trace, label: str, target: Tensor, index: Any, value: Any) -> None:
    """Apply `activation[index] = parameter`, as in mask tokens."""
    if isinstance(target, TracedParameter) or trace.rows_per_example(target, label) != 1:
        raise ValueError(f"{label}: this assignment into a tensor has no exact rule")
    if isinstance(index, Tensor) and index.dtype == torch.bool:
        mask = index.reshape(*index.shape, *[1] * (target.dim() - index.dim()))
        target.copy_(torch.where(mask, _copies(trace, value, target.dim(), 1), target))
        return
    target[index] = _copies(trace, value, target[index].dim(), 1)


def _mapped(
    trace: Trace, func: Function, name: str, label: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    flat = leaves((args, kwargs))
    leading = defaultdict(int, {leaf.dim(): leaf.shape[0] for leaf in flat if is_batched(leaf)})
    spread: list[Any] = []
    mapped_at: list[int] = []
    for i, leaf in enumerate(flat):
        if isinstance(leaf, TracedParameter):
            if name in _JOINS and leading[leaf.dim()] == leaf.shape[0]:
                leaf = _copies(trace, leaf, leaf.dim(), 1)[:, None]
            else:
                leaf = trace.expand_per_example(leaf, [1, *leaf.shape], [trace.rows, *leaf.shape])
            mapped_at.append(i)
        elif is_batched(leaf):
            leaf = leaf.view(trace.rows, trace.rows_per_example(leaf, label), *leaf.shape[1:])
            mapped_at.append(i)
        spread.append(leaf)

    def one(*mapped: Tensor) -> Any:
        values = iter(
            [mapped[mapped_at.index(i)] if i in mapped_at else leaf for i, leaf in enumerate(spread)]
        )
        some_args, some_kwargs = map_nested(lambda _: next(values), (args, kwargs))
        return func(*some_args, **some_kwargs)

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "There is a performance drop")  # exact all the same
            out = torch.vmap(one, randomness="different")(*[spread[i] for i in mapped_at])
    except RuntimeError as error:
        raise ValueError(
            f"{label}: {name} has no per-example rule and can't be mapped over examples: {error}"
        ) from error
    return map_nested(lambda leaf: leaf.flatten(0, 1) if isinstance(leaf, Tensor) else leaf, out)


@per_example_rule(Tensor.expand, Tensor.expand_as, torch.broadcast_to, Tensor.broadcast_to)
def expand(trace: Trace, func: Function, tensor: Tensor, *sizes: Any) -> Any:
    """Return one copy per example of a parameter that is expanded to the batch."""
    if not isinstance(tensor, TracedParameter):
        return trace.run_on_parameters(func, tensor, *sizes)
    shape = _sizes(sizes)
    new = len(shape) - tensor.dim()
    full = [tensor.shape[i - new] if size == -1 else size for i, size in enumerate(shape)]
    leads = new > 0 or tensor.shape[0] == 1
    if not (leads and full and full[0] > 1 and trace.is_batch_size(full[0], f"{tensor.label}:expand")):
        return trace.run_on_parameters(func, tensor, *sizes)
    k = full[0] // trace.rows
    tail = [1] * (new - 1) + list(tensor.shape) if new else list(tensor.shape[1:])
    copies = trace.expand_per_example(tensor, [1, 1, *tail], [trace.rows, 1, *tail])
    return copies.expand(trace.rows, k, *full[1:]).reshape(full)


@per_example_rule(Tensor.repeat, torch.tile, Tensor.tile)
def repeat(trace: Trace, func: Function, tensor: Tensor, *repeats: Any) -> Any:
    """Return one copy per example of a parameter that is repeated over the batch."""
    counts = _sizes(repeats)
    if not isinstance(tensor, TracedParameter) or not counts or len(counts) < tensor.dim():
        return trace.run_on_parameters(func, tensor, *repeats)
    if counts[0] == 1 or not trace.is_batch_size(counts[0], f"{tensor.label}:repeat"):
        return trace.run_on_parameters(func, tensor, *repeats)
    shape = [1] * (len(counts) - tensor.dim()) + list(tensor.shape)
    copies = trace.expand_per_example(tensor, [1, *shape], [trace.rows, *shape])
    return copies.repeat(1, counts[0] // trace.rows, *counts[1:]).flatten(0, 1)


def _sizes(sizes: tuple[Any, ...]) -> list[int]:
    if len(sizes) == 1 and isinstance(sizes[0], Tensor):
        return list(sizes[0].shape)
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list, torch.Size)):
        return [int(size) for size in sizes[0]]
    return [int(size) for size in sizes]


@per_example_rule(F.scaled_dot_product_attention)
def attention_with_bias(
    trace: Trace,
    func: Callable[..., Tensor],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> Any:
    """Return attention whose additive bias comes from parameters (relative positions)."""
    if any(isinstance(tensor, TracedParameter) for tensor in (query, key, value)):
        args = (query, key, value)
        kwargs = {"attn_mask": attn_mask, "dropout_p": dropout_p, "is_causal": is_causal, **options}
        return apply(trace, func, "scaled_dot_product_attention", args, kwargs)
    assert isinstance(attn_mask, TracedParameter)
    k = trace.rows_per_example(query, attn_mask.label)
    mask = _copies(trace, attn_mask, query.dim(), k)
    if k > 1:
        mask = mask.expand(trace.rows, k, *mask.shape[2:]).flatten(0, 1)
    return func(query, key, value, attn_mask=mask, dropout_p=dropout_p, is_causal=is_causal, **options)
