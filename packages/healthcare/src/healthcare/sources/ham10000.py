"""``data=ham10000``: dermoscopic images of skin lesions (Tschandl et al. 2018), one image a lesion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, TaskConfig, field, register

if TYPE_CHECKING:
    from core.data.types import Dataset


@register("data", "ham10000", builds="healthcare.sources.ham10000:read")
class Ham10000(DataConfig):
    """Seven diagnoses of a skin lesion from its image alone; sex and age are compared between groups, not used."""

    path: str = field(
        "healthcare/ham10000/ham10000_96.parquet", "the Parquet file, here or under PLINTH_DATA"
    )


def read(config: Ham10000, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set: one row a lesion, the published split."""
    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    path = resolve_path(config.path)
    table = read_table(path)
    require_columns(table.frame, {"data.path": ["image", "dx", "split", "sex", "age"]}, path)
    return Dataset(
        table.frame,
        ColumnRoles(target=("dx",), image="image", sensitive=("sex", "age")),
        name="HAM10000 skin lesions (subset)",
        split=SplitPlan(by="column", column="split"),
        unit_name="lesion",
        files=table.files,
        group_edges={"age": [30.0, 45.0, 60.0, 75.0]},
        notes=table.notes,
    )
