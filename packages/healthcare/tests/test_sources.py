"""Healthcare's sources on small generated files in the published layouts: splits, histories, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import healthcare
from core.config import build
from core.data.checks.dataset_checks import check_dataset
from core.data.checks.split_checks import check_splits
from core.data.splits import split
from core.data.types import Dataset
from healthcare.sources.diabetes130 import COMMON_DRUGS, DRUGS, IDS, STAY, build_features, icd9_chapter
from healthcare.sources.heart import COLUMNS, SITES
from healthcare.sources.mitbih import FEATURES, beat_features


def read(*overrides: str) -> Dataset:
    config: Any = healthcare.train.configure(*overrides)
    dataset: Dataset = build(config.data, config.task, config.seed)
    return dataset


def rows_of(dataset: Dataset) -> dict[str, np.ndarray]:
    """Return the rows of each set, after the checks of every run found no error."""
    rows = split(dataset)
    errors = [f.message for f in check_dataset(dataset) + check_splits(dataset, rows) if f.level == "error"]
    assert errors == []
    assert sum(len(r) for r in rows.values()) == len(dataset.frame)
    return rows


def stays(patients: int = 60, seed: int = 0) -> pd.DataFrame:
    """Return stays in the columns of the published table, one to four a patient."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(1000, 1000 + patients), rng.integers(1, 5, patients))
    rng.shuffle(patient)
    n = len(patient)
    table: dict[str, Any] = {
        "encounter_id": np.arange(n),
        "patient_nbr": patient,
        "race": rng.choice(["Caucasian", "AfricanAmerican", "?"], n),
        "gender": rng.choice(["Female", "Male"], n),
        "age": rng.choice(["[40-50)", "[70-80)"], n),
        "payer_code": rng.choice(["MC", "?"], n),
        "medical_specialty": rng.choice(["Cardiology", "?"], n),
        "max_glu_serum": rng.choice(["None", ">200"], n),
        "A1Cresult": rng.choice(["None", ">8"], n),
        "change": rng.choice(["No", "Ch"], n),
        "diabetesMed": rng.choice(["No", "Yes"], n),
        "readmitted": rng.choice(["NO", ">30", "<30"], n),
        **{name: rng.integers(0, 5, n) for name in STAY},
        **{name: rng.choice(["No", "Steady", "Up"], n) for name in DRUGS},
        **{name: rng.integers(1, 4, n) for name in IDS},
        **{f"diag_{k}": rng.choice(["250.83", "428", "V27"], n) for k in (1, 2, 3)},
    }
    return pd.DataFrame(table)


def test_diabetes130_drops_deaths_and_splits_by_patient(tmp_path: Path) -> None:
    raw = stays()
    raw.loc[:4, "discharge_disposition_id"] = 11  # died
    raw.to_csv(tmp_path / "stays.csv", index=False)
    dataset = read("task=records", "data=diabetes130", f"data.path={tmp_path / 'stays.csv'}")
    assert len(dataset.frame) == len(raw) - 5
    assert "5 that ended in death" in dataset.notes[-2]
    rows = rows_of(dataset)
    patients = [set(dataset.frame["patient_nbr"].iloc[r]) for r in rows.values()]
    assert all(patients), "no set is empty"
    assert not patients[0] & patients[1]
    assert not patients[1] & patients[2]
    assert not patients[0] & patients[2]
    assert set(dataset.roles.sensitive) == {"race", "gender", "age"}
    assert "readmitted" not in dataset.roles.inputs()
    assert not {"encounter_id", "patient_nbr"} & set(dataset.roles.inputs())


def test_diabetes130_features_by_hand() -> None:
    raw = stays(1, 3).iloc[:1]
    raw = pd.concat([raw] * 3, ignore_index=True)
    raw["encounter_id"] = [30, 10, 20]  # out of order
    raw["readmitted"] = ["NO", "<30", ">30"]
    raw["time_in_hospital"] = [6, 2, 4]
    raw["number_inpatient"] = [5, 1, 3]
    raw["diag_1"] = ["428", "250.83", "428"]
    raw[list(COMMON_DRUGS)] = "No"
    raw["metformin"] = ["Up", "No", "Steady"]
    made = build_features(raw).set_index("encounter_id")
    assert made["readmitted"].to_dict() == {10: "yes", 20: "no", 30: "no"}
    assert made["earlier_stays"].to_dict() == {10: 0, 20: 1, 30: 2}
    assert made["earlier_within_30"].to_dict() == {10: 0, 20: 1, 30: 1}
    assert made.loc[30, "earlier_mean_days"] == 3.0
    assert made.loc[30, "inpatient_since_last"] == 2.0
    assert made["last_chapter"].to_dict() == {10: "first", 20: "endocrine", 30: "circulatory"}
    assert made["same_diagnosis_as_last"].to_dict() == {10: "first", 20: "no", 30: "yes"}
    assert made["metformin"].to_dict() == {10: "No", 20: "Steady", 30: "Up"}
    assert made.loc[10, "age"] in (45.0, 75.0)
    assert made.loc[10, "diag_1"] == "250"


