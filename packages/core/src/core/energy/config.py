"""The options of ``energy=``. Imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import EnergyConfig, config_error, field, register
from core.config.validate import at_least_zero

if TYPE_CHECKING:
    from core.energy.carbon import Grid
    from core.energy.meter import Meter
    from core.energy.sources import Source
    from core.energy.training_energy import Say, TrainingEnergy


@register("energy", "meter")
class MeterOption(EnergyConfig):
    """Measure the run's energy, from counters where there are any and by a model of the processor where not."""

    region: str = field(
        "world", "whose electricity it is: world, or a country such as DE (dated table, offline)"
    )
    grid_intensity: float | None = field(None, "g CO2e per kWh, instead of the region's")
    pue: float = field(
        1.0, "power usage effectiveness of the building: all power over the machines' (1: no cooling)"
    )
    watts_per_core: float | None = field(
        None,
        "power of one busy processor core, where no counter can be read; null: 12 W, give or take a half",
    )
    budget_wh: float = field(
        0.0, "end training at so many watt-hours, its best weights kept; 0 sets no limit"
    )

    def check(self) -> None:
        """Refuse values that can't be, naming the key."""
        if self.pue < 1:
            raise config_error(
                "energy.pue", self.pue, "1 at least: a building can't use less than its machines"
            )
        at_least_zero("energy", budget_wh=self.budget_wh)
        for key in ("grid_intensity", "watts_per_core"):
            value = getattr(self, key)
            if value is not None:
                at_least_zero("energy", **{key: value})
        self.grid()

    def grid(self) -> Grid:
        """Give the electricity's carbon intensity and where it is from."""
        from core.energy.carbon import Grid, grid_of

        if self.grid_intensity is not None:
            return Grid(self.region, None, self.grid_intensity, "energy.grid_intensity")
        return grid_of(self.region)

    def watch(self, meter: Meter, steps: int, say: Say | None) -> TrainingEnergy:
        """Watch the energy of a training of so many steps."""
        from core.energy.training_energy import TrainingEnergy

        return TrainingEnergy(meter, steps, self.budget_wh, self.grid(), self.pue, say)

    def meter(self) -> Meter:
        """Start a meter of this process."""
        from core.energy.meter import Meter

        return Meter(self.sources())

    def sources(self) -> list[Source]:
        """Find what this machine can be measured by."""
        from core.energy.sources import found

        return found(self.watts_per_core)


@register("energy", "none")
class NoMeter(EnergyConfig):
    """Measure no energy; time by phase stays in the record."""

    budget_wh: float = field(0.0, "there is nothing to compare a budget with; leave it at 0")

    def check(self) -> None:
        """Refuse a budget that nobody could keep."""
        if self.budget_wh:
            raise config_error(
                "energy.budget_wh", self.budget_wh, "energy=none measures nothing; use energy=meter"
            )

    def watch(self, meter: Meter, steps: int, say: Say | None) -> TrainingEnergy:
        """Watch the time of a training, which a resumed run adds up."""
        from core.energy.training_energy import TrainingEnergy

        return TrainingEnergy(meter, steps, 0.0, None, 1.0, say)

    def meter(self) -> Meter:
        """Start a meter that only times."""
        from core.energy.meter import Meter

        return Meter([])
