"""``data=uci_student``: pupils of two Portuguese schools, 2005-06 (Cortez and Silva 2008)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, TaskConfig, config_error, field, register

if TYPE_CHECKING:
    import pandas as pd

    from core.data.types import Dataset

FILES = {"mathematics": "student-mat.csv.gz", "portuguese": "student-por.csv.gz"}
NUMBERS = (
    "age",
    "Medu",
    "Fedu",
    "traveltime",
    "studytime",
    "failures",
    "famrel",
    "freetime",
    "goout",
    "Dalc",
    "Walc",
    "health",
    "absences",
)
CATEGORIES = (
    "school",
    "sex",
    "address",
    "famsize",
    "Pstatus",
    "Mjob",
    "Fjob",
    "reason",
    "guardian",
    "schoolsup",
    "famsup",
    "paid",
    "activities",
    "nursery",
    "higher",
    "internet",
    "romantic",
)
PERSON = (
    "school",
    "sex",
    "age",
    "address",
    "famsize",
    "Pstatus",
    "Medu",
    "Fedu",
    "Mjob",
    "Fjob",
    "reason",
    "nursery",
    "internet",
)
"""The authors' key for matching pupils of both files."""
SENSITIVE = ("sex", "age", "address", "Medu", "Fedu")


@register("data", "uci_student", builds="education.sources.uci_student:read")
class UciStudent(DataConfig):
    """Final grade G3 of 0 to 20, early (without the period grades) or with them."""

    folder: str = field("education/uci_student", "folder of the published files, here or under PLINTH_DATA")
    subjects: list[str] = field(["mathematics", "portuguese"], "mathematics, portuguese")
    period_grades: bool = field(False, "use the period grades G1 and G2 as inputs")
    use_sensitive: bool = field(
        False, "use sex, age, address and parents' education as inputs, not only to compare groups"
    )
    fold: int = field(-1, "cross-validation: the test set is this fold of five (0 to 4); -1: a random fifth")

    def __post_init__(self) -> None:
        """Raise ValueError for unknown subjects and folds."""
        unknown = [s for s in self.subjects if s not in FILES]
        if unknown or not self.subjects:
            raise config_error("data.subjects", list(self.subjects), f"one or more of {', '.join(FILES)}")
        if not -1 <= self.fold <= 4:
            raise config_error("data.fold", self.fold, "-1 for none, or 0 to 4")


def read(config: UciStudent, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set: one row a pupil and subject; a pupil of both subjects is in one set."""
    import pandas as pd

    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    frames: list[pd.DataFrame] = []
    files: dict[str, str] = {}
    for subject in config.subjects:
        path = resolve_path(f"{config.folder}/{FILES[subject]}", "data.folder")
        table = read_table(path, delimiter=";")
        require_columns(table.frame, {"data.folder": [*NUMBERS, *CATEGORIES, "G1", "G2", "G3"]}, path)
        frames.append(table.frame.assign(subject=subject))
        files |= table.files
    frame = pd.concat(frames, ignore_index=True)
    for name in (*NUMBERS, "G1", "G2", "G3"):
        frame[name] = frame[name].astype(float)
    frame["pupil"] = _pupils(frame)
    split = SplitPlan(by="unit", seed=seed)
    if config.fold >= 0:
        frame["part"] = _fold(frame, config.fold)
        split = SplitPlan(by="column", column="part", validation_fraction=0.15, seed=seed)
    not_inputs = () if config.use_sensitive else SENSITIVE
    extra = ("G1", "G2") if config.period_grades else ()
    both = ("subject",) if len(config.subjects) > 1 else ()
    return Dataset(
        frame,
        ColumnRoles(
            target=("G3",),
            numeric=tuple(c for c in (*NUMBERS, *extra) if c not in not_inputs),
            categorical=tuple(c for c in (*CATEGORIES, *both) if c not in not_inputs),
            sensitive=SENSITIVE,
            unit="pupil",
        ),
        name=f"UCI student performance ({', '.join(config.subjects)})",
        split=split,
        unit_name="pupil",
        ordinal_target=True,
        files=files,
        group_edges={"age": [17.0, 18.0], "Medu": [2.0, 3.0, 4.0], "Fedu": [2.0, 3.0, 4.0]},
        notes=[
            "A pupil is identified by the thirteen columns that the authors match the two files by; pupils with the "
            "same inputs count as one.",
            f"{int((frame['G3'] == 0).sum())} rows have G3 = 0: they dominate the squared error.",
        ],
    )


def _pupils(frame: pd.DataFrame) -> list[str]:
    """Return the pupil of each row: rows of one person, and rows with the same inputs, are joined."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    from core.data.row_hash import row_keys

    inputs = [c for c in (*NUMBERS, *CATEGORIES) if c not in SENSITIVE]
    n = len(frame)
    first: list[int] = []
    for keys in (row_keys(frame, PERSON), row_keys(frame, inputs)):
        _, where, back = np.unique(keys, return_index=True, return_inverse=True)
        first += where[back].tolist()
    links = coo_array((np.ones(2 * n), (np.tile(np.arange(n), 2), first)), shape=(n, n))
    return [f"pupil {k}" for k in connected_components(links, directed=False)[1]]


def _fold(frame: pd.DataFrame, fold: int) -> list[str]:
    from core.data.row_hash import seeded_hash

    return [
        "test" if int(h) % 5 == fold else "train" for h in seeded_hash(frame["pupil"].to_numpy(object), 0)
    ]
