"""Grams of CO2 equivalent of a kilowatt-hour, by region, from a dated table in the package."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files

from core.config import config_error

SOURCE = "Ember and Energy Institute, by Our World in Data"


@dataclass(frozen=True)
class Grid:
    """The electricity that is used."""

    region: str
    year: int | None
    grams: float
    """g CO2e per kWh"""
    source: str

    def emitted(self, joules: float, pue: float) -> float:
        """Give the grams of CO2e of so many joules at the machine."""
        return joules / 3.6e6 * pue * self.grams


def grid_of(region: str) -> Grid:
    """Find a region in the table, raising ValueError that names those it has."""
    text = files("core.energy").joinpath("grid.csv").read_text(encoding="utf-8")
    rows = {
        row["region"]: row for row in csv.DictReader(line for line in text.splitlines() if line[0] != "#")
    }
    if region not in rows:
        raise config_error(
            "energy.region",
            region,
            f"the table has {', '.join(rows)}; for another give energy.grid_intensity in g CO2e per kWh",
        )
    row = rows[region]
    return Grid(row["name"], int(row["year"]), float(row["grams"]), SOURCE)
