"""``data=camvid``: the Cambridge-driving Labeled Video Database (Brostow et al. 2009), 11 classes of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, TaskConfig, field, register

if TYPE_CHECKING:
    from core.data.types import Dataset

DRIVES = {"0001TP": "dusk", "0006R0": "day", "0016E5": "day", "Seq05VD": "day"}
"""Light of each drive, as the data set's authors describe it."""


@register("data", "camvid", builds="driving.sources.camvid:read")
class CamVid(DataConfig):
    """11 classes of pixels in street scenes at 320 x 240; the split of SegNet."""

    path: str = field("driving/camvid/camvid_320x240.parquet", "the Parquet file, here or under PLINTH_DATA")


def read(config: CamVid, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set: one row a frame, the published split.

    Its sets are not independent: all validation frames are of a training drive, and one drive (0001TP) is in the
    training and the test set. ``brightness`` is the mean luma of a frame (0 to 255).
    """
    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan
    from driving.brightness import mean_luma
    from driving.classes import SCENE_CLASSES

    path = resolve_path(config.path)
    table = read_table(path)
    require_columns(table.frame, {"data.path": ["name", "split", "sequence", "image", "mask"]}, path)
    frame = table.frame[["name", "split", "sequence", "image", "mask"]].copy()
    frame["light"] = frame["sequence"].map(DRIVES)
    frame["brightness"] = mean_luma(frame["image"])
    return Dataset(
        frame,
        ColumnRoles(
            target=("mask",), image="image", mask_classes=SCENE_CLASSES, sensitive=("light", "brightness")
        ),
        name="CamVid street scenes, 320 x 240",
        split=SplitPlan(by="column", column="split"),
        unit_name="frame",
        files=table.files,
        group_edges={"brightness": [70.0, 85.0, 100.0]},
        notes=[
            *table.notes,
            "Frames were scaled to 320 x 240 and compressed (WebP) before they were read.",
            "The published sets share drives: validation is of a training drive (0016E5), and 0001TP is in training "
            "and test. Intervals resample frames, which are correlated: intervals over drives would be wider.",
        ],
    )
