"""Planted faults are found, named and told apart; sound data passes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.data.checks.dataset_checks import check_dataset
from core.data.checks.split_checks import check_splits
from core.data.splits import split
from core.data.types import ColumnRoles, Dataset, SplitPlan
from core.privacy.config import DifferentialPrivacy, NoPrivacy, validate_data


def _dataset(rows: int = 300, **roles: object) -> Dataset:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=rows),
            "z": rng.normal(size=rows),
            "ward": rng.choice(["A", "B"], rows),
            "sex": rng.choice(["F", "M"], rows),
            "who": rng.integers(0, 80, rows),
            "y": rng.choice(["no", "yes"], rows),
        },
        index=pd.RangeIndex(1, rows + 1),
    )
    roles = ColumnRoles(("y",), ("x", "z"), ("ward",), sensitive=("sex",), unit="who").with_(roles)
    return Dataset(frame, roles, "planted", unit_name="patient")


def _checks(dataset: Dataset) -> list[str]:
    return [f.check for f in check_dataset(dataset) if f.level == "warning"]


def test_sound_data_passes() -> None:
    dataset = _dataset()
    assert check_dataset(dataset) == []
    assert check_splits(dataset, split(dataset)) == []


def test_all_errors_come_in_one_message() -> None:
    dataset = _dataset()
    dataset.frame["x"] = dataset.frame["x"].astype(object)
    dataset.frame.loc[5, "x"] = "high"
    dataset.frame.loc[9, "z"] = np.inf
    dataset.frame.loc[[2, 3], "y"] = None
    with pytest.raises(ValueError, match="planted: ") as told:
        check_dataset(dataset)
    message = str(told.value)
    assert "the target 'y' is empty in rows 2, 3" in message
    assert "drop_unlabeled=true" in message
    assert "column 'x' holds numbers but 'high' in row 5" in message
    assert "column 'z' is infinite in row 9" in message


def test_missing_columns_are_named_with_their_role() -> None:
    dataset = _dataset(sensitive=("gender",), unit="patient", target=("outcome",))
    with pytest.raises(
        ValueError, match=r"target column 'outcome'.*sensitive column 'gender'.*unit column 'patient'"
    ):
        check_dataset(dataset)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("y", "no", "the target 'y' is 'no' in every row"),
        ("y", [f"n{i}" for i in range(300)], "the target 'y' is different in every row"),
        ("sex", [f"n{i}" for i in range(300)], "the sensitive column 'sex' is different in every row"),
        ("sex", None, "the sensitive column 'sex' is empty in every row"),
        ("who", 1, "the unit column 'who' has 1 values"),
        (
            "y",
            ["rare"] * 2 + ["no", "yes"] * 149,
            r"too rare to be in all three splits: 'rare' \(2 patients\)",
        ),
    ],
)
def test_columns_that_cannot_be_used_are_refused(column: str, value: object, message: str) -> None:
    dataset = _dataset()
    dataset.frame[column] = value
    with pytest.raises(ValueError, match=message):
        check_dataset(dataset)


def test_a_class_is_rare_by_units_not_rows() -> None:
    dataset = _dataset()
    dataset.frame.loc[1:40, "y"] = "rare"
    dataset.frame.loc[1:40, "who"] = 1000
    with pytest.raises(ValueError, match=r"'rare' \(1 patient\)"):
        check_dataset(dataset)


def test_warnings_do_not_stop_the_run() -> None:
    dataset = _dataset()
    dataset.frame["sex"] = "F"
    dataset.frame["z"] = 3.0
    dataset.frame["ward"] = [f"w{i}" for i in range(300)]
    assert _checks(dataset) == ["constant", "identifier", "group"]


@pytest.mark.parametrize("disguise", ["same", "renamed", "number"])
def test_a_feature_that_is_the_target_is_refused(disguise: str) -> None:
    dataset = _dataset()
    y = dataset.frame["y"]
    if disguise == "number":
        dataset.frame["z"] = y.map({"no": 7.0, "yes": 3.0})
    else:
        dataset.frame["ward"] = y if disguise == "same" else y.map({"no": "left", "yes": "right"})
    with pytest.raises(ValueError, match="equals the target 'y', or maps to it one to one"):
        check_dataset(dataset)


def test_a_quantity_in_other_units_is_the_target_too() -> None:
    dataset = _dataset()
    dataset.frame["y"] = dataset.frame["x"] * 2.5 + 1
    with pytest.raises(ValueError, match="the input 'x' equals the target 'y'"):
        check_dataset(dataset)


def test_a_near_perfect_feature_is_warned_of() -> None:
    dataset = _dataset()
    rng = np.random.default_rng(1)
    wrong = rng.random(300) < 0.01
    dataset.frame["ward"] = np.where(
        (dataset.frame["y"] == "yes") ^ wrong, "left", rng.choice(["up", "down"], 300)
    )
    dataset.frame["z"] = (dataset.frame["y"] == "yes") * 6 + rng.normal(size=300)
    assert _checks(dataset) == ["near-perfect feature", "near-perfect feature"]


def test_a_frequent_identifier_is_no_leak() -> None:
    dataset = _dataset()
    dataset.frame["ward"] = [f"w{i // 2}" for i in range(300)]
    assert "near-perfect feature" not in _checks(dataset), "a category's own row must not speak for it"


def test_a_unit_in_two_splits_is_found() -> None:
    dataset = _dataset()
    rows = split(dataset)
    moved = rows["test"][:1]
    rows["train"] = np.concatenate([rows["train"], moved])
    rows["test"] = rows["test"][1:]
    name = dataset.frame["who"].iloc[moved[0]]
    if not (dataset.frame["who"].iloc[rows["test"]] == name).any():
        rows["test"] = np.concatenate([rows["test"], moved])
    with pytest.raises(ValueError, match=rf"patients are in the train and the test set \(who: {name}\)"):
        check_splits(dataset, rows)


def test_the_same_row_in_two_splits_is_found_also_with_text() -> None:
    dataset = _dataset(unit=None)
    frame = dataset.frame
    frame["part"] = np.repeat(["train", "validation", "test"], 100)
    dataset.split = SplitPlan("column", "part")
    columns = ["x", "z", "ward"]
    frame.loc[frame.index[200:210], columns] = frame.loc[frame.index[:10], columns].to_numpy()
    with pytest.raises(ValueError, match=r"10 of 100 test rows .* in train or validation \(rows 201, 202"):
        check_splits(dataset, split(dataset))
    text = _dataset(unit=None, numeric=(), categorical=(), text=("note",))
    text.frame["note"] = [f"note number {i}" for i in range(300)]
    text.frame["part"] = frame["part"]
    text.split = dataset.split
    text.frame.loc[101, "note"] = " note  number 3 "
    [finding] = check_splits(text, split(text))
    assert (finding.level, finding.check) == ("warning", "same row")
    text.frame.loc[102:120, "note"] = "note number 3"
    with pytest.raises(ValueError, match="20 of 100 validation rows"):
        check_splits(text, split(text))


def test_coarse_tables_repeat_by_chance_and_pass() -> None:
    dataset = _dataset(numeric=(), unit=None)
    dataset.frame["part"] = np.tile(["train", "validation", "test"], 100)
    dataset.split = SplitPlan("column", "part")
    assert {f.level for f in check_splits(dataset, split(dataset))} == {"note"}


def test_classes_that_a_split_lacks_are_found() -> None:
    dataset = _dataset(unit=None)
    dataset.frame["part"] = np.repeat(["train", "validation", "test"], 100)
    dataset.split = SplitPlan("column", "part")
    dataset.frame.loc[dataset.frame["part"] == "test", "y"] = "no"
    [finding] = check_splits(dataset, split(dataset))
    assert finding.check == "absent class"
    dataset.frame.loc[300, "y"] = "new"
    with pytest.raises(ValueError, match="the test set has classes that the training set lacks: 'new'"):
        check_splits(dataset, split(dataset))


def test_conflicting_rows_are_counted() -> None:
    dataset = _dataset()
    dataset.frame.loc[[1, 2], ["x", "z"]] = 0.5
    dataset.frame.loc[[1, 2], "ward"] = "A"
    dataset.frame.loc[[1, 2], "y"] = ["no", "yes"]
    [finding] = check_dataset(dataset)
    assert finding.message.startswith("2 rows have the inputs of another row")


def test_image_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    dataset = _dataset(image="file")
    dataset.frame["file"] = [str(tmp_path / f"{i}.png") for i in range(300)]
    for i in range(300):
        if i != 4:
            (tmp_path / f"{i}.png").write_bytes(bytes([i % 256]) * (i + 1))
    with pytest.raises(ValueError, match=r"1 image files are not there \(row 5; first .*4\.png\)"):
        check_dataset(dataset)


def test_copies_of_an_image_file_are_the_same_row(tmp_path: Path) -> None:
    dataset = _dataset(image="file", numeric=(), categorical=(), unit=None)
    dataset.frame["part"] = np.repeat(["train", "validation", "test"], 100)
    dataset.split = SplitPlan("column", "part")
    for i in range(300):
        (tmp_path / f"{i}.png").write_bytes(str(i % 250).encode())
    dataset.frame["file"] = [str(tmp_path / f"{i}.png") for i in range(300)]
    with pytest.raises(ValueError, match="50 of 100 test rows"):
        check_splits(dataset, split(dataset))


def test_text_among_numbers_and_a_rare_class_come_together() -> None:
    dataset = _dataset()
    dataset.frame["x"] = dataset.frame["x"].astype(object)
    dataset.frame.loc[5, "x"] = "high"
    dataset.frame.loc[1, "y"] = "rare"
    with pytest.raises(ValueError, match=r"'high' in row 5.*'rare' \(1 patient\)"):
        check_dataset(dataset)


def test_images_in_the_hub_layout_are_compared_by_their_bytes() -> None:
    dataset = _dataset(image="image", numeric=(), categorical=(), unit=None)
    dataset.frame["image"] = [{"bytes": str(i % 250).encode(), "path": None} for i in range(300)]
    dataset.frame["part"] = np.repeat(["train", "validation", "test"], 100)
    dataset.split = SplitPlan("column", "part")
    check_dataset(dataset)
    with pytest.raises(ValueError, match="50 of 100 test rows"):
        check_splits(dataset, split(dataset))


def test_a_unit_may_come_again_in_splits_that_follow_in_time_only_where_the_plan_says_so() -> None:
    dataset = _dataset()
    dataset.frame["part"] = np.repeat(["train", "validation", "test"], 100)
    dataset.split = SplitPlan("column", "part")
    with pytest.raises(ValueError, match="patients are in the train and the validation set"):
        check_splits(dataset, split(dataset))
    dataset.split = SplitPlan("column", "part", disjoint_entities=False)
    found = check_splits(dataset, split(dataset))
    assert {(f.level, f.check) for f in found} == {("note", "same unit")}


@pytest.mark.parametrize("by_time", [False, True])
def test_a_protected_unit_in_two_splits_is_refused_without_its_name(by_time: bool) -> None:
    dataset = _dataset()
    dataset.frame["who"] = [f"Zebrowski-{i}" for i in dataset.frame["who"]]
    if by_time:
        dataset = replace(dataset, split=SplitPlan(by="time", disjoint_entities=False))
    rows = {"train": np.arange(200), "validation": np.arange(200, 250), "test": np.arange(250, 300)}
    with pytest.raises(
        ValueError, match=r"\d+ patients are in the train and the validation set: privacy=dp"
    ) as told:
        check_splits(dataset, rows, "refused")
    assert "Zebrowski" not in str(told.value)
    assert "data.disjoint_entities=true" in str(told.value)
    if by_time:
        found = [f.message for f in check_splits(dataset, rows, "counted") if f.check == "same unit"]
        assert len(found) == 3
        assert not any("Zebrowski" in message for message in found)


def test_rows_without_a_unit_are_refused_under_privacy() -> None:
    dataset = _dataset()
    validate_data(DifferentialPrivacy(), dataset)
    dataset.frame["who"] = dataset.frame["who"].astype(object)
    dataset.frame.loc[[3, 8, 20], "who"] = [None, "", np.nan]
    with pytest.raises(
        ValueError, match=r"3 of 300 rows have no value in the column 'who'.*fill the column in"
    ):
        validate_data(DifferentialPrivacy(), dataset)
    validate_data(NoPrivacy(), dataset)
    validate_data(DifferentialPrivacy(), _dataset(unit=None))
