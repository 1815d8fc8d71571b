"""Attention rollout (Abnar and Zuidema 2020, arXiv:2005.00928, section 3), summed to features; it has no sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from core.backbones.contexts import eval_mode
from core.backbones.tabular import TabularTransformer
from core.explanation.aggregate import aggregate_to_features

if TYPE_CHECKING:
    from core.backbones.model import Model
    from core.explanation.aggregate import TextAlignment
    from core.explanation.masker import Masker
    from core.targets.types import Array


class MethodUnavailable(ValueError):  # noqa: N818 - an outcome that is recorded, not a failure
    """A network has no rollout; the argument is the code of the reason.

    ``no_attention``, ``windowed_attention`` (windows, or several resolutions), ``tokens_are_not_features``,
    ``no_patch_grid``.
    """


class _Attention(TorchFunctionMode):
    """Keeps the weights of every scaled dot-product attention, mean over heads, (B, Q, K)."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if func is scaled_dot_product_attention:
            mask = named.get("attn_mask", args[3] if len(args) > 3 else None)
            causal = named.get("is_causal", args[5] if len(args) > 5 else False)
            self.weights.append(_weights(args[0], args[1], mask, causal, named.get("scale")))
        return func(*args, **named)


def _weights(q: Tensor, k: Tensor, mask: Tensor | None, causal: bool, scale: float | None) -> Tensor:
    k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)  # grouped queries share keys
    score = q.float() @ k.float().transpose(-2, -1) * (scale or q.shape[-1] ** -0.5)
    if causal:
        visible = torch.ones(score.shape[-2:], dtype=torch.bool, device=score.device).tril()
        score = score.masked_fill(~visible, -torch.inf)
    if mask is not None:
        score = score.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else score + mask
    return torch.softmax(score, dim=-1).mean(dim=1)


def rollout(model: Model, masker: Masker, alignment: TextAlignment) -> Array:
    """Compute each feature's share of the attention that reaches the output, (N, P); NaN where a row lacks a feature.

    One forward pass a row. Raises ``MethodUnavailable`` for a network without attention over the row's features.
    """
    device = next(model.parameters()).device
    with eval_mode(model), torch.no_grad(), _Attention() as attention:
        model({name: tensor.to(device) for name, tensor in masker.inputs.items()})
    flow = _flow(attention.weights, len(masker))
    backbone: Any = model.backbone
    if flow.shape[1] > 1:
        attended = attention.weights[-1].sum(dim=1) > 0  # a token that none attends to is padding
        shares = attended.float() / attended.sum(dim=1, keepdim=True)
        if _pools_first_token(backbone):
            shares = torch.zeros_like(shares)
            shares[:, 0] = 1.0
        flow = shares.unsqueeze(1) @ flow
    return _to_features(flow[:, 0].double().cpu().numpy(), backbone, masker, alignment)


def _flow(weights: list[Tensor], rows: int) -> Tensor:
    """Multiply the layers' attention, half of it the residual path, (B, Q, K)."""
    if not weights:
        raise MethodUnavailable("no_attention")
    size = weights[0].shape[-1]
    flow = torch.eye(size, device=weights[0].device).expand(rows, -1, -1)
    for layer in weights:
        if layer.shape[0] != rows or layer.shape[-1] != size or layer.shape[1] not in (1, size):
            raise MethodUnavailable("windowed_attention")
        residual = torch.eye(size, device=layer.device)[: layer.shape[1]]
        flow = (0.5 * layer + 0.5 * residual) @ flow
    return flow


def _pools_first_token(backbone: Any) -> bool:
    pooling = getattr(getattr(backbone, "pooling", None), "kind", None)
    return pooling == "cls" or getattr(getattr(backbone, "network", None), "global_pool", None) == "token"


def _to_features(flow: Array, backbone: Any, masker: Masker, alignment: TextAlignment) -> Array:
    effects = np.where(masker.present(), 0.0, np.nan)
    inputs, layout = masker.inputs, masker.scorer.layout()
    if not isinstance(backbone, TabularTransformer):
        effects[:, : len(masker.columns)] = np.nan  # columns beside the tokens are not attended to
    if isinstance(backbone, TabularTransformer):
        sources = [("numeric", len(layout.numeric)), ("categorical", len(layout.categorical))]
        sources += [("tokens", inputs["tokens"].shape[1])] if "tokens" in inputs else []
    elif "image" in inputs:
        return _over_image(flow, backbone, masker, alignment, effects)
    elif "signal" in inputs:
        return _over_signal(flow, masker, alignment, effects)
    else:
        name = next((n for n in ("events", "tokens", "words") if n in inputs), None)
        if name is None:
            raise MethodUnavailable("tokens_are_not_features")
        sources = [(name, inputs[name].shape[1])]
    place = flow.shape[1] - sum(count for _, count in sources)
    if place not in (0, 1):
        raise MethodUnavailable("tokens_are_not_features")
    for source, count in sources:
        own = flow[:, place : place + count]
        if source == "events":
            start = len(masker.columns)
            effects[:, start : start + masker.history_length] += own[:, :-1]
        else:
            aggregate_to_features(source, False, own, masker, alignment, effects)
        place += count
    return effects


def _over_image(
    flow: Array, backbone: Any, masker: Masker, alignment: TextAlignment, effects: Array
) -> Array:
    """Upsample a grid of patch tokens to the image."""
    network = getattr(backbone, "network", None)
    size = getattr(getattr(network, "patch_embed", None), "grid_size", None)
    first = int(getattr(network, "num_prefix_tokens", 0))
    if size is None or flow.shape[1] != first + size[0] * size[1]:
        raise MethodUnavailable("no_patch_grid")
    grid = torch.from_numpy(flow[:, first:].reshape(len(flow), 1, *size))
    shape = masker.inputs["image"].shape[-2:]
    full = torch.nn.functional.interpolate(grid, size=shape, mode="nearest")
    scale = size[0] * size[1] / (shape[0] * shape[1])
    aggregate_to_features("image", False, full.numpy() * scale, masker, alignment, effects)
    return effects


def _over_signal(flow: Array, masker: Masker, alignment: TextAlignment, effects: Array) -> Array:
    """Upsample tokens over time to the signal's samples."""
    samples = masker.inputs["signal"].shape[-1]
    tokens = flow[:, 1:]
    at = np.arange(samples) * tokens.shape[1] // samples
    full = tokens[:, at] * (tokens.shape[1] / samples)
    aggregate_to_features("signal", False, full[:, None], masker, alignment, effects)
    return effects
