"""``data=asap``: essays in the layout of the ASAP automated essay scoring prize (Kaggle 2012), or a table like it.

Tab separated, Latin-1: essay_id, essay_set, essay, rater1_domain1, rater2_domain1, domain1_score; each set has its own
scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, TaskConfig, config_error, field, register
from core.config.validate import one_of
from core.data.config import as_list

if TYPE_CHECKING:
    import pandas as pd

    from core.data.types import Dataset

STEPS = 10
"""Steps of the common scale that the sets' own scales are brought to where one set is held out."""


@register("data", "asap", builds="education.sources.asap:read")
class Asap(DataConfig):
    """Score of an essay: one set in five folds, or one set held out from the others."""

    path: str = field(
        "education/asap_aes/training_set_rel3.tsv",
        "the table; relative paths are looked up here and under PLINTH_DATA",
    )
    essay_set: int = field(1, "the set that is scored, or held out")
    protocol: str = field(
        "folds", "folds (one set, one fold of five is the test) or held_out (train on all other sets)"
    )
    fold: int = field(0, "which fold of five is the test, 0 to 4")
    validation_fraction: float = field(0.15, "fraction of the training essays in the validation set")
    sensitive: list[str] = field([], "columns of demographic attributes, where the table has any")
    encoding: str = field("latin-1", "text encoding of the file")

    def __post_init__(self) -> None:
        """Let one name stand for a list of one."""
        self.sensitive = as_list(self.sensitive)


def read(config: Asap, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set: one row an essay; ``score`` on the set's own scale, or on a common one of 0 to 10.

    Held out: a score is brought to ``round(10 (s - least) / (most - least))`` of its set's scale, whose ends are
    those of the set's scores, for scales of different sets cannot be learnt from one another otherwise.
    """
    import pandas as pd

    from core.data.coercion import to_numbers
    from core.data.readers.table import resolve_path, read_table
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    one_of("data.protocol", config.protocol, ("folds", "held_out"))
    if not 0 <= config.fold <= 4:
        raise config_error("data.fold", config.fold, "0 to 4")
    if not 0 < config.validation_fraction < 1:
        raise config_error("data.validation", config.validation_fraction, "a share between 0 and 1")
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
        notes.append(f"Left out {int(unscored.sum())} essays without domain1_score.")
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
        marks = range(int(frame["score"].min()), int(frame["score"].max()) + 1)
    else:
        frame = _common_scale(frame)
        frame["part"] = frame["essay_set"].map(lambda n: "test" if n == config.essay_set else "train")
        marks = range(STEPS + 1)
        notes.append(f"Scores of every set are brought to 0 to {STEPS}; raters' scores are left out there.")
    # Marks that no training essay has are on the scale all the same.
    frame["score"] = pd.Categorical(frame["score"].astype(int), categories=marks, ordered=True)
    frame["essay_set"] = frame["essay_set"].astype(str)
    return Dataset(
        frame,
        ColumnRoles(target=("score",), text=("essay",), sensitive=tuple(config.sensitive), unit="essay_id"),
        name=f"essays of set {config.essay_set}, {config.protocol.replace('_', ' ')}",
        split=SplitPlan(by="column", column="part", validation_fraction=config.validation_fraction, seed=seed),
        unit_name="essay",
        ordinal_target=True,
        files=table.files,
        notes=notes,
    )


def _fold(frame: pd.DataFrame, fold: int) -> list[str]:
    """Deal essays to five folds by their id alone, so that the folds are the same whatever the seed."""
    import numpy as np

    from core.data.coercion import to_categories
    from core.data.row_hash import seeded_hash

    order = np.argsort(np.argsort(seeded_hash(to_categories(frame["essay_id"]), 0), kind="stable"), kind="stable")
    return ["test" if place % 5 == fold else "train" for place in order]


def _common_scale(frame: pd.DataFrame) -> pd.DataFrame:
    by = frame.groupby("essay_set")["score"]
    least, most = by.transform("min"), by.transform("max")
    flat = sorted(set(frame["essay_set"][least == most]))
    if flat:
        raise ValueError(f"essay sets {', '.join(map(str, flat))}: every essay has one score; leave them out")
    frame["score"] = (STEPS * (frame["score"] - least) / (most - least)).round().astype(int)
    return frame.drop(columns=[c for c in ("rater1", "rater2") if c in frame])
