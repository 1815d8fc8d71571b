"""``data=diabetes130``: ten years of diabetic inpatient stays in 130 US hospitals (Strack et al. 2014)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.config import DataConfig, TaskConfig, field, register, split_fractions

if TYPE_CHECKING:
    import pandas as pd

    from core.data.types import Dataset

TITLE = "Diabetes 130-US hospitals"
DIED_OR_HOSPICE = (11, 13, 14, 19, 20, 21)
"""Discharge dispositions of patients who died or went to a hospice: they can't be readmitted."""
STAY = (
    "time_in_hospital", "num_lab_procedures", "num_procedures", "num_medications", "number_outpatient",
    "number_emergency", "number_inpatient", "number_diagnoses",
)  # fmt: skip
DRUGS = (
    "metformin", "repaglinide", "nateglinide", "chlorpropamide", "glimepiride", "acetohexamide", "glipizide",
    "glyburide", "tolbutamide", "pioglitazone", "rosiglitazone", "acarbose", "miglitol", "troglitazone",
    "tolazamide", "insulin", "glyburide-metformin", "glipizide-metformin", "glimepiride-pioglitazone",
    "metformin-rosiglitazone", "metformin-pioglitazone",
)  # fmt: skip
COMMON_DRUGS = (
    "metformin", "glimepiride", "glipizide", "glyburide", "pioglitazone", "rosiglitazone", "repaglinide", "insulin",
)  # fmt: skip
UNCHANGED_CATEGORICAL = (
    "race",
    "gender",
    "payer_code",
    "medical_specialty",
    "max_glu_serum",
    "A1Cresult",
    "change",
    "diabetesMed",
)
IDS = ("admission_type_id", "discharge_disposition_id", "admission_source_id")
# Upper bounds (inclusive) of the chapters of ICD-9-CM.
ICD9_CHAPTERS = (
    (139, "infectious"), (239, "neoplasm"), (279, "endocrine"), (289, "blood"), (319, "mental"), (389, "nervous"),
    (459, "circulatory"), (519, "respiratory"), (579, "digestive"), (629, "genitourinary"), (679, "pregnancy"),
    (709, "skin"), (739, "musculoskeletal"), (759, "congenital"), (779, "perinatal"), (799, "symptoms"),
    (999, "injury"),
)  # fmt: skip


@register("data", "diabetes130", builds="healthcare.sources.diabetes130:read")
class Diabetes130(DataConfig):
    """Readmission within 30 days, from the stay and the patient's earlier stays, never from later ones."""

    path: str = field(
        "healthcare/diabetes130/diabetic_data.csv.xz",
        "the published table, also compressed; relative paths are looked up here and under PLINTH_DATA",
    )
    validation_fraction: float = field(0.2, "fraction of the patients in the validation set")
    test_fraction: float = field(0.2, "fraction of the patients in the test set")

    def __post_init__(self) -> None:
        """Raise ValueError for fractions that can't be right."""
        split_fractions("data", self.validation_fraction, self.test_fraction)


