"""``data=gtsrb``: the German Traffic Sign Recognition Benchmark (Stallkamp et al. 2012), 43 classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.config import DataConfig, TaskConfig, config_error, field, register, split_fractions
from core.data.config import as_list
from driving.classes import SIGN_CLASSES

if TYPE_CHECKING:
    import pandas as pd

    from core.data.types import Dataset

COLUMNS = ("split", "n", "labels", "tracks", "frames", "widths", "heights", "image")


@register("data", "gtsrb", builds="driving.sources.gtsrb:read")
class Gtsrb(DataConfig):
    """43 traffic signs at 32 x 32 pixels; the official test set, validation by whole tracks."""

    path: str = field("driving/gtsrb/gtsrb_32x32.parquet", "the Parquet file, here or under PLINTH_DATA")
    validation_fraction: float = field(0.1, "fraction of the training tracks in the validation set")
    held_out_classes: Any = field(
        [],
        "signs left out of training; their test images form an out-of-distribution set",
    )

    def __post_init__(self) -> None:
        """Turn a single name into a list, and raise ValueError for values that can't be right."""
        self.held_out_classes = as_list(self.held_out_classes)
        split_fractions("data", self.validation_fraction)
        if unknown := sorted(set(self.held_out_classes) - set(SIGN_CLASSES)):
            right = f"signs of this data set, which are {', '.join(SIGN_CLASSES)}"
            raise config_error("data.held_out_classes", unknown, right)


def read(config: Gtsrb, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set: one row an image.

    A track is the images of one physical sign on one pass; all of them are in one set. Test images have no tracks:
    each counts as its own. ``brightness`` is the mean luma (0 to 255), ``pixels`` the side of the
    image before it was scaled (root of width times height).
    """
    import numpy as np
    import pandas as pd

    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan
    from driving.brightness import LUMA_WEIGHTS
    from driving.sources.image_strips import encode_ppm, split_strip

    path = resolve_path(config.path)
    table = read_table(path)
    require_columns(table.frame, {"data.path": list(COLUMNS)}, path)
    frames: list[pd.DataFrame] = []
    for row, strip in table.frame.iterrows():
        pixels = split_strip(strip["image"], int(strip["n"]), f"{path}, row {row}")
        labels, tracks = np.asarray(strip["labels"]), np.asarray(strip["tracks"])
        if labels.min() < 0 or labels.max() >= len(SIGN_CLASSES):
            raise ValueError(f"{path}, row {row}: labels should be 0 to {len(SIGN_CLASSES) - 1}")
        luma = pixels.astype(np.float32) @ LUMA_WEIGHTS
        sides = np.sqrt(np.asarray(strip["widths"], float) * np.asarray(strip["heights"], float))
        is_train = strip["split"] == "train"
        frames.append(
            pd.DataFrame(
                {
                    "image": [encode_ppm(p) for p in pixels],
                    "sign": [SIGN_CLASSES[k] for k in labels],
                    "track": [
                        f"{k}-{t}" if is_train else f"test-{row}-{n}"
                        for n, (k, t) in enumerate(zip(labels, tracks, strict=True))
                    ],
                    "brightness": luma.mean(axis=(1, 2)).round(),
                    "pixels": sides.round(),
                    "split": strip["split"],
                }
            )
        )
    frame = pd.concat(frames, ignore_index=True)
    held_out = frame["sign"].isin(config.held_out_classes)
    return Dataset(
        frame[~held_out].reset_index(drop=True),
        ColumnRoles(target=("sign",), image="image", sensitive=("brightness", "pixels"), unit="track"),
        name="German Traffic Sign Recognition Benchmark, 32 x 32",
        split=SplitPlan(
            by="column", column="split", validation_fraction=config.validation_fraction, seed=seed
        ),
        unit_name="track",
        files=table.files,
        group_edges={"brightness": [40.0, 80.0, 120.0, 160.0], "pixels": [32.0, 48.0, 64.0, 96.0]},
        ood_sets={"held_out_signs": frame[held_out & (frame["split"] == "test")]}
        if config.held_out_classes
        else {},
        notes=[*table.notes, "Images were scaled to 32 x 32 and compressed (WebP) before they were read."],
    )
