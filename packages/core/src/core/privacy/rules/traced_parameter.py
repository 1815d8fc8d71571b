"""Parameters as seen by the model's forward pass: every operation that touches one is routed to its rule.

Interception happens at the function, not at the module, so a weight used through `F.linear`, a sliced or
re-parametrised weight, and a module's own forward are all the same to the engine.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

Function = Callable[..., Any]
Rule = Callable[..., Any]

PER_EXAMPLE_RULES: dict[Function, Rule] = {}
"""Torch function -> its rule; importing the modules of this folder fills it."""
FALLBACK: list[Rule] = []
"""The rule of every other function."""
_METADATA = frozenset(
    {"__get__", "size", "dim", "numel", "stride", "is_floating_point", "is_complex", "__len__"}
)


def per_example_rule(*functions: Function) -> Callable[[Rule], Rule]:
    """Register `f(trace, function, *args, **kwargs)` as the rule of some torch functions."""

    def register(handler: Rule) -> Rule:
        for function in functions:
            PER_EXAMPLE_RULES[function] = handler
        return handler

    return register


def fallback_rule(handler: Rule) -> Rule:
    """Register `f(trace, function, name, args, kwargs)` as the rule of all functions without one of their own."""
    FALLBACK[:] = [handler]
    return handler


class Tracker(Protocol):
    """What a traced parameter needs of the pass that it belongs to (`core.privacy.rules.trace.Trace`)."""

    def track_derived(
        self,
        found: Tensor,
        parents: "Sequence[TracedParameter]",
        func: Function,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> "TracedParameter":
        """Return the result of an operation on parameters alone, tracked."""


class TracedParameter(torch.Tensor):
    """A trainable parameter, or a tensor computed from parameters alone; it holds no autograd history itself.

    `source` is the same tensor inside autograd, `value` the plain detached one, `roots` the parameters it comes from
    and `as_view` how to take the same view of another tensor of the (single) root's shape, if it is only a view.
    `as_batched` recomputes it as an activation, should its first dimension turn out to be the batch.
    """

    tracker: Tracker
    source: Tensor
    value: Tensor
    label: str
    roots: frozenset[int]
    as_view: Callable[[Tensor], Tensor] | None
    as_batched: Callable[[], Tensor] | None

    @classmethod
    def __torch_function__(
        cls, func: Function, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            handler = PER_EXAMPLE_RULES.get(func)
            if handler is not None:
                return handler(cls.tracker, func, *args, **(kwargs or {}))
            name = getattr(func, "__name__", "")
            if name in _METADATA:
                return _metadata(func, args, kwargs or {})
            return FALLBACK[0](cls.tracker, func, name, args, kwargs or {})


def _metadata(func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return properties and sizes; `.T` and its kin are tensors and stay tracked."""
    tracked = args[0]
    if not isinstance(tracked, TracedParameter):
        return func(*args, **kwargs)
    found = func(tracked.source, *args[1:], **kwargs)
    if isinstance(found, Tensor) and found.requires_grad:
        return tracked.tracker.track_derived(found, [tracked], func, (tracked, *args[1:]), kwargs)
    return found


def value_of(tensor: Tensor | None) -> Tensor | None:
    """Return the plain, detached tensor behind a tracked one; others unchanged."""
    return tensor.value if isinstance(tensor, TracedParameter) else tensor


def source_of(tensor: Any) -> Any:
    """Return the autograd tensor behind a tracked one; others unchanged."""
    return tensor.source if isinstance(tensor, TracedParameter) else tensor


def map_nested(apply: Callable[[Any], Any], value: Any) -> Any:
    """Return nested lists, tuples and dicts with a function applied to every leaf."""
    if isinstance(value, tuple):
        mapped = [map_nested(apply, item) for item in value]
        return type(value)(*mapped) if hasattr(value, "_fields") else tuple(mapped)
    if isinstance(value, list):
        return [map_nested(apply, item) for item in value]
    if isinstance(value, dict):
        return {key: map_nested(apply, item) for key, item in value.items()}
    return apply(value)


def leaves(value: Any) -> list[Any]:
    """Return the leaves of nested lists, tuples and dicts, in order."""
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in leaves(item)]
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [value]
