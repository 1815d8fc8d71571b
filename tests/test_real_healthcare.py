"""Healthcare's readers on the real sets: what must go is dropped, and nothing of the future or the test leaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import healthcare
from core.config import build
from core.data.checks.dataset_checks import check_dataset
from core.data.checks.split_checks import check_splits
from core.data.splits import split
from core.data.types import Dataset


@pytest.fixture(autouse=True)
def _named_root(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLINTH_DATA", str(data_root))


def read(*overrides: str) -> Dataset:
    config: Any = healthcare.train.configure(*overrides)
    dataset: Dataset = build(config.data, config.task, config.seed)
    return dataset


def parts_of(dataset: Dataset) -> dict[str, np.ndarray]:
    rows = split(dataset)
    errors = [f.message for f in check_dataset(dataset) + check_splits(dataset, rows) if f.level == "error"]
    assert errors == []
    return rows


def test_diabetes_has_the_stays_that_can_be_readmitted_and_parts_by_patient() -> None:
    dataset = read("experiment=diabetes130")
    assert len(dataset.frame) == 99_343
    rows = parts_of(dataset)
    patients = [set(dataset.frame["patient_nbr"].iloc[r]) for r in rows.values()]
    assert not patients[0] & patients[1]
    assert not patients[1] & patients[2]
    assert not patients[0] & patients[2]
    for part in rows.values():
        share = (dataset.frame["readmitted"].iloc[part] == "yes").mean()
        assert share == pytest.approx(0.114, abs=0.005)
    assert not {"race", "gender", "age"} - set(dataset.roles.sensitive)


def test_diabetes_history_knows_nothing_of_later_stays(data_root: Path) -> None:
    from core.data.readers.table import read_table
    from healthcare.sources.diabetes130 import build_features

    raw = read_table(data_root / "healthcare/diabetes130/diabetic_data.csv.xz").frame
    frequent = raw["patient_nbr"].value_counts().index[:40]
    raw = raw[raw["patient_nbr"].isin(frequent)].sort_values("encounter_id")
    whole = build_features(raw).set_index("encounter_id")
    early = raw.groupby("patient_nbr").head(3)
    cut = build_features(early).set_index("encounter_id")
    assert len(cut) > 60
    assert whole.loc[cut.index].equals(cut), "a feature changed when later stays were taken away"


def test_heart_reads_all_sites_and_folds_part_the_rows() -> None:
    whole = read("experiment=heart", "data.sites=[cleveland,hungarian,switzerland,va]")
    assert len(whole.frame) == 303 + 294 + 123 + 200
    tested = []
    for fold in range(5):
        dataset = read("experiment=heart", f"data.fold={fold}")
        rows = parts_of(dataset)
        tested.append(set(rows["test"]))
        assert not set(rows["test"]) & (set(rows["train"]) | set(rows["validation"]))
    assert sorted(r for fold in tested for r in fold) == list(range(303))


def test_mtsamples_has_each_text_once() -> None:
    rarest = read("experiment=mtsamples_rarest")
    assert len(rarest.frame) == pytest.approx(2283, abs=20)
    assert rarest.frame["specialties"].value_counts().min() >= 50
    every = read("experiment=mtsamples")
    assert every.frame["specialties"].str.contains(";").mean() > 0.5
    for dataset in (rarest, every):
        rows = parts_of(dataset)
        keys = dataset.frame["transcription"].str.lower().str.split().str.join(" ")
        assert keys.is_unique
        assert sum(len(r) for r in rows.values()) == len(dataset.frame)


def test_ham10000_keeps_the_files_split() -> None:
    dataset = read("experiment=ham10000")
    rows = parts_of(dataset)
    assert {name: len(r) for name, r in rows.items()} == {"train": 4189, "validation": 597, "test": 1198}
    assert dataset.roles.inputs() == ("image",), "sex, age and place are not inputs"


def test_mitbih_has_no_patient_in_two_parts() -> None:
    dataset = read("experiment=mitbih")
    rows = parts_of(dataset)
    patients = {name: set(dataset.frame["patient"].iloc[r]) for name, r in rows.items()}
    assert not patients["train"] & patients["test"]
    assert not patients["validation"] & (patients["train"] | patients["test"])
    assert "record 201" not in patients["test"], "record 202 is the patient of record 201"
    assert set(dataset.frame["aami"]) == {"N", "S", "V", "F"}
    for name in rows:
        assert set(dataset.frame["aami"].iloc[rows[name]]) == {"N", "S", "V", "F"}, name
