"""``data=occupancy``: an office room's sensors, one reading a minute, and the occupancy (UCI 357)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, TaskConfig, config_error, field, register
from core.config.validate import one_of

if TYPE_CHECKING:
    from core.data.types import Dataset

CHANGES = (10, 30, 60)
"""Minutes over which changes of sensors are computed."""
MINUTES_PER_DAY = 24 * 60
INPUTS = ("sensors", "sensors_clock", "clock")
TEST_SETS = ("1", "2", "both")
SENSORS = ("Temperature", "Humidity", "CO2", "HumidityRatio")


@register("data", "occupancy", builds="smarthome.sources.occupancy:read")
class Occupancy(DataConfig):
    """Occupancy of a room from temperature, humidity and CO2. ``Light`` nearly reveals it and is not used."""

    path: str = field("smarthome/uci_occupancy", "the folder of the three files, here or under PLINTH_DATA")
    test_set: str = field(
        "both", "test set: 1 (datatest, door mostly closed), 2 (datatest2, mostly open), both"
    )
    inputs: str = field(
        "sensors", "sensors (changes, and differences from the day's minimum), sensors_clock, clock"
    )
    levels: bool = field(False, "use the sensors' readings themselves too, which drift from week to week")
    light: bool = field(False, "use Light beside the sensors too, which makes the task nearly trivial")
    validation_from: str = field("2015-02-09", "the validation set starts with this day of the training file")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right."""
        one_of("data.inputs", self.inputs, INPUTS)
        one_of("data.test_set", self.test_set, TEST_SETS)
        if self.light and self.inputs == "clock":
            raise config_error(
                "data.light", True, "Light is never used without the other sensors; set data.inputs=sensors"
            )


def read(config: Occupancy, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set: the published files, with the last days of the training file as the validation set."""
    import io

    import pandas as pd

    from core.data.readers.files import decode, decompress, resolve_path, sha256
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    folder = resolve_path(config.path)
    files: dict[str, str] = {}
    names = {"1": ("datatest",), "2": ("datatest2",), "both": ("datatest", "datatest2")}[config.test_set]
    frames = []
    for name, part in (("datatraining", "train"), ("datatest", "test"), ("datatest2", "test")):
        if name not in ("datatraining", *names):
            continue
        path = next((folder / f for f in (f"{name}.txt", f"{name}.txt.gz") if (folder / f).is_file()), None)
        if path is None:
            raise ValueError(f"data.path={config.path}: no {name}.txt or {name}.txt.gz in this folder")
        _, data = decompress(path)
        text, _ = decode(path, data, "auto")
        frame = pd.read_csv(
            io.StringIO(text)
        )  # its header does not name the row number that lines begin with
        require_columns(frame, {"data.path": ["date", *SENSORS, "Light", "Occupancy"]}, path)
        frame = frame[["date", *SENSORS, "Light", "Occupancy"]].copy()
        frame["date"] = pd.to_datetime(frame["date"])
        frame = frame.sort_values("date", ignore_index=True)
        for column in SENSORS:
            for minutes in CHANGES:
                frame[f"{column}_{minutes}_min"] = frame[column] - frame[column].shift(minutes)
            # The baseline of the empty room drifts from week to week; the minimum of the last 24 hours follows it.
            frame[f"{column}_above"] = (
                frame[column] - frame[column].rolling(MINUTES_PER_DAY, min_periods=1).min()
            )
        frame["part"] = part
        if part == "train":
            frame.loc[frame["date"] >= pd.Timestamp(config.validation_from), "part"] = "validation"
        frame["day"] = name + " " + frame["date"].dt.strftime("%Y-%m-%d")
        files[path.name] = sha256(path)
        frames.append(frame)
    frame = pd.concat(frames, ignore_index=True)
    minute = frame["date"].dt.hour * 60 + frame["date"].dt.minute
    frame["hour"] = minute / 60.0
    frame["weekday"] = frame["date"].dt.day_name()
    numeric: list[str] = []
    if config.inputs != "clock":
        numeric += [f"{c}_{minutes}_min" for c in SENSORS for minutes in CHANGES]
        numeric += [f"{c}_above" for c in SENSORS]
        numeric += SENSORS if config.levels else ()
    if config.inputs != "sensors":
        numeric += ["hour"]
    if config.light:
        numeric += ["Light"]
    return Dataset(
        frame,
        ColumnRoles(
            target=("Occupancy",),
            numeric=tuple(numeric),
            categorical=() if config.inputs == "sensors" else ("weekday",),
            unit="day",
            time="date",
        ),
        name="UCI occupancy detection",
        split=SplitPlan(by="column", column="part"),
        unit_name="day",
        files=files,
        notes=[
            f"Inputs: {', '.join(numeric)}{'' if config.inputs == 'sensors' else ', weekday'}. "
            + (
                "Light is among them, which nearly reveals the target. "
                if config.light
                else "Light is not used. "
            )
            + "In this office the clock alone predicts occupancy nearly as well, so a home with other hours needs a "
            "model without it.",
            f"Readings of the training file from {config.validation_from} on are the validation set.",
        ],
    )
