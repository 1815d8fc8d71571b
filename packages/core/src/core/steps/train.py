"""Step 3: train, with checkpoints; the best weights on validation stay in the model."""

from __future__ import annotations

import sys
from typing import Any

from core.config import RunConfig
from core.energy.meter import JOULES_PER_WH, Meter
from core.energy.section import EnergyForecast
from core.energy.training_energy import TrainingEnergy
from core.run.directory import RunDirectory
from core.report.formatting import format_duration, format_si
from core.steps.design import ModelAndData
from core.steps.prepare import PreparedData
from core.training.torchrun_env import sweep_position
from core.training.parallel import ProcessGroup
from core.training.trainer import TrainingResult
from core.training.trainer import train as run_training


def fit(
    config: RunConfig,
    prepared: PreparedData,
    designed: ModelAndData,
    folder: RunDirectory,
    parallel: ProcessGroup,
    meter: Meter,
) -> TrainingResult:
    """Do step 3."""
    shown = parallel.is_main and config.training.progress != "none"
    energy = TrainingEnergy.of(
        config.energy, meter, designed.batches.steps, forecast_line if shown else None
    )
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


def forecast_line(expected: EnergyForecast) -> None:
    """Tell what training will take, as soon as a few steps were seen."""
    print(f"training will take about {_amounts(expected, 1)}", file=sys.stderr)
    place = sweep_position()
    if place is not None and place[1] > place[0]:
        number, of = place
        left = _amounts(expected, of - number + 1)
        print(
            f"this is run {number} of {of}; all that are left will take about {left}, if alike",
            file=sys.stderr,
        )


def _amounts(expected: EnergyForecast, times: int) -> str:
    grams = "" if expected.grams is None else f", {format_si(times * expected.grams, 'g')} CO2e"
    energy = format_si(times * expected.joules / JOULES_PER_WH, "Wh")
    return f"{format_duration(times * expected.seconds)}, {energy}{grams}"
