"""Step 3: train, with checkpoints; the best weights on validation stay in the model."""

from __future__ import annotations

from core.config import RunConfig
from core.folder import RunFolder
from core.steps.design import Designed
from core.steps.prepare import Prepared
from core.training.parallel import Parallel
from core.training.run import Trained
from core.training.run import train as run_training


def fit(
    config: RunConfig, prepared: Prepared, designed: Designed, folder: RunFolder, parallel: Parallel
) -> Trained:
    """Do step 3."""
    fingerprint = {
        "data": prepared.dataset.files or {"simulated": prepared.dataset.name},
        "rows": {name: len(part) for name, part in prepared.parts.items()},
        "privacy": designed.private.plan.fingerprint() if designed.private else None,
    }
    return run_training(
        config.training,
        designed.model,
        prepared.target,
        designed.batches,
        designed.update,
        prepared.parts["validation"],
        folder.checkpoints,
        fingerprint,
        seed=designed.seed,
        epoch_steps=designed.epoch_steps,
        precision=designed.precision.precision,
        ema=designed.update.ema,
        parallel=parallel,
    )
