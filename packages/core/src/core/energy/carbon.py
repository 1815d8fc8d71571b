"""Carbon intensity of the electricity that is used, and the emissions of an amount of energy."""

from __future__ import annotations

from dataclasses import dataclass

from core.config import EnergyConfig
from core.energy.config import MeasuredEnergy, grid_table

SOURCE = "Ember and Energy Institute, by Our World in Data"


@dataclass(frozen=True)
class Grid:
    """Carbon intensity of a region's electricity, and the power usage effectiveness of the building.

    >>> Grid.of(MeasuredEnergy(region="DE", pue=1.5)).emissions(3.6e6)  # 1 kWh at the machine
    571.5
    """

    region: str
    year: int | None
    """Of the table's value; None where the user gave the intensity."""
    grams_per_kwh: float
    """g CO2e per kWh."""
    source: str
    pue: float = 1.0

    @classmethod
    def of(cls, config: MeasuredEnergy) -> Grid:
        """Return the grid that ``energy.region`` or ``energy.grid_intensity`` names."""
        if config.grid_intensity is not None:
            return cls(config.region, None, config.grid_intensity, "energy.grid_intensity", config.pue)
        row = grid_table()[config.region]
        return cls(row["name"], int(row["year"]), float(row["grams"]), SOURCE, config.pue)

    @classmethod
    def if_measured(cls, config: EnergyConfig) -> Grid | None:
        """Return the grid of ``energy=measured``; None of ``energy=none``."""
        return cls.of(config) if isinstance(config, MeasuredEnergy) else None

    def emissions(self, joules: float) -> float:
        """Return the grams of CO2e of so many joules at the machine."""
        return joules / 3.6e6 * self.pue * self.grams_per_kwh
