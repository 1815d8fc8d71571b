"""Step 6: account for the footprint of the run, phase by phase, and of each prediction."""

from __future__ import annotations

from typing import Any

from core.config import RunConfig
from core.energy.meter import JOULES_PER_WH, Meter, Reading
from core.report.formatting import format_duration, format_si
from core.steps.design import Designed
from core.steps.evaluate import Judged
from core.steps.benchmark import perform
from core.steps.prepare import Prepared
from core.training.parallel import Parallel
from core.training.trainer import Trained


def of_all(meter: Meter, parallel: Parallel) -> None:
    """Add to each phase so far what the other processes of this run used in it, each once."""
    if parallel.world == 1:
        return
    for name, own in list(meter.phases.items()):
        others = {
            component: parallel.total(round(1e3 * joules)) / 1e3 - joules
            for component, joules in own.joules.items()
        }
        seconds = parallel.total(round(1e3 * own.processor_seconds)) / 1e3 - own.processor_seconds
        meter.add(name, Reading(0.0, seconds, others))


def account(
    config: RunConfig,
    meter: Meter,
    prepared: Prepared,
    designed: Designed,
    trained: Trained,
    judged: Judged,
) -> dict[str, Any]:
    """Give what each phase took, for the record: time always, energy where it was measured."""
    performance = perform(meter, prepared, designed, trained, judged)
    phases = {name: reading.json() for name, reading in meter.phases.items()}
    if not meter.sources:
        return {"phases": phases, "performance": performance, "energy": None}
    total, grid = meter.used, config.energy.grid()
    band = sum(total.joules[s.component] * s.band for s in meter.sources)
    grams = grid.emitted(total.total, config.energy.pue)
    rows = sum(len(prepared.parts[name]) for name in ("validation", "test"))
    each = meter.phases["predict"].total / rows
    measured = sum(total.joules[s.component] for s in meter.sources if s.measured)
    share = measured / total.total if total.total else 0.0
    told = (
        "measured by counters"
        if share > 0.99
        else "modelled"
        if share < 0.01
        else f"{share:.0%} of it measured"
    )
    energy = {
        "headline": format_si(total.total / JOULES_PER_WH, "Wh"),
        "detail": (
            f"{told[0].upper()}{told[1:]}, give or take {band / total.total:.0%}; "
            f"{format_si(grams, 'g')} CO2e with the electricity of {grid.region}; "
            f"{format_si(each, 'J')} a prediction; training took {format_duration(meter.phases['train'].seconds)}."
        ),
        "joules": total.total,
        "low": total.total - band,
        "high": total.total + band,
        "measured_share": share,
        "phases": phases,
        "sources": [
            {"component": s.component, "method": s.method, "measured": s.measured, "band": s.band,
             "joules": total.joules[s.component]}
            for s in meter.sources
        ],
        "per_prediction": {"joules": each, "rows": rows, "low": each * (1 - band / total.total),
                           "high": each * (1 + band / total.total)},
        "carbon": {
            "grams": grams,
            "grams_per_kwh": grid.grams,
            "region": grid.region,
            "year": grid.year,
            "source": grid.source,
            "pue": config.energy.pue,
        },
        "forecast": trained.findings.get("energy_forecast"),
        "budget_wh": config.energy.budget_wh or None,
    }  # fmt: skip
    return {"phases": phases, "performance": performance, "energy": energy}
