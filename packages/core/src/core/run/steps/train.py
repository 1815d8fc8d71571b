"""Step 3: train, with checkpoints; the best weights on validation stay in the model."""

from __future__ import annotations

import logging

from core.energy.meter import JOULES_PER_WH
from core.energy.section import EnergyForecast
from core.energy.training_energy import TrainingEnergy
from core.report.formatting import format_duration, format_si
from core.run.state import RunState
from core.training.torchrun_env import sweep_position
from core.training.trainer import TrainingResult, run_validator, train

log = logging.getLogger(__name__)


def train_model(state: RunState) -> TrainingResult:
    """Do step 3."""
    training = state.training
    shown = state.processes.is_main and training.progress != "none"
    energy = TrainingEnergy.of(
        state.config.energy, state.meter, state.design.setup.batches.steps, log_forecast if shown else None
    )
    fingerprint = {
        "data": state.data.dataset.files or {"simulated": state.data.dataset.name},
        "rows": {name: len(part) for name, part in state.data.splits.items()},
        "privacy": state.design.setup.guarantee.fingerprint(),
    }
    result = train(
        training,
        state.design.setup,
        run_validator(
            training, state.design.setup, state.data.target, state.data.splits["validation"], state.processes
        ),
        state.directory.checkpoints,
        fingerprint,
        callbacks=[energy],
        stopping=[energy],
        parallel=state.processes,
    )
    state.meter.add("train", energy.before)
    return result


def log_forecast(expected: EnergyForecast) -> None:
    """Log what training will take, as soon as a few steps were measured."""
    log.info("training will take about %s", _amounts(expected, 1))
    position = sweep_position()
    if position is not None and position[1] > position[0]:
        number, of = position
        left = _amounts(expected, of - number + 1)
        log.info("this is run %d of %d; all that are left will take about %s, if alike", number, of, left)


def _amounts(expected: EnergyForecast, times: int) -> str:
    grams = "" if expected.grams is None else f", {format_si(times * expected.grams, 'g')} CO2e"
    energy = format_si(times * expected.joules / JOULES_PER_WH, "Wh")
    return f"{format_duration(times * expected.seconds)}, {energy}{grams}"