def test_diabetes130_history_uses_nothing_of_later_stays() -> None:
    raw = stays(30, 1)
    early = raw.sort_values("encounter_id").groupby("patient_nbr").head(2)
    whole, cut = (build_features(t).set_index("encounter_id") for t in (raw, early))
    assert len(cut) > 30
    assert whole.loc[cut.index].equals(cut), "a feature changed when later stays were removed"


@pytest.mark.parametrize(
    ("code", "chapter"),
    [
        ("250.83", "endocrine"),
        ("V27", "supplementary"),
        ("E909", "external"),
        ("8", "infectious"),
        ("785", "symptoms"),
    ],
)
def test_icd9_chapters(code: str, chapter: str) -> None:
    assert icd9_chapter(code) == chapter


def test_diabetes130_reports_what_is_missing(tmp_path: Path) -> None:
    stays().drop(columns="insulin").to_csv(tmp_path / "stays.csv", index=False)
    with pytest.raises(ValueError, match="no column 'insulin'"):
        read("data=diabetes130", f"data.path={tmp_path / 'stays.csv'}")
    with pytest.raises(ValueError, match=r"data\.test_fraction"):
        read("data=diabetes130", "data.test_fraction=1.5")


def heart_files(folder: Path, rows: int = 60) -> Path:
    """Write the four sites: comma separated, Hungarian by spaces and with -9 for missing values."""
    for n, (site, name) in enumerate(SITES.items()):
        rng = np.random.default_rng(n)
        table = pd.DataFrame(
            {
                "age": rng.integers(30, 80, rows),
                "sex": rng.integers(0, 2, rows),
                **{c: rng.integers(0, 4, rows) for c in COLUMNS[2:-1]},
                "num": rng.choice([0, 1, 2], rows),
            }
        )[list(COLUMNS)].astype(object)
        hungarian = site == "hungarian"
        table.loc[0, "chol"] = -9 if hungarian else "?"
        table.to_csv(folder / name, header=False, index=False, sep=" " if hungarian else ",")
    return folder


def test_heart_reads_all_sites_in_their_layouts(tmp_path: Path) -> None:
    folder = heart_files(tmp_path)
    dataset = read("data=heart", f"data.folder={folder}", "data.sites=[cleveland,hungarian,switzerland,va]")
    assert len(dataset.frame) == 4 * 60
    assert dataset.frame["chol"].isna().sum() == 4, "? and -9 are missing values"
    assert (dataset.frame["disease"] == "yes").equals(dataset.frame["num"].astype(float) > 0)
    assert "site" in dataset.roles.categorical
    assert "site" not in read("data=heart", f"data.folder={folder}").roles.categorical
    assert len(dataset.files) == 4
    rows_of(dataset)


def test_heart_folds_test_each_patient_once(tmp_path: Path) -> None:
    folder = heart_files(tmp_path)
    tested: list[int] = []
    for fold in range(5):
        rows = rows_of(read("data=heart", f"data.folder={folder}", f"data.fold={fold}"))
        assert not set(rows["test"]) & {*rows["train"], *rows["validation"]}
        tested += rows["test"].tolist()
    assert sorted(tested) == list(range(60))


@pytest.mark.parametrize(
    ("wrong", "key"), [("data.sites=[paris]", "data.sites"), ("data.fold=5", "data.fold")]
)
def test_heart_reports_wrong_values(wrong: str, key: str) -> None:
    with pytest.raises(ValueError, match=key.replace(".", r"\.")):
        read("data=heart", wrong)


def transcriptions(path: Path) -> Path:
    """Write transcriptions: 12 under Surgery alone, 10 under Surgery and Urology, 8 under Urology, 2 under Rare."""
    rows = [(f"operation number {n}", " Surgery") for n in range(12)]
    rows += [(f"kidney  Stone {n}", name) for n in range(10) for name in (" Surgery", " Urology")]
    rows += [(f"flank pain {n}", " Urology") for n in range(8)]
    rows += [(f"something else {n}", " Rare") for n in range(2)]
    rows += [
        ("OPERATION number 0", " Surgery"),
        (None, " Surgery"),
        ("  ", " Urology"),
    ]  # a copy, and no text
    pd.DataFrame(rows, columns=["transcription", "medical_specialty"]).to_csv(path, index=False)
    return path


def test_mtsamples_has_each_text_once_with_all_its_specialties(tmp_path: Path) -> None:
    path = transcriptions(tmp_path / "notes.csv")
    dataset = read("task=notes", "data=mtsamples", f"data.path={path}", "data.min_count=5")
    assert dataset.frame["specialties"].value_counts().to_dict() == {
        "Surgery": 12,
        "Surgery;Urology": 10,
        "Urology": 8,
    }
    keys = dataset.frame["transcription"].str.lower().str.split().str.join(" ")
    assert keys.is_unique
    rows_of(dataset)
    rarest = read(
        "task=notes", "data=mtsamples", f"data.path={path}", "data.min_count=5", "data.labels=rarest"
    )
    # 22 texts are under Surgery and 18 under Urology, which is the rarer one of the texts under both
    assert rarest.frame["specialties"].value_counts().to_dict() == {"Urology": 18, "Surgery": 12}
    few = read("task=notes", "data=mtsamples", f"data.path={path}", "data.min_count=2")
    assert "Rare" in set(few.frame["specialties"])
    with pytest.raises(ValueError, match=r"data\.labels"):
        read("task=notes", "data=mtsamples", "data.labels=most")