def read(config: Diabetes130, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set: one row a stay, split by patient."""
    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    path = resolve_path(config.path)
    table = read_table(path)
    raw = table.frame
    needed = ["encounter_id", "patient_nbr", "readmitted", "age", "diag_1", "diag_2", "diag_3"]
    require_columns(raw, {"data.path": [*needed, *STAY, *DRUGS, *UNCHANGED_CATEGORICAL, *IDS]}, path)
    frame = build_features(raw)
    features = [c for c in frame.columns if c not in ("encounter_id", "patient_nbr", "readmitted")]
    numeric = tuple(c for c in features if frame[c].dtype.kind == "f")
    return Dataset(
        frame,
        ColumnRoles(
            target=("readmitted",),
            numeric=numeric,
            categorical=tuple(c for c in features if c not in numeric),
            sensitive=("race", "gender", "age"),
            unit="patient_nbr",
        ),
        name=TITLE,
        split=SplitPlan(
            by="unit",
            validation_fraction=config.validation_fraction,
            test_fraction=config.test_fraction,
            seed=seed,
        ),
        unit_name="patient",
        files=table.files,
        group_edges={"age": [30.0, 50.0, 60.0, 70.0, 80.0]},
        notes=[
            *table.notes,
            f"Of {len(raw):,} stays, {len(raw) - len(frame):,} that ended in death or in a hospice were dropped.",
            "Features use the patient's earlier stays, and nothing of later ones.",
        ],
    )


def build_features(raw: pd.DataFrame) -> pd.DataFrame:
    """Return features of the stay and of the same patient's earlier stays.

    Numeric columns are floats, categorical ones text. ``readmitted`` becomes yes (within 30 days) or no.
    """
    import numpy as np

    f = raw.sort_values("encounter_id").reset_index(drop=True)
    out = f[["encounter_id", "patient_nbr"]].copy()
    out["readmitted"] = np.where(f["readmitted"] == "<30", "yes", "no")
    out["age"] = f["age"].astype("str").str.extract(r"\[(\d+)-", expand=False).astype(float) + 5.0
    for name in STAY:
        out[name] = f[name].astype(float)
    drugs = f[list(DRUGS)]
    out["drugs_taken"] = (drugs != "No").sum(axis=1).astype(float)
    out["drugs_altered"] = drugs.isin(["Up", "Down"]).sum(axis=1).astype(float)
    out["visits_before"] = out["number_outpatient"] + out["number_emergency"] + out["number_inpatient"]
    for name in (*UNCHANGED_CATEGORICAL, *COMMON_DRUGS, *IDS):
        out[name] = _text(f[name])
    rare = f[[d for d in DRUGS if d not in COMMON_DRUGS]]
    out["other_drug"] = np.where((rare != "No").any(axis=1), "Yes", "No")
    codes = {k: _text(f[f"diag_{k}"]) for k in (1, 2, 3)}
    for k, code in codes.items():
        out[f"diag_{k}"] = code.str.split(".").str[0]
        out[f"chapter_{k}"] = code.map({c: icd9_chapter(c) for c in code.dropna().unique()})
    diabetic = {k: code.where(code.str.startswith("250", na=False)) for k, code in codes.items()}
    out["diabetes_code"] = diabetic[1].fillna(diabetic[2]).fillna(diabetic[3]).fillna("none")
    _add_history(out)
    ended = f["discharge_disposition_id"].astype(int).isin(DIED_OR_HOSPICE)
    return out[~ended].reset_index(drop=True)


def _add_history(out: pd.DataFrame) -> None:
    # An earlier ``NO`` is not used apart from ``>30``: with a further stay on record it only shows that the ids
    # are not in order of time there, so it would leak a later stay.
    by = out["patient_nbr"]
    within = (out["readmitted"] == "yes").astype(float)
    count = by.groupby(by).cumcount().astype(float)

    def before(values: pd.Series[Any]) -> pd.Series[Any]:
        return values.groupby(by).cumsum() - values

    def last(values: pd.Series[Any]) -> pd.Series[Any]:
        return values.groupby(by).shift()

    out["earlier_stays"] = count
    out["earlier_within_30"] = before(within)
    out["earlier_share_within_30"] = (before(within) / count).where(count > 0)
    out["earlier_mean_days"] = (before(out["time_in_hospital"]) / count).where(count > 0)
    out["earlier_mean_medications"] = (before(out["num_medications"]) / count).where(count > 0)
    out["earlier_emergencies"] = before(out["number_emergency"])
    out["earlier_max_inpatient"] = last(out["number_inpatient"].groupby(by).cummax())
    out["inpatient_since_last"] = out["number_inpatient"] - last(out["number_inpatient"])
    out["medications_since_last"] = out["num_medications"] - last(out["num_medications"])
    out["last_within_30"] = last(within).map({1.0: "yes", 0.0: "no"}).fillna("first")
    out["last_discharge"] = last(out["discharge_disposition_id"]).fillna("first")
    out["last_chapter"] = last(out["chapter_1"]).fillna("first")
    same = (last(out["diag_1"]) == out["diag_1"]).map({True: "yes", False: "no"})
    out["same_diagnosis_as_last"] = same.where(count > 0, "first")


def _text(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return codes as text ("8", not "8.0"); missing values stay missing."""
    shown = column.map(lambda v: f"{v:g}" if isinstance(v, float) else str(v), na_action="ignore")
    return shown.astype(object).where(column.notna())


def icd9_chapter(code: str) -> str:
    """Return the ICD-9-CM chapter of a code such as ``250.83``, ``V27`` or ``E909``."""
    if code[0] in "EV":
        return {"E": "external", "V": "supplementary"}[code[0]]
    number = int(float(code))
    return next(name for last, name in ICD9_CHAPTERS if number <= last)
