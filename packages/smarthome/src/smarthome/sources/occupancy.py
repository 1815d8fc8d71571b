"""``data=occupancy``: an office room's sensors, one reading a minute, and whether anyone was there (UCI 357)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, TaskConfig, config_error, field, register
from core.config.validate import one_of

if TYPE_CHECKING:
    from core.data.types import Dataset

CHANGES = (10, 30, 60)
"""Minutes over which a sensor's change is shown."""
DAY = 24 * 60
INPUTS = ("sensors", "sensors_clock", "clock")
TESTS = ("1", "2", "both")
SENSORS = ("Temperature", "Humidity", "CO2", "HumidityRatio")


@register("data", "occupancy", builds="smarthome.sources.occupancy:read")
class Occupancy(DataConfig):
    """Occupancy of a room from temperature, humidity and CO2. ``Light`` gives it away and is left out."""

    path: str = field("smarthome/uci_occupancy", "the folder of the three files, here or under PLINTH_DATA")
    test_set: str = field("both", "test part: 1 (datatest, door mostly closed), 2 (datatest2, mostly open), both")
    inputs: str = field(
        "sensors", "sensors (their changes, and height above the day's lowest), sensors_clock, clock"
    )
    levels: bool = field(False, "also show the sensors' readings themselves, which drift from week to week")
    light: bool = field(False, "also show Light, beside the sensors: then the task is nearly trivial")
    validation_from: str = field("2015-02-09", "readings of the training file from this day on validate")


def read(config: Occupancy, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set: the published files are the parts, the last days of the training file validate."""
    import io

    import pandas as pd

    from core.data.readers.files import decode, decompress, resolve_path, sha256
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    one_of("data.inputs", config.inputs, INPUTS)
    one_of("data.test_set", config.test_set, TESTS)
    if config.light and config.inputs == "clock":
        raise config_error(
            "data.light", True, "Light is never shown without the other sensors; data.inputs=sensors"
        )
    folder = resolve_path(config.path)
    files: dict[str, str] = {}
    frames = []
    for name, part in (("datatraining", "train"), ("datatest", "test"), ("datatest2", "test")):
        if (
            part == "test"
            and config.test_set != "both"
            and name != {"1": "datatest", "2": "datatest2"}[config.test_set]
        ):
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
            # What the room has without anyone drifts from week to week; the day's lowest reading so far follows it.
            frame[f"{column}_above"] = frame[column] - frame[column].rolling(DAY, min_periods=1).min()
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
                "Light is among them, which nearly gives the answer. "
                if config.light
                else "Light is left out. "
            )
            + "In this office the clock alone tells presence nearly as well, so a home with other hours needs a model "
            "without it.",
            f"Readings of the training file from {config.validation_from} on are the validation part.",
        ],
    )
