"""``data=gtsrb``: the German Traffic Sign Recognition Benchmark (Stallkamp et al. 2012), 43 classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.config import DataConfig, TaskConfig, config_error, field, register
from core.data.config import as_list

if TYPE_CHECKING:
    import pandas as pd

    from core.data.types import Dataset

COLUMNS = ("split", "n", "labels", "tracks", "frames", "widths", "heights", "image")


@register("data", "gtsrb", builds="driving.sources.gtsrb:read")
class Gtsrb(DataConfig):
    """43 traffic signs at 32 x 32 pixels; the official test part, validation by whole tracks."""

    path: str = field("driving/gtsrb/gtsrb_32x32.parquet", "the Parquet file, here or under PLINTH_DATA")
    validation_fraction: float = field(0.1, "fraction of the training tracks in the validation set")
    hold_out: Any = field(
        [],
        "signs that are not taught: their test pictures show whether the model notices what it does not know",
    )

    def read(self, task: SimulatedTask, seed: int) -> Dataset:
        """Read the strips of pictures, their signs and tracks."""
        if not 0 < self.validation < 1:
            raise config_error("data.validation", self.validation, "a share between 0 and 1")
        from driving.classes import SIGNS

        self.hold_out = as_list(self.hold_out)
        if unknown := sorted(set(self.hold_out) - set(SIGNS)):
            raise config_error("data.hold_out", unknown, f"signs of this set, which are {', '.join(SIGNS)}")
        return read(self, seed)


def read(config: Gtsrb, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set: one row a picture.

    A track is the pictures of one physical sign on one pass; all of them stay in one part. Test pictures come
    without tracks: each counts as its own. ``brightness`` is the mean luma (0 to 255), ``pixels`` the side of the
    picture before it was scaled (root of width times height).
    """
    import numpy as np
    import pandas as pd

    from core.data.readers.table import resolve_path, read_table
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan
    from driving.brightness import LUMA
    from driving.classes import SIGNS
    from driving.sources.image_strips import ppm, strip_pictures

    path = resolve_path(config.path)
    table = read_table(path)
    require_columns(table.frame, {"data.path": list(COLUMNS)}, path)
    pieces: list[pd.DataFrame] = []
    for row, strip in table.frame.iterrows():
        pixels = strip_pictures(strip["image"], int(strip["n"]), f"{path}, row {row}")
        labels, tracks = np.asarray(strip["labels"]), np.asarray(strip["tracks"])
        if labels.min() < 0 or labels.max() >= len(SIGNS):
            raise ValueError(f"{path}, row {row}: labels should be 0 to {len(SIGNS) - 1}")
        luma = pixels.astype(np.float32) @ LUMA
        sides = np.sqrt(np.asarray(strip["widths"], float) * np.asarray(strip["heights"], float))
        train = strip["split"] == "train"
        pieces.append(
            pd.DataFrame(
                {
                    "image": [ppm(p) for p in pixels],
                    "sign": [SIGNS[k] for k in labels],
                    "track": [
                        f"{k}-{t}" if train else f"test-{row}-{n}"
                        for n, (k, t) in enumerate(zip(labels, tracks, strict=True))
                    ],
                    "brightness": luma.mean(axis=(1, 2)).round(),
                    "pixels": sides.round(),
                    "split": strip["split"],
                }
            )
        )
    frame = pd.concat(pieces, ignore_index=True)
    held_out = frame["sign"].isin(config.hold_out)
    return Dataset(
        frame[~held_out].reset_index(drop=True),
        ColumnRoles(target=("sign",), image="image", sensitive=("brightness", "pixels"), unit="track"),
        name="German Traffic Sign Recognition Benchmark, 32 x 32",
        split=SplitPlan(by="column", column="split", validation_fraction=config.validation_fraction, seed=seed),
        unit_name="track",
        files=table.files,
        group_edges={"brightness": [40.0, 80.0, 120.0, 160.0], "pixels": [32.0, 48.0, 64.0, 96.0]},
        ood_sets={"held_out_signs": frame[held_out & (frame["split"] == "test")]} if config.hold_out else {},
        notes=[*table.notes, "Pictures were scaled to 32 x 32 and compressed (WebP) before they were read."],
    )
