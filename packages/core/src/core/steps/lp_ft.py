"""Train the head alone before all weights train, so that a fresh head's errors do not spoil loaded features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.backbones.adapter_config import LinearProbeFirst
from core.backbones.contexts import freeze_temporarily
from core.config import RunConfig, config_error, derive_seed
from core.privacy.config import NoPrivacy
from core.steps.feature_cache import cache_frozen_features
from core.training.config import CosineSchedule
from core.training.loop import fit
from core.training.optimizers import adam
from core.training.callbacks import progress
from core.training.step import TrainStep

if TYPE_CHECKING:
    from core.backbones.model import Model
    from core.data.batches import ShuffledBatches
    from core.data.encoded_split import EncodedSplit
    from core.targets.types import Target
    from core.training.parallel import ProcessGroup

BETAS = (0.9, 0.98)


def linear_probe_settings(config: RunConfig) -> LinearProbeFirst | None:
    """Give the adapter's settings where they ask for a head trained first.

    Raises ValueError under a promise of privacy: the head would be trained without noise.
    """
    adapter = config.adapter
    if not (isinstance(adapter, LinearProbeFirst) and adapter.linear_probe_epochs):
        return None
    if not isinstance(config.privacy, NoPrivacy):
        raise config_error(
            "adapter.linear_probe_epochs",
            adapter.linear_probe_epochs,
            "the head would be trained on rows without noise, which breaks what privacy promises; set 0",
        )
    return adapter


def train_linear_probe(
    config: RunConfig,
    model: Model,
    target: Target,
    part: EncodedSplit,
    batches: ShuffledBatches,
    first: LinearProbeFirst,
    parallel: ProcessGroup,
) -> list[str]:
    """Train the head for ``adapter.linear_probe_epochs`` on unchanged rows, all else frozen, and tell of it.

    Linear probing, then fine-tuning (Kumar et al. 2022, arXiv:2202.10054, section 4). A pure function of the seed, so
    that a resumed run comes to the same start.
    """
    settings = config.training
    with freeze_temporarily(model.backbone):
        model.train()
        rows, told = cache_frozen_features(settings, model, part, None, shown=parallel.is_main)
        stream = batches.of(rows, first.linear_probe_epochs * batches.steps_per_epoch)
        update = TrainStep(
            model,
            target,
            adam(model, first.linear_probe_lr, BETAS, 1e-8, 0.0, decoupled=True),
            CosineSchedule().build(stream.steps),
            micro_batch=settings.micro_batch,
            channels_last=settings.channels_last,
            parallel=parallel,
        )
        seed, kind = derive_seed(config.seed, "head first"), settings.progress if parallel.is_main else "none"
        with progress(kind, stream.steps, 0, "head first") as probes:
            fit(update, stream, seed=seed, probes=probes, parallel=parallel)
    model.train()
    return [f"before training, the head alone was trained for {stream.steps:,} steps; {told}".rstrip("; ")]
