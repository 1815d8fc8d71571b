"""Step 6: the energy and carbon footprint of the run, phase by phase, and of each prediction."""

from __future__ import annotations

from core.energy.carbon import Grid
from core.energy.meter import EnergyUsage, Meter
from core.energy.section import (
    Carbon,
    EnergySection,
    EnergyUse,
    PredictionEnergy,
)
from core.run.state import Footprint, RunState
from core.run.steps.benchmark import benchmark
from core.training.parallel import ProcessGroup


def all_reduce_meter(meter: Meter, parallel: ProcessGroup) -> None:
    """Add to each phase so far what the other processes of this run used in it, each once."""
    if parallel.world == 1:
        return
    for name, own in list(meter.phases.items()):
        others = {
            component: parallel.reduce_sum(round(1e3 * joules)) / 1e3 - joules
            for component, joules in own.joules.items()
        }
        seconds = parallel.reduce_sum(round(1e3 * own.processor_seconds)) / 1e3 - own.processor_seconds
        meter.add(name, EnergyUsage(0.0, seconds, others))


def measure_footprint(state: RunState) -> Footprint:
    """Carry out step 6."""
    performance = benchmark(state)
    phases = {name: usage.section() for name, usage in state.meter.phases.items()}
    grid = Grid.if_measured(state.config.energy)
    if grid is None:
        return Footprint(phases, performance, None)
    rows = sum(len(state.data.splits[name]) for name in ("validation", "test"))
    section = energy_section(state.meter, grid, phases, rows)
    section.forecast = state.trained.findings.get("energy_forecast")
    section.budget_wh = getattr(state.config.energy, "budget_wh", 0.0) or None
    return Footprint(phases, performance, section)


def energy_section(
    meter: Meter, grid: Grid, phases: dict[str, EnergyUse], predicted_rows: int
) -> EnergySection:
    """Return the record's ``energy``; ``predicted_rows`` were predicted in the phase ``predict``."""
    used = meter.used
    joules = used.total
    uncertainty = sum(used.joules[s.component] * s.relative_uncertainty for s in meter.sources)
    measured = sum(used.joules[s.component] for s in meter.sources if s.measured)
    relative = uncertainty / joules if joules else 0.0
    each = meter.phases["predict"].total / predicted_rows
    return EnergySection(
        joules=joules,
        low=joules - uncertainty,
        high=joules + uncertainty,
        measured_share=measured / joules if joules else 0.0,
        phases=phases,
        sources=meter.source_sections(),
        per_prediction=PredictionEnergy(
            joules=each, rows=predicted_rows, low=each * (1 - relative), high=each * (1 + relative)
        ),
        carbon=Carbon(
            grams=grid.emissions(joules),
            grams_per_kwh=grid.grams_per_kwh,
            region=grid.region,
            year=grid.year,
            source=grid.source,
            pue=grid.pue,
        ),
    )
