"""``data=ashrae``: votes on thermal comfort with the indoor climate (Foldvary Licina et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, TaskConfig, at_least_zero, field, register, split_fractions

if TYPE_CHECKING:
    from pathlib import Path

    from core.data.types import Dataset

CLIMATE = ("ta", "tr", "rh", "vel", "met", "clo", "t_out", "rh_out", "t_mot_isd")
INDICES = ("pmv", "ppd", "set")
PLACE = ("season", "climate", "building_type", "cooling_type")


@register("data", "ashrae", builds="smarthome.sources.ashrae:read")
class Ashrae(DataConfig):
    """Thermal preference (cooler, no change, warmer) of people in buildings; a building is in one set only."""

    path: str = field("smarthome/ashrae_thermal_comfort_db2", "the folder, here or under PLINTH_DATA")
    comfort_indices: bool = field(False, "use the comfort indices PMV, PPD and SET as inputs too")
    validation_fraction: float = field(0.2, "fraction of the votes in the validation set, by building")
    test_fraction: float = field(0.2, "fraction of the votes in the test set, by building")
    max_rows: int = field(0, "votes to keep, whole buildings in random order; 0: all")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right."""
        split_fractions("data", self.validation_fraction, self.test_fraction)
        at_least_zero("data", max_rows=self.max_rows)


def read(config: Ashrae, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set of the votes with a preference."""
    import numpy as np

    from core.config import derive_seed
    from core.data.coercion import to_numbers
    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    folder = resolve_path(config.path)
    votes_path = _find_file(folder, "db_measurements")
    buildings_path = _find_file(folder, "db_metadata")
    table, buildings = read_table(votes_path), read_table(buildings_path)
    columns = ["building_id", "thermal_preference", "gender", "age", "season", *CLIMATE, *INDICES]
    require_columns(table.frame, {"data.path": columns}, votes_path)
    require_columns(buildings.frame, {"data.path": ["building_id", *PLACE[1:]]}, buildings_path)
    frame = table.frame[columns].merge(
        buildings.frame[["building_id", *PLACE[1:]]], on="building_id", how="left"
    )
    has_preference = frame["thermal_preference"].notna()
    frame = frame[has_preference].reset_index(drop=True)
    numeric = (*CLIMATE, *(INDICES if config.comfort_indices else ()))
    for column in numeric:
        frame[column] = to_numbers(frame[column], column)
    frame["building_id"] = "B" + frame["building_id"].astype(str)
    if config.max_rows:
        rng = np.random.default_rng(derive_seed(seed, "ashrae buildings"))
        sizes = frame["building_id"].value_counts()
        order = rng.permutation(np.array(sorted(sizes.index)))
        kept = order[np.cumsum(sizes.loc[order].to_numpy()) <= config.max_rows]
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
        split=SplitPlan(
            by="unit",
            validation_fraction=config.validation_fraction,
            test_fraction=config.test_fraction,
            seed=seed,
        ),
        unit_name="building",
        files={**table.files, **buildings.files},
        notes=[f"{int((~has_preference).sum()):,} votes without a preference were dropped."],
    )


def _find_file(folder: Path, prefix: str) -> Path:
    found = sorted(f for f in folder.glob(f"{prefix}*.csv*"))
    if len(found) != 1:
        raise ValueError(f"{folder}: {len(found)} files named {prefix}*.csv*, exactly one is needed")
    return found[0]
