"""Train a linear probe before the rest (LP-FT), so that a random head's errors do not distort pretrained features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.backbones.adapter_config import LinearProbeFirst
from core.backbones.contexts import freeze_temporarily
from core.config import build, derive_seed
from core.run.steps.feature_cache import cache_frozen_features
from core.training.callbacks import progress
from core.training.config import AdamWConfig, CosineSchedule
from core.training.loop import fit
from core.training.section import LinearProbe
from core.training.setup import shuffled_batches
from core.training.step import ExampleLosses, MeanGradient, TrainStep

if TYPE_CHECKING:
    from core.backbones.model import Model
    from core.config import AdapterConfig
    from core.data.encoded_split import EncodedSplit
    from core.targets.types import Target
    from core.training.config import StandardTraining
    from core.training.parallel import ProcessGroup


def train_linear_probe(
    training: StandardTraining,
    adapter: AdapterConfig,
    model: Model,
    target: Target,
    train: EncodedSplit,
    *,
    seed: int,
    parallel: ProcessGroup,
) -> LinearProbe | None:
    """Train the head for ``adapter.linear_probe_epochs`` on unchanged rows, all else frozen; None where it is 0.

    Linear probing, then fine-tuning (Kumar et al. 2022, arXiv:2202.10054, section 4). A pure function of the seed, so
    that a resumed run comes to the same start.
    """
    if not (isinstance(adapter, LinearProbeFirst) and adapter.linear_probe_epochs):
        return None
    with freeze_temporarily(model.backbone):
        model.train()
        rows, feature_cache = cache_frozen_features(
            training, model, train, None, show_progress=parallel.is_main
        )
        batches = shuffled_batches(training, rows, None, seed, parallel)
        batches.steps = adapter.linear_probe_epochs * batches.steps_per_epoch
        losses = ExampleLosses(
            model,
            target,
            micro_batch_size=training.micro_batch_size,
            channels_last=training.channels_last,
        )
        optimizer = AdamWConfig(lr=adapter.linear_probe_lr, beta2=0.98, weight_decay=0.0)
        step = TrainStep(
            MeanGradient(losses, parallel), build(optimizer, model), build(CosineSchedule(), batches.steps)
        )
        kind = training.progress if parallel.is_main else "none"
        with progress(kind, batches.steps, 0, "linear probe") as display:
            fit(step, batches, seed=derive_seed(seed, "head first"), callbacks=display, parallel=parallel)
    model.train()
    return LinearProbe(steps=batches.steps, feature_cache=feature_cache)
