"""Normalization layers, multi-head attention in functional form, and what mixes examples."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from core.privacy.rules.linear import label_of, linear, require_unmodified
from core.privacy.rules.per_example_grads import DenseGrad, norm_precision
from core.privacy.rules.trace import Trace, is_batched, mark_batched
from core.privacy.rules.traced_parameter import Function, TracedParameter, per_example_rule, value_of

Normalize = Callable[[Tensor, Tensor | None, Tensor | None], Tensor]


def _normalize(
    trace: Trace, run: Normalize, x: Tensor, weight: Tensor | None, bias: Tensor | None, trailing: int
) -> Any:
    """Return y = x_hat * weight + bias; `trailing` dimensions hold the weight, or dimension 1 if it is 0."""
    label = label_of(weight, bias)
    k = trace.rows_per_example(x, label)
    trace.expect_grads(weight, bias)
    version = x._version

    def reduce(products: Tensor) -> DenseGrad:
        if trailing:
            shape = products.shape[-trailing:]
            return DenseGrad(products.reshape(trace.rows, -1, *shape).sum(1))
        summed = products.flatten(2).sum(2) if products.dim() > 2 else products
        return DenseGrad(summed.view(trace.rows, k, -1).sum(1) if k > 1 else summed)

    def receive(gradient: Tensor) -> None:
        g = norm_precision(gradient)
        if isinstance(bias, TracedParameter):
            trace.add_grad(bias, reduce(g))
        if isinstance(weight, TracedParameter):
            require_unmodified(x, version, label)
            trace.add_grad(weight, reduce(run(norm_precision(x.detach()), None, None).mul_(g)))

    return trace.on_output_grad(run(x, value_of(weight), value_of(bias)), receive)


@per_example_rule(F.layer_norm, torch.layer_norm)
def layer_norm(
    trace: Trace,
    func: Function,
    input: Tensor,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:
    """Apply layer normalization over the trailing dimensions."""
    if not is_batched(input):
        return trace.run_on_parameters(F.layer_norm, input, normalized_shape, weight, bias, eps)
    shape = list(normalized_shape)
    return _normalize(
        trace, lambda x, w, b: F.layer_norm(x, shape, w, b, eps), input, weight, bias, trailing=len(shape)
    )


@per_example_rule(F.rms_norm, torch.rms_norm)
def rms_norm(
    trace: Trace,
    func: Function,
    input: Tensor,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Any:
    """Apply root-mean-square normalization over the trailing dimensions."""
    if not is_batched(input):
        return trace.run_on_parameters(F.rms_norm, input, normalized_shape, weight, eps)
    shape = list(normalized_shape)
    return _normalize(
        trace, lambda x, w, _: F.rms_norm(x, shape, w, eps), input, weight, None, trailing=len(shape)
    )


@per_example_rule(F.group_norm, torch.group_norm)
def group_norm(
    trace: Trace,
    func: Function,
    input: Tensor,  # noqa: A002
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:
    """Apply group normalization over channels."""
    if not is_batched(input):
        return trace.run_on_parameters(F.group_norm, input, num_groups, weight, bias, eps)
    return _normalize(
        trace, lambda x, w, b: F.group_norm(x, num_groups, w, b, eps), input, weight, bias, trailing=0
    )


@per_example_rule(F.instance_norm)
def instance_norm(
    trace: Trace,
    func: Function,
    input: Tensor,  # noqa: A002
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Apply instance normalization, raising ValueError for running statistics, which outlive a batch."""
    label = label_of(weight, bias, input)
    if use_input_stats and running_mean is not None:
        raise ValueError(
            f"{label}: running statistics keep examples beyond their batch; set track_running_stats=False"
        )
    return _normalize(
        trace,
        lambda x, w, b: F.instance_norm(x, running_mean, running_var, w, b, use_input_stats, momentum, eps),
        input,
        weight,
        bias,
        trailing=0,
    )


