"""``data=ham10000``: dermoscopic pictures of skin lesions (Tschandl et al. 2018), one a lesion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, field, register

if TYPE_CHECKING:
    from core.data.config import SimulatedTask
    from core.data.types import Dataset


@register("data", "ham10000")
class Ham10000(DataConfig):
    """Seven diagnoses of a skin lesion from its picture alone; sex and age are compared, not used."""

    path: str = field(
        "healthcare/ham10000/ham10000_96.parquet", "the Parquet file, here or under PLINTH_DATA"
    )

    def read(self, task: SimulatedTask, seed: int) -> Dataset:
        """Read pictures, diagnoses and the file's own split."""
        return read(self)


def read(config: Ham10000) -> Dataset:
    """Make the data set: one row a lesion, the split that the file names."""
    from core.data.roles import require_columns
    from core.data.readers.table import find, read_table
    from core.data.types import Dataset, ColumnRoles, SplitPlan

    path = find(config.path)
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
