"""Cache the features of frozen layers for the training rows, where that is possible and fits in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from core.backbones.contexts import eval_mode
from core.backbones.feature_cache import frozen_part
from core.data.encoders.storage import DenseRows, StoredRows
from core.training.callbacks import progress
from core.training.section import FeatureCache
from core.training.step import to_device
from core.training.types import StepEvent

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.model import Model
    from core.data.augmentation import Augmentation
    from core.data.encoded_split import EncodedSplit
    from core.training.config import StandardTraining

MIB = 2**20


def cache_frozen_features(
    training: StandardTraining,
    model: Model,
    split: EncodedSplit,
    augmentation: Augmentation | None,
    *,
    show_progress: bool = True,
) -> tuple[EncodedSplit, FeatureCache | None]:
    """Return the split with the features of frozen layers as its inputs; else the split as it is, and why.

    None where every layer is trained: there is nothing to compute once. Each row is computed by itself (no layer of
    a frozen network mixes rows), so a privacy guarantee is unaffected.
    """
    front = frozen_part(model.backbone, model.head)
    if front is None:
        return split, None
    limit = training.feature_cache_mib
    if augmentation is not None:
        return split, FeatureCache(status="augmentation", limit_mib=limit)
    if limit == 0:
        return split, FeatureCache(status="disabled", limit_mib=limit)
    device = next(model.parameters()).device
    size, mib = training.validation_batch_size, 0.0
    features: dict[str, Tensor] = {}
    starts = range(0, len(split), size)
    display = progress(training.progress if show_progress else "none", len(starts), 0, "frozen layers")
    with eval_mode(model), torch.no_grad(), display as callbacks:
        for step, first in enumerate(starts, 1):
            rows = torch.arange(first, min(first + size, len(split)))
            found = front(to_device(split.batch(rows), device, training.channels_last).inputs)
            if not features:
                mib = sum(one[0].numel() * one.element_size() for one in found.values()) * len(split) / MIB
                if mib > limit:
                    return split, FeatureCache(status="too_large", mib=mib, limit_mib=limit)
                features = {
                    name: one.new_empty((len(split), *one.shape[1:])).cpu() for name, one in found.items()
                }
            for name, one in found.items():
                features[name][first : first + size] = one.cpu()
            for callback in callbacks:
                callback.on_step(StepEvent(step, len(rows), None, None))
    columns = {name: DenseRows(one) for name, one in features.items()}
    cached = split.with_inputs(StoredRows(columns, len(split), pad_token_id=0, size=None))
    return cached, FeatureCache(status="cached", mib=mib, limit_mib=limit)