@per_example_rule(F.batch_norm, torch.batch_norm)
def batch_norm(
    trace: Trace,
    func: Function,
    input: Tensor,  # noqa: A002
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Apply batch normalization with fixed statistics, raising ValueError for batch statistics, which mix examples."""
    label = label_of(weight, bias, input)
    if not is_batched(input):
        return trace.run_on_parameters(
            F.batch_norm, input, running_mean, running_var, weight, bias, training, momentum, eps
        )
    if training:
        raise ValueError(
            f"{label}: batch normalization in training mode mixes the examples of a batch, so no gradient belongs to "
            "one of them; set privacy.batch_norm to group or frozen"
        )
    return _normalize(
        trace,
        lambda x, w, b: F.batch_norm(x, running_mean, running_var, w, b, False, momentum, eps),
        input,
        weight,
        bias,
        trailing=0,
    )


@per_example_rule(F.multi_head_attention_forward)
def multi_head_attention(
    trace: Trace,
    func: Function,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> Any:
    """Apply `nn.MultiheadAttention`, whose activations come as (T, B, E), with the batch first."""
    if not any(is_batched(tensor) for tensor in (query, key, value)):
        rest = (
            dropout_p,
            out_proj_weight,
            out_proj_bias,
            training,
            key_padding_mask,
            need_weights,
            attn_mask,
        )
        separate = (use_separate_proj_weight, q_proj_weight, k_proj_weight, v_proj_weight, static_k, static_v)
        first = (in_proj_weight, in_proj_bias, bias_k, bias_v, add_zero_attn)
        sizes = (embed_dim_to_check, num_heads)
        return trace.run_on_parameters(
            func, query, key, value, *sizes, *first, *rest, *separate, average_attn_weights, is_causal
        )
    label = label_of(in_proj_weight, q_proj_weight, in_proj_bias, out_proj_weight, out_proj_bias, bias_k)

    def only_copy(tensor: Tensor) -> Tensor:
        """Return learned queries, keys or values (T, 1, E) as those of the only example of a batch of one."""
        if (
            trace.rows > 1
            or not isinstance(tensor, TracedParameter)
            or tensor.dim() != 3
            or tensor.shape[1] != 1
        ):
            return tensor
        return trace.expand_per_example(tensor, [1, *tensor.shape], [1, *tensor.shape]).squeeze(0)

    learned = {id(tensor): only_copy(tensor) for tensor in (query, key, value)}
    query, key, value = (learned[id(tensor)] for tensor in (query, key, value))
    if not all(is_batched(tensor) for tensor in (query, key, value)):
        raise ValueError(
            f"{label}: multi-head attention between examples and parameters; expand them to the batch first"
        )
    if query.dim() != 3:
        raise ValueError(f"{label}: multi-head attention got an input without a batch dimension")
    if bias_k is not None or add_zero_attn or static_k is not None or static_v is not None:
        raise ValueError(
            f"{label}: multi-head attention with bias_k, add_zero_attn or static keys has no exact rule"
        )

    def project(x_BTE: Tensor, weight: Any, bias: Any) -> Tensor:
        if isinstance(weight, TracedParameter) or isinstance(bias, TracedParameter):
            return linear(trace, F.linear, x_BTE, weight, bias)  # type: ignore[no-any-return]
        return F.linear(x_BTE, weight, bias)

    def part(tensor: Any, i: int) -> Any:
        if tensor is None:
            return None
        E = tensor.shape[0] // 3
        piece = slice(i * E, (i + 1) * E)
        return (
            trace.run_on_parameters(Tensor.__getitem__, tensor, piece)
            if isinstance(tensor, TracedParameter)
            else tensor[piece]
        )

    q_BTE, k_BSE, v_BSE = (tensor.transpose(0, 1) for tensor in (query, key, value))
    for tensor in (q_BTE, k_BSE, v_BSE):
        mark_batched(tensor)
    if use_separate_proj_weight:
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        q, k, v = (
            project(x, w, part(in_proj_bias, i))
            for i, (x, w) in enumerate(zip((q_BTE, k_BSE, v_BSE), weights, strict=True))
        )
    elif query is key and key is value:
        q, k, v = project(q_BTE, in_proj_weight, in_proj_bias).chunk(3, -1)
    else:
        q, k, v = (
            project(x, part(in_proj_weight, i), part(in_proj_bias, i))
            for i, x in enumerate((q_BTE, k_BSE, v_BSE))
        )
    B, T, _ = q.shape
    q, k, v = (x.reshape(B, x.shape[1], num_heads, -1).transpose(1, 2) for x in (q, k, v))
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if attn_mask is not None and attn_mask.dim() == 3:
        attn_mask = attn_mask.view(-1, num_heads, *attn_mask.shape[-2:])
    for mask in (attn_mask, None if key_padding_mask is None else key_padding_mask[:, None, None, :]):
        if mask is not None:
            scores = scores.masked_fill(mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    attention = F.dropout(scores.softmax(-1), dropout_p, training)
    out = project(
        (attention @ v).transpose(1, 2).reshape(B, T, -1), out_proj_weight, out_proj_bias
    ).transpose(0, 1)
    if not need_weights:
        return out, None
    return out, attention.mean(1) if average_attn_weights else attention
