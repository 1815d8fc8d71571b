"""``data=asap``: essays in the layout of the ASAP automated essay scoring prize (Kaggle 2012), or a table like it.

Tab separated, Latin-1: essay_id, essay_set, essay, rater1_domain1, rater2_domain1, domain1_score; each set has its own
scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, TaskConfig, config_error, field, one_of, register, split_fractions
from core.data.config import as_list

if TYPE_CHECKING:
    import pandas as pd

    from core.data.types import Dataset

STEPS = 10
"""Steps of the common scale to which the sets' own scales are mapped if one set is held out."""


@register("data", "asap", builds="education.sources.asap:read")
class Asap(DataConfig):
    """Score of an essay: one set in five folds, or one set held out from the others."""

    path: str = field(
        "education/asap_aes/training_set_rel3.tsv",
        "the table; relative paths are looked up here and under PLINTH_DATA",
    )
    essay_set: int = field(1, "the set that is scored, or held out")
    protocol: str = field(
        "folds", "folds (one set, cross-validation of five folds) or held_out (train on all other sets)"
    )
    fold: int = field(0, "cross-validation: which fold of five is the test set, 0 to 4")
    validation_fraction: float = field(0.15, "fraction of the training essays in the validation set")
    sensitive: list[str] = field([], "columns of demographic attributes, where the table has any")
    encoding: str = field("latin-1", "text encoding of the file")

    def __post_init__(self) -> None:
        """Turn a single name into a list, and raise ValueError for values that can't be right."""
        self.sensitive = as_list(self.sensitive)
        one_of("data.protocol", self.protocol, ("folds", "held_out"))
        if not 0 <= self.fold <= 4:
            raise config_error("data.fold", self.fold, "0 to 4")
        split_fractions("data", self.validation_fraction)


def read(config: Asap, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set: one row an essay; ``score`` on the set's own scale, or on a common one of 0 to 10.

    Held out: a score s is mapped to ``round(10 (s - min) / (max - min))`` with the range of its set's scores, since
    a model can't transfer between sets of different scales otherwise.
    """
    import pandas as pd

    from core.data.coercion import to_numbers
    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    path = resolve_path(config.path)
    table = read_table(path, delimiter="\t" if path.name.split(".")[1] in ("tsv", "txt") else "auto",
                       encoding=config.encoding)  # fmt: skip
    needed = ["essay_id", "essay_set", "essay", "domain1_score"]
    require_columns(table.frame, {"data.path": needed, "data.sensitive": config.sensitive}, path)
    frame = table.frame.copy()
    frame["essay_set"] = to_numbers(frame["essay_set"], "essay_set").astype(int)
    sets = sorted(set(frame["essay_set"]))
    if config.essay_set not in sets:
        raise config_error("data.essay_set", config.essay_set, f"the table has {', '.join(map(str, sets))}")
    if config.protocol == "held_out" and len(sets) < 2:
        raise config_error("data.protocol", config.protocol, f"the table has set {sets[0]} alone; use folds")
    unscored = frame["domain1_score"].isna()
    notes = [*table.notes]
    if unscored.any():
        notes.append(f"Dropped {int(unscored.sum())} essays without domain1_score.")
    frame = frame[~unscored].copy()
    for new, column in (
        ("score", "domain1_score"),
        ("rater1", "rater1_domain1"),
        ("rater2", "rater2_domain1"),
    ):
        if column in frame:
            frame[new] = to_numbers(frame[column], column)
    if config.protocol == "folds":
        frame = frame[frame["essay_set"] == config.essay_set].copy()
        frame["part"] = _fold(frame, config.fold)
        grades = range(int(frame["score"].min()), int(frame["score"].max()) + 1)
    else:
        frame = _common_scale(frame)
        frame["part"] = frame["essay_set"].map(lambda n: "test" if n == config.essay_set else "train")
        grades = range(STEPS + 1)
        notes.append(f"Scores of every set are mapped to 0 to {STEPS}; raters' scores are dropped.")
    # Grades without a training essay are on the scale all the same.
    frame["score"] = pd.Categorical(frame["score"].astype(int), categories=grades, ordered=True)
    frame["essay_set"] = frame["essay_set"].astype(str)
    return Dataset(
        frame,
        ColumnRoles(target=("score",), text=("essay",), sensitive=tuple(config.sensitive), unit="essay_id"),
        name=f"essays of set {config.essay_set}, {config.protocol.replace('_', ' ')}",
        split=SplitPlan(
            by="column", column="part", validation_fraction=config.validation_fraction, seed=seed
        ),
        unit_name="essay",
        ordinal_target=True,
        files=table.files,
        notes=notes,
    )


def _fold(frame: pd.DataFrame, fold: int) -> list[str]:
    """Return the set of each essay; folds depend on the essay's id alone, not on the seed."""
    import numpy as np

    from core.data.coercion import to_categories
    from core.data.row_hash import seeded_hash

    order = np.argsort(
        np.argsort(seeded_hash(to_categories(frame["essay_id"]), 0), kind="stable"), kind="stable"
    )
    return ["test" if place % 5 == fold else "train" for place in order]


def _common_scale(frame: pd.DataFrame) -> pd.DataFrame:
    by = frame.groupby("essay_set")["score"]
    low, high = by.transform("min"), by.transform("max")
    flat = sorted(set(frame["essay_set"][low == high]))
    if flat:
        raise ValueError(f"essay sets {', '.join(map(str, flat))}: every essay has the same score; drop them")
    frame["score"] = (STEPS * (frame["score"] - low) / (high - low)).round().astype(int)
    return frame.drop(columns=[c for c in ("rater1", "rater2") if c in frame])
