"""``data=ashrae``: votes on thermal comfort with the indoor climate (Foldvary Licina et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, TaskConfig, field, register
from core.config.validate import at_least_zero

if TYPE_CHECKING:
    from pathlib import Path

    from core.data.types import Dataset

CLIMATE = ("ta", "tr", "rh", "vel", "met", "clo", "t_out", "rh_out", "t_mot_isd")
INDICES = ("pmv", "ppd", "set")
PLACE = ("season", "climate", "building_type", "cooling_type")


@register("data", "ashrae", builds="smarthome.sources.ashrae:read")
class Ashrae(DataConfig):
    """Thermal preference (cooler, no change, warmer) of people in buildings; buildings never in two parts."""

    path: str = field("smarthome/ashrae_thermal_comfort_db2", "the folder, here or under PLINTH_DATA")
    indices: bool = field(False, "also show the computed comfort indices PMV, PPD and SET")
    validation_fraction: float = field(0.2, "fraction of the votes in the validation set, by building")
    test_fraction: float = field(0.2, "fraction of the votes in the test set, by building")
    most: int = field(0, "votes to keep, whole buildings in random order; 0: all")


def read(config: Ashrae, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set of the votes that state a preference."""
    import numpy as np

    from core.config import derive_seed
    from core.data.coercion import to_numbers
    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    at_least_zero("data", most=config.most)
    folder = resolve_path(config.path)
    votes = _one(folder, "db_measurements")
    places = _one(folder, "db_metadata")
    table, about = read_table(votes), read_table(places)
    columns = ["building_id", "thermal_preference", "gender", "age", "season", *CLIMATE, *INDICES]
    require_columns(table.frame, {"data.path": columns}, votes)
    require_columns(about.frame, {"data.path": ["building_id", *PLACE[1:]]}, places)
    frame = table.frame[columns].merge(about.frame[["building_id", *PLACE[1:]]], on="building_id", how="left")
    answered = frame["thermal_preference"].notna()
    frame = frame[answered].reset_index(drop=True)
    numeric = (*CLIMATE, *(INDICES if config.indices else ()))
    for column in numeric:
        frame[column] = to_numbers(frame[column], column)
    frame["building_id"] = "B" + frame["building_id"].astype(str)
    if config.most:
        rng = np.random.default_rng(derive_seed(seed, "ashrae buildings"))
        sizes = frame["building_id"].value_counts()
        order = rng.permutation(np.array(sorted(sizes.index)))
        kept = order[np.cumsum(sizes.loc[order].to_numpy()) <= config.most]
        frame = frame[frame["building_id"].isin(kept)].reset_index(drop=True)
    return Dataset(
        frame,
        ColumnRoles(
            target=("thermal_preference",),
            numeric=numeric,
            categorical=PLACE,
            sensitive=("gender", "age"),
            unit="building_id",
        ),
        name="ASHRAE thermal comfort II",
        split=SplitPlan(by="unit", validation_fraction=config.validation_fraction, test_fraction=config.test_fraction, seed=seed),
        unit_name="building",
        files={**table.files, **about.files},
        notes=[f"{int((~answered).sum()):,} votes without a preference were left out."],
    )


def _one(folder: Path, start: str) -> Path:
    found = sorted(f for f in folder.glob(f"{start}*.csv*"))
    if len(found) != 1:
        raise ValueError(f"{folder}: {len(found)} files named {start}*.csv*, one is needed")
    return found[0]
