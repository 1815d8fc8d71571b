"""Linear layers, matrix products and embeddings."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from core.privacy.rules import generic
from core.privacy.rules.per_example_grads import FactoredGrad, norm_precision
from core.privacy.rules.trace import Trace, is_batched
from core.privacy.rules.traced_parameter import Function, TracedParameter, per_example_rule, value_of


def label_of(*tensors: Any) -> str:
    """Return the name of the first tracked tensor."""
    return next(tensor.label for tensor in tensors if isinstance(tensor, TracedParameter))


@per_example_rule(F.linear)
def linear(trace: Trace, func: Function, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:  # noqa: A002
    """Return x W^T + b with any number of positions per example."""
    label = label_of(weight, bias, input)
    if not is_batched(input):
        return trace.run_on_parameters(func, input, weight, bias)
    trace.rows_per_example(input, label)
    version = input._version
    trace.expect_affine_grads(weight, bias)

    def receive(gradient: Tensor) -> None:
        require_unmodified(input, version, label)
        left = norm_precision(gradient).reshape(trace.rows, -1, gradient.shape[-1])
        right = norm_precision(input.detach()).reshape(trace.rows, -1, input.shape[-1])
        trace.add_affine_grad(weight, bias, FactoredGrad(left, right, left.shape[-1]))

    return trace.on_output_grad(F.linear(input, value_of(weight), value_of(bias)), receive)  # type: ignore[arg-type]


def require_unmodified(tensor: Tensor, version: int, label: str) -> None:
    """Raise ValueError for an input that was overwritten after the layer read it."""
    if tensor._version != version:
        raise ValueError(
            f"{label}: its input was changed in place after the layer read it (an in-place activation or addition); "
            "make that operation out of place"
        )


@per_example_rule(torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.mm, Tensor.mm)
def matmul(trace: Trace, func: Function, input: Tensor, other: Tensor) -> Any:  # noqa: A002
    """Return a matrix product: x @ W as a linear layer with the weight transposed, every other one mapped."""
    if (
        isinstance(other, TracedParameter)
        and not isinstance(input, TracedParameter)
        and other.dim() == 2
        and input.dim() > 1
    ):
        return linear(trace, F.linear, input, trace.run_on_parameters(Tensor.t, other))
    return generic.apply(trace, func, "matmul", (input, other), {})


@per_example_rule(torch.addmm)
def addmm(
    trace: Trace,
    func: Function,
    bias: Tensor,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    *,
    beta: float = 1,
    alpha: float = 1,
) -> Any:
    """Return b + x @ W, as GPT-2 writes its linear layers."""
    if beta == alpha == 1 and bias.dim() == 1 and not isinstance(input, TracedParameter):
        transposed = (
            trace.run_on_parameters(Tensor.t, weight) if isinstance(weight, TracedParameter) else weight.t()
        )
        return linear(trace, F.linear, input, transposed, bias)
    return generic.apply(trace, func, "addmm", (bias, input, weight), {"beta": beta, "alpha": alpha})


@per_example_rule(F.embedding)
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
    """Return rows of a table; with indices that are not batched (positions), a tensor of parameters alone."""
    assert isinstance(weight, TracedParameter)
    if max_norm is not None or scale_grad_by_freq:
        raise ValueError(f"{weight.label}: max_norm and scale_grad_by_freq mix the examples of a batch")
    if padding_idx is not None and padding_idx < 0:
        padding_idx += weight.shape[0]
    if not is_batched(input):
        found = trace.run_on_parameters(func, input, weight, padding_idx)
        if isinstance(found, TracedParameter) and not isinstance(input, TracedParameter):
            found.as_batched = lambda: _lookup(trace, func, input, weight, padding_idx)
        return found
    return _lookup(trace, func, input, weight, padding_idx)


def _lookup(
    trace: Trace, func: Function, indices: Tensor, weight: TracedParameter, padding_idx: int | None
) -> Tensor:
    trace.rows_per_example(indices, weight.label)
    trace.expect_grads(weight)

    def receive(gradient: Tensor) -> None:
        index = indices.reshape(trace.rows, -1)
        right = norm_precision(gradient).reshape(trace.rows, -1, weight.shape[1])
        if padding_idx is not None:
            right = right.masked_fill((index == padding_idx)[..., None], 0.0)
        trace.add_grad(weight, FactoredGrad(index, right, weight.shape[0]))

    return trace.on_output_grad(func(indices, weight.value, padding_idx), receive)


@per_example_rule(Tensor.__getitem__)
def getitem(trace: Trace, func: Function, tensor: Tensor, index: Any) -> Any:
    """Return an indexed parameter: an embedding where examples index a table, else without examples."""
    if (
        isinstance(tensor, TracedParameter)
        and isinstance(index, Tensor)
        and tensor.dim() == 2
        and index.dtype == torch.long
    ):
        return embedding(trace, F.embedding, index, tensor)
    return generic.apply(trace, func, "getitem", (tensor, index), {})