def lesions(path: Path, rows: int = 60) -> pd.DataFrame:
    """Write images of lesions with diagnoses and the published split."""
    import io

    rng = np.random.default_rng(0)

    def png() -> bytes:
        out = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(out, "PNG")
        return out.getvalue()

    table = pd.DataFrame(
        {
            "image": [png() for _ in range(rows)],
            "dx": rng.choice(["nv", "mel"], rows),
            "split": ["train"] * (rows - 20) + ["validation"] * 10 + ["test"] * 10,
            "sex": rng.choice(["female", "male"], rows),
            "age": rng.integers(20, 80, rows).astype(float),
        }
    )
    table.to_parquet(path)
    return table


def test_ham10000_keeps_the_published_split_and_sees_the_image_alone(tmp_path: Path) -> None:
    table = lesions(tmp_path / "lesions.parquet")
    dataset = read("task=images", "data=ham10000", f"data.path={tmp_path / 'lesions.parquet'}")
    rows = rows_of(dataset)
    assert {name: len(r) for name, r in rows.items()} == {"train": 40, "validation": 10, "test": 10}
    assert dataset.roles.inputs() == ("image",)
    assert dataset.roles.sensitive == ("sex", "age")
    table.drop(columns="dx").to_parquet(tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="no column 'dx'"):
        read("task=images", "data=ham10000", f"data.path={tmp_path / 'other.parquet'}")


def beats(record: int, published: str, count: int, seed: int) -> pd.DataFrame:
    """Return beats of one recording in the columns of the published file."""
    rng = np.random.default_rng(seed)
    wave = 400 * np.exp(-0.5 * ((np.arange(128) - 56) / 4.0) ** 2)
    return pd.DataFrame(
        {
            "signal": [(wave + rng.normal(0, 5, 128)).astype(np.int16) for _ in range(count)],
            "scale_uv": 5.0,
            "aami": (["N", "N", "S", "V", "F"] * count)[:count],
            "record": record,
            "split": published,
            "sex": "F" if record % 2 else "M",
            "age": 60.0,
            "rr_pre_ms": rng.normal(800, 20, count),
            "rr_post_ms": rng.normal(800, 20, count),
            "sample_360hz": np.arange(count) * 300,
        }
    )


def test_mitbih_has_no_patient_in_two_sets(tmp_path: Path) -> None:
    sets = [beats(record, "train", 20, record) for record in (201, 203, 205, 207, 208, 209, 215, 220)]
    sets += [beats(record, "test", 20, record) for record in (202, 210, 213)] + [beats(102, "paced", 20, 102)]
    table = pd.concat(sets, ignore_index=True)
    table.loc[3, "aami"] = "Q"  # unclassifiable
    table.sample(frac=1.0, random_state=0).to_parquet(tmp_path / "beats.parquet")
    dataset = read("task=ecg", "data=mitbih", f"data.path={tmp_path / 'beats.parquet'}")
    assert len(dataset.frame) == 8 * 20 - 1 + 2 * 20, "202 is the patient of 201, 102 is paced, one beat is Q"
    assert any("record 202" in note and "20 beats" in note for note in dataset.notes)
    rows = rows_of(dataset)
    patients = {name: set(dataset.frame["patient"].iloc[r]) for name, r in rows.items()}
    assert patients["test"] == {"record 210", "record 213"}
    assert not patients["train"] & patients["validation"]
    assert dataset.roles.numeric == FEATURES
    assert dataset.frame["beat"].iloc[0].shape == (128, 2)


def test_mitbih_features_compare_a_beat_with_its_recording() -> None:
    own = beats(100, "train", 30, 0)
    own["rr_pre_ms"], own["rr_post_ms"] = 800.0, 800.0
    own.loc[4, ["rr_pre_ms", "rr_post_ms"]] = [400.0, 1200.0]  # early, with a pause after it
    own.at[5, "signal"] = -own["signal"].iloc[0]
    made = beat_features(own)
    assert made["rr_before_s"].iloc[0] == pytest.approx(0.8)
    assert made["before_to_median"].iloc[4] == pytest.approx(np.log(0.5))
    assert made["before_to_after"].iloc[4] == pytest.approx(np.log(400 / 1200))
    assert made["like_median_beat"].iloc[0] > 0.95
    assert made["like_median_beat"].iloc[5] < -0.95
    assert made["height_to_median"].iloc[0] == pytest.approx(0.0, abs=0.1)
