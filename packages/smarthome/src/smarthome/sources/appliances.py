"""``data=appliances``: the electricity of a house's appliances ten minutes ahead (Candanedo et al. 2017, UCI 374)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, TaskConfig, config_error, field, register, split_fractions

if TYPE_CHECKING:
    from core.data.types import Dataset

LAGS = (1, 2, 3, 6, 12, 143)
"""Lags of consumption in steps of ten minutes, beside the present one; 143 is the same time yesterday."""


@register("data", "appliances", builds="smarthome.sources.appliances:read")
class Appliances(DataConfig):
    """Consumption of the next ten minutes from the present and past readings; split by time."""

    path: str = field(
        "smarthome/uci_appliances_energy/energydata_complete.csv.xz", "the table, here or under PLINTH_DATA"
    )
    horizon: int = field(1, "forecast horizon in steps of ten minutes")
    validation_fraction: float = field(0.15, "fraction of the time in the validation set, before the test")
    test_fraction: float = field(0.2, "fraction of the time in the test set, the latest")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right."""
        split_fractions("data", self.validation_fraction, self.test_fraction)
        if self.horizon < 1:
            raise config_error("data.horizon", self.horizon, "1 or more: the present value is an input")


def read(config: Appliances, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set; without the two random columns of the publication."""
    import pandas as pd

    from core.data.coercion import to_numbers
    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    path = resolve_path(config.path)
    table = read_table(path)
    require_columns(table.frame, {"data.path": ["date", "Appliances", "lights", "T1", "T_out"]}, path)
    frame = table.frame.drop(columns=[c for c in ("rv1", "rv2") if c in table.frame])
    frame["date"] = pd.to_datetime(frame["date"])
    frame = frame.sort_values("date", ignore_index=True)
    sensors = [c for c in frame.columns if c != "date"]
    for column in sensors:
        frame[column] = to_numbers(frame[column], column)
    lagged = {f"before_{10 * n}_min": frame["Appliances"].shift(n) for n in LAGS}
    recent = {
        "mean_hour": frame["Appliances"].rolling(6).mean(),
        "largest_hour": frame["Appliances"].rolling(6).max(),
        "deviation_hour": frame["Appliances"].rolling(6).std(),
        "change": frame["Appliances"].diff(),
    }
    hour = (frame["date"].dt.hour * 60 + frame["date"].dt.minute) / 60.0
    frame = frame.assign(**lagged, **recent, hour=hour, weekday=frame["date"].dt.day_name())
    frame["next"] = frame["Appliances"].shift(-config.horizon)
    frame["day"] = frame["date"].dt.strftime("%Y-%m-%d")
    frame = frame[frame["next"].notna()].reset_index(drop=True)
    return Dataset(
        frame,
        ColumnRoles(
            target=("next",),
            numeric=(*sensors, *lagged, *recent, "hour"),
            categorical=("weekday",),
            unit="day",
            time="date",
        ),
        name="UCI appliances energy",
        split=SplitPlan(
            by="time", validation_fraction=config.validation_fraction, test_fraction=config.test_fraction
        ),
        unit_name="day",
        files=table.files,
        notes=[
            *table.notes,
            f"The target is the consumption (Wh) {10 * config.horizon} minutes after each row; rows are split by time.",
        ],
    )
