"""Step 3: train, with checkpoints; the best weights on validation stay in the model."""

from __future__ import annotations

import sys
from typing import Any

from core.config import RunConfig
from core.energy.meter import JOULES_PER_WH, Meter
from core.folder import RunFolder
from core.report.wording import duration, plainly
from core.steps.design import Designed
from core.steps.prepare import Prepared
from core.training.parallel import Parallel
from core.training.run import Trained
from core.training.run import train as run_training


def fit(
    config: RunConfig,
    prepared: Prepared,
    designed: Designed,
    folder: RunFolder,
    parallel: Parallel,
    meter: Meter,
) -> Trained:
    """Do step 3."""
    shown = parallel.main and config.training.progress != "none"
    energy = config.energy.watch(meter, designed.batches.steps, forecast_line if shown else None)
    fingerprint = {
        "data": prepared.dataset.files or {"simulated": prepared.dataset.name},
        "rows": {name: len(part) for name, part in prepared.parts.items()},
        "privacy": designed.private.plan.fingerprint() if designed.private else None,
    }
    trained = run_training(
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
        probes=[energy],
        stops=[energy],
        parallel=parallel,
    )
    meter.add("train", energy.before)
    return trained


def forecast_line(expected: dict[str, Any]) -> None:
    """Tell what training will take, as soon as a few steps were seen."""
    grams = "" if expected["grams"] is None else f", {plainly(expected['grams'], 'g')} CO2e"
    energy = plainly(expected["joules"] / JOULES_PER_WH, "Wh")
    print(f"training will take about {duration(expected['seconds'])}, {energy}{grams}", file=sys.stderr)
