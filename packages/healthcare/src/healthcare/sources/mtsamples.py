"""``data=mtsamples``: sample transcriptions, each filed under one or several specialties."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, field, register
from core.config.validate import one_of

if TYPE_CHECKING:
    from core.data.config import SimulatedTask
    from core.data.types import Dataset

LABELS = ("all", "rarest")


@register("data", "mtsamples")
class MtSamples(DataConfig):
    """Specialties of a note: all it is filed under, or the rarest of them. Each distinct text is one row."""

    path: str = field("healthcare/mtsamples/mtsamples.csv.xz", "the table, here or under PLINTH_DATA")
    labels: str = field("all", "all filings of a text (multilabel), or the rarest as its one label")
    least: int = field(50, "specialties with fewer distinct texts are left out")
    validation: float = field(0.2, "share of the texts for validation")
    test: float = field(0.2, "share of the texts for the test")

    def read(self, task: SimulatedTask, seed: int) -> Dataset:
        """Read the table and gather the filings of each distinct text."""
        return read(self, seed)


def read(config: MtSamples, seed: int) -> Dataset:
    """Make the data set: one row a distinct text (case and white space aside), so that no text is in two parts."""
    from core.data.roles import require_columns
    from core.data.readers.table import find, read_table
    from core.data.types import Dataset, ColumnRoles, SplitPlan

    one_of("data.labels", config.labels, LABELS)
    path = find(config.path)
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
    kept = distinct[distinct["specialty"].isin(counts.index[counts >= config.least])]
    grouped = kept.groupby("key", sort=True)
    frame = grouped["transcription"].first().reset_index()
    filings = grouped["specialty"].agg(lambda s: sorted(s, key=lambda name: (counts[name], name)))
    frame["specialties"] = [";".join(sorted(f)) if config.labels == "all" else f[0] for f in filings]
    if (
        config.labels == "rarest"
    ):  # a specialty that is seldom the rarest of a text would be too small a class
        rows_of = frame["specialties"].map(frame["specialties"].value_counts())
        frame = frame[rows_of >= config.least].reset_index(drop=True)
    return Dataset(
        frame,
        ColumnRoles(target=("specialties",), text=("transcription",)),
        name="MTSamples transcriptions",
        split=SplitPlan(by="stratified", validation=config.validation, test=config.test, seed=seed),
        unit_name="note",
        files=table.files,
        notes=[
            *table.notes,
            f"{len(table.frame):,} filings of {len(frame):,} distinct texts in "
            f"{len({name for f in frame['specialties'] for name in f.split(';')})} specialties with {config.least} "
            "or more of them.",
        ],
    )
