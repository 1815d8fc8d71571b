"""Parameters as seen by the model's forward pass: every operation that touches one is routed to its rule.

Interception happens at the function, not at the module, so a weight used through `F.linear`, a sliced or
re-parametrised weight, and a module's own forward are all the same to the engine.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from core.privacy.rules.trace import Trace

Function = Callable[..., Any]
Rule = Callable[..., Any]

_RULES: dict[Function, Rule] = {}
_METADATA = frozenset(
    {"__get__", "size", "dim", "numel", "stride", "is_floating_point", "is_complex", "__len__"}
)


def rule(*functions: Function) -> Callable[[Rule], Rule]:
    """Register `f(trace, function, *args, **kwargs)` as the rule of some torch functions."""

    def register(handler: Rule) -> Rule:
        for function in functions:
            _RULES[function] = handler
        return handler

    return register


class TracedParameter(torch.Tensor):
    """A trainable parameter, or a tensor computed from parameters alone; it holds no autograd history itself.

    `source` is the same tensor inside autograd, `value` the plain detached one, `roots` the parameters it comes from
    and `as_view` how to take the same view of another tensor of the (single) root's shape, if it is only a view.
    `by_row` recomputes it as an activation, should its first dimension turn out to be the batch.
    """

    watcher: "Trace"
    source: Tensor
    value: Tensor
    label: str
    roots: frozenset[int]
    as_view: Callable[[Tensor], Tensor] | None
    by_row: Callable[[], Tensor] | None

    @classmethod
    def __torch_function__(
        cls, func: Function, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            handler = _RULES.get(func)
            if handler is not None:
                return handler(cls.watcher, func, *args, **(kwargs or {}))
            name = getattr(func, "__name__", "")
            if name in _METADATA:
                return _metadata(func, args, kwargs or {})
            return cls.watcher.other(func, name, args, kwargs or {})


def _metadata(func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Properties and sizes; `.T` and its kin are tensors and stay tracked."""
    tracked = args[0]
    if not isinstance(tracked, TracedParameter):
        return func(*args, **kwargs)
    found = func(tracked.source, *args[1:], **kwargs)
    if isinstance(found, Tensor) and found.requires_grad:
        return tracked.watcher.derive(found, [tracked], func, (tracked, *args[1:]), kwargs)
    return found


def value_of(tensor: Tensor | None) -> Tensor | None:
    """The plain, detached tensor behind a tracked one; others unchanged."""
    return tensor.value if isinstance(tensor, TracedParameter) else tensor


def source_of(tensor: Any) -> Any:
    """The autograd tensor behind a tracked one; others unchanged."""
    return tensor.source if isinstance(tensor, TracedParameter) else tensor


def map_nested(apply: Callable[[Any], Any], value: Any) -> Any:
    """Apply to every leaf of nested lists, tuples and dicts."""
    if isinstance(value, tuple):
        mapped = [map_nested(apply, item) for item in value]
        return type(value)(*mapped) if hasattr(value, "_fields") else tuple(mapped)
    if isinstance(value, list):
        return [map_nested(apply, item) for item in value]
    if isinstance(value, dict):
        return {key: map_nested(apply, item) for key, item in value.items()}
    return apply(value)


def leaves(value: Any) -> list[Any]:
    """The leaves of nested lists, tuples and dicts, in order."""
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in leaves(item)]
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [value]
