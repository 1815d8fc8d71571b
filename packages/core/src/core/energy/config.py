"""The options of ``energy=``. Imports no torch."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

from core.config import EnergyConfig, config_error, field, register
from core.config.validate import at_least_zero


@cache
def grid_table() -> dict[str, dict[str, str]]:
    """Return the package's dated table of electricity grids: region -> name, year, grams (g CO2e per kWh).

    >>> grid_table()["DE"]["name"], grid_table()["DE"]["year"]
    ('Germany', '2023')
    """
    text = files("core.energy").joinpath("grid.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return {row["region"]: row for row in rows}


@register("energy", "measured", builds="core.energy.meter:Meter.of_machine")
class MeasuredEnergy(EnergyConfig):
    """Measure the run's energy, from hardware counters where there are any, else by a power model of the processor."""

    region: str = field(
        "world", "whose electricity it is: world, or a country such as DE (dated table, offline)"
    )
    grid_intensity: float | None = field(None, "g CO2e per kWh, instead of the region's")
    pue: float = field(
        1.0, "power usage effectiveness of the building: all power over the machines' (1: no cooling)"
    )
    watts_per_core: float | None = field(
        None, "power of one busy processor core, where no counter can be read; null: 12 W, +/- 50 %"
    )
    budget_wh: float = field(
        0.0, "end training at so many watt-hours, its best weights kept; 0 sets no limit"
    )

    def __post_init__(self) -> None:
        if self.pue < 1:
            raise config_error(
                "energy.pue", self.pue, "1 at least: a building can't use less than its machines"
            )
        at_least_zero("energy", budget_wh=self.budget_wh)
        for key in ("grid_intensity", "watts_per_core"):
            value = getattr(self, key)
            if value is not None:
                at_least_zero("energy", **{key: value})
        if self.grid_intensity is None and self.region not in grid_table():
            raise config_error(
                "energy.region",
                self.region,
                f"the table has {', '.join(grid_table())}; for another give energy.grid_intensity in g CO2e per kWh",
            )


@register("energy", "none", builds="core.energy.meter:Meter.time_only")
class NoEnergy(EnergyConfig):
    """Measure no energy; time by phase stays in the record."""

    budget_wh: float = field(0.0, "only energy=measured can keep a budget: leave it at 0")

    def __post_init__(self) -> None:
        if self.budget_wh:
            raise config_error(
                "energy.budget_wh", self.budget_wh, "energy=none measures nothing; use energy=measured"
            )
