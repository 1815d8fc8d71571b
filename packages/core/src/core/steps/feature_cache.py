"""Compute what frozen layers give for the training rows once, where that is possible and fits in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from core.backbones.contexts import eval_mode
from core.backbones.feature_cache import frozen_part
from core.data.encoders.storage import DenseRows, StoredRows
from core.training.callbacks import progress
from core.training.types import StepEvent
from core.training.step import to_device

if TYPE_CHECKING:
    from torch import Tensor

    from core.backbones.model import Model
    from core.data.augmentation import Augmentation
    from core.data.encoded_split import EncodedSplit
    from core.training.config import StandardTraining

GIB = 2**30


def cache_frozen_features(
    settings: StandardTraining,
    model: Model,
    part: EncodedSplit,
    augmentation: Augmentation | None,
    *,
    shown: bool = True,
) -> tuple[EncodedSplit, str]:
    """Give the part with its rows behind the frozen layers, and a sentence on it; else the part as it is, and why.

    The sentence is empty where every layer changes in training: there is nothing to compute once. Each row is
    computed by itself (no layer of a frozen network mixes rows), so a promise of privacy is untouched.
    """
    front = frozen_part(model.backbone, model.head)
    if front is None:
        return part, ""
    if augmentation is not None:
        return part, "frozen layers are computed in each step, since augmentation=none is not set"
    if settings.once_gib == 0:
        return part, "frozen layers are computed in each step, as training.once_gib=0 asks"
    device = next(model.parameters()).device
    size = settings.validation_batch_size
    kept: dict[str, Tensor] = {}
    starts = range(0, len(part), size)
    display = progress(settings.progress if shown else "none", len(starts), 0, "frozen layers")
    with eval_mode(model), torch.no_grad(), display as probes:
        for step, first in enumerate(starts, 1):
            rows = torch.arange(first, min(first + size, len(part)))
            found = front(to_device(part.batch(rows), device, settings.channels_last).inputs)
            if not kept:
                gib = sum(one[0].numel() * one.element_size() for one in found.values()) * len(part) / GIB
                if gib > settings.once_gib:
                    return part, (
                        f"frozen layers are computed in each step: all rows' features take {gib:.1f} GiB, "
                        f"training.once_gib={settings.once_gib:g} allows less"
                    )
                kept = {name: one.new_empty((len(part), *one.shape[1:])).cpu() for name, one in found.items()}
            for name, one in found.items():
                kept[name][first : first + size] = one.cpu()
            for probe in probes:
                probe.on_step(StepEvent(step, len(rows), None, None))
    stores = {name: DenseRows(one) for name, one in kept.items()}
    told = f"what frozen layers give was computed once ({gib:.2g} GiB), not in each step"
    return part.with_inputs(StoredRows(stores, len(part), pad_token_id=0, size=None)), told
