"""``data=mtsamples``: sample transcriptions, each filed under one or several specialties."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, TaskConfig, field, register, split_fractions
from core.config.validate import one_of

if TYPE_CHECKING:
    from core.data.types import Dataset

LABELS = ("all", "rarest")


@register("data", "mtsamples", builds="healthcare.sources.mtsamples:read")
class MtSamples(DataConfig):
    """Specialties of a note: all that it is filed under, or the rarest. Each distinct text is one row."""

    path: str = field("healthcare/mtsamples/mtsamples.csv.xz", "the table, here or under PLINTH_DATA")
    labels: str = field(
        "all", "all: every specialty of a text (multilabel); rarest: the rarest one (multiclass)"
    )
    min_count: int = field(50, "specialties with fewer distinct texts are dropped")
    validation_fraction: float = field(0.2, "fraction of the texts in the validation set")
    test_fraction: float = field(0.2, "fraction of the texts in the test set")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right."""
        one_of("data.labels", self.labels, LABELS)
        split_fractions("data", self.validation_fraction, self.test_fraction)


def read(config: MtSamples, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set: one row a distinct text (ignoring case and white space), so no text is in two splits."""
    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    path = resolve_path(config.path)
    table = read_table(path)
    require_columns(table.frame, {"data.path": ["transcription", "medical_specialty"]}, path)
    rows = table.frame[["transcription", "medical_specialty"]].dropna()
    rows = rows.assign(
        specialty=rows["medical_specialty"].str.strip(),
        key=rows["transcription"].str.split().str.join(" ").str.lower(),
    )
    rows = rows[rows["key"] != ""]
    distinct = rows.drop_duplicates(["key", "specialty"])
    counts = distinct["specialty"].value_counts()
    kept = distinct[distinct["specialty"].isin(counts.index[counts >= config.min_count])]
    grouped = kept.groupby("key", sort=True)
    frame = grouped["transcription"].first().reset_index()
    filings = grouped["specialty"].agg(lambda s: sorted(s, key=lambda name: (counts[name], name)))
    frame["specialties"] = [";".join(sorted(f)) if config.labels == "all" else f[0] for f in filings]
    if config.labels == "rarest":
        # a specialty that is seldom the rarest of a text would be too small a class
        rows_of = frame["specialties"].map(frame["specialties"].value_counts())
        frame = frame[rows_of >= config.min_count].reset_index(drop=True)
    return Dataset(
        frame,
        ColumnRoles(target=("specialties",), text=("transcription",)),
        name="MTSamples transcriptions",
        split=SplitPlan(
            by="stratified",
            validation_fraction=config.validation_fraction,
            test_fraction=config.test_fraction,
            seed=seed,
        ),
        unit_name="note",
        files=table.files,
        notes=[
            *table.notes,
            f"{len(table.frame):,} filings of {len(frame):,} distinct texts in "
            f"{len({name for f in frame['specialties'] for name in f.split(';')})} specialties with {config.min_count} "
            "or more of them.",
        ],
    )
