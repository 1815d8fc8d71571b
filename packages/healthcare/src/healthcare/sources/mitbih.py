"""``data=mitbih``: heartbeats of the MIT-BIH arrhythmia database, AAMI classes, between patients.

The split is that of de Chazal et al., IEEE TBME 51:1196 (2004). Beats are normalized by their own recording:
a second channel holds the recording's median regular beat, and intervals are compared with its median interval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.config import DataConfig, TaskConfig, field, register, split_fractions

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from core.data.types import Dataset

CLASSES = ("N", "S", "V", "F")
SAME_SUBJECT = {202: 201}
"""Record 202 is the subject of record 201."""
QRS = slice(40, 75)
BEFORE_QRS = slice(20, 45)
"""Samples at 125 Hz, the beat at 56: the ventricular complex, and where the P wave is."""
FEATURES = (
    "rr_before_s", "rr_after_s", "before_to_median", "after_to_median", "before_to_after", "like_median_beat",
    "like_median_qrs", "like_median_p", "height_to_median", "p_height_to_median",
)  # fmt: skip


@register("data", "mitbih", builds="healthcare.sources.mitbih:read")
class MitBih(DataConfig):
    """Class of a beat (normal, supraventricular, ventricular, fusion) in recordings of unseen patients."""

    path: str = field(
        "healthcare/mitbih_beats/mitbih_beats.parquet", "the Parquet file, here or under PLINTH_DATA"
    )
    validation_fraction: float = field(0.25, "fraction of the training patients in the validation set")

    def __post_init__(self) -> None:
        """Raise ValueError for a fraction that can't be right."""
        split_fractions("data", self.validation_fraction)


def read(config: MitBih, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set: one row a beat, DS1 for training and validation, DS2 for testing, no patient in both."""
    import pandas as pd

    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    path = resolve_path(config.path)
    table = read_table(path)
    needed = [
        "signal",
        "scale_uv",
        "aami",
        "record",
        "split",
        "sex",
        "age",
        "rr_pre_ms",
        "rr_post_ms",
        "sample_360hz",
    ]
    require_columns(table.frame, {"data.path": needed}, path)
    beats = table.frame
    beats = beats[(beats["split"] != "paced") & beats["aami"].isin(CLASSES)]
    patient = beats["record"].map(lambda r: SAME_SUBJECT.get(int(r), int(r)))
    known = set(patient[beats["split"] == "train"])
    both = (beats["split"] == "test") & patient.isin(known)
    beats = beats.assign(patient=patient.map(lambda p: f"record {p}"))[~both]
    beats = beats.sort_values(["record", "sample_360hz"]).reset_index(drop=True)
    described = pd.concat(
        [beat_features(own) for _, own in beats.groupby("record", sort=True)], ignore_index=True
    )
    frame = pd.concat([beats[["patient", "record", "split", "sex", "age", "aami"]], described], axis=1)
    return Dataset(
        frame,
        ColumnRoles(
            target=("aami",), numeric=FEATURES, signal="beat", sensitive=("sex", "age"), unit="patient"
        ),
        name="MIT-BIH heartbeats",
        split=SplitPlan(
            by="column", column="split", validation_fraction=config.validation_fraction, seed=seed
        ),
        unit_name="patient",
        files=table.files,
        group_edges={"age": [45.0, 65.0, 75.0]},
        notes=[
            *table.notes,
            f"{int(both.sum()):,} beats of record 202 were dropped from the test set: record 201, "
            "in the training set, is the same patient.",
            "Each beat is normalized by its whole recording (median RR interval, median regular beat), as when a "
            "finished recording is read; no label enters that normalization.",
            "The file holds at most 400 normal beats a record: class frequencies are not natural.",
        ],
    )


def beat_features(beats: pd.DataFrame) -> pd.DataFrame:
    """Return the signal ``beat`` (128, 2) and FEATURES of the beats of one recording, given in order of time."""
    import numpy as np
    import pandas as pd

    signal = np.stack(list(beats["signal"])).astype(np.float32) * beats["scale_uv"].to_numpy()[:, None] / 1000
    intervals = beats[["rr_pre_ms", "rr_post_ms"]].clip(200, 3000)
    before, after = (intervals.fillna(intervals.median()) / 1000).to_numpy(np.float64).T
    middle = np.median(before)
    regular = np.abs(before / after - 1) < 0.15
    if regular.sum() < 20:
        regular[:] = True
    typical = np.median(signal[regular], axis=0)
    height = max(float(np.ptp(typical)), 0.3)
    p_height = max(float(np.ptp(typical[BEFORE_QRS])), 0.02)
    columns = [
        before, after, np.log(before / middle), np.log(after / middle), np.log(before / after),
        _correlation(signal, typical), _correlation(signal[:, QRS], typical[QRS]),
        _correlation(signal[:, BEFORE_QRS], typical[BEFORE_QRS]),
        np.log(np.maximum(np.ptp(signal, axis=1), 0.1) / height),
        np.log(np.maximum(np.ptp(signal[:, BEFORE_QRS], axis=1), 0.02) / p_height),
    ]  # fmt: skip
    found: dict[str, Any] = dict(zip(FEATURES, columns, strict=True))
    pair = np.stack([signal, np.broadcast_to(typical, signal.shape)], axis=2) / height
    found["beat"] = list(pair.astype(np.float32))
    return pd.DataFrame(found)


def _correlation(beats_NT: NDArray[np.float32], typical_T: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the Pearson correlation of each row with one curve."""
    import numpy as np

    rows = beats_NT - beats_NT.mean(axis=1, keepdims=True)
    curve = typical_T - typical_T.mean()
    scale = np.sqrt((rows**2).sum(axis=1) * (curve**2).sum()) + 1e-6
    return np.asarray((rows @ curve) / scale, dtype=np.float64)
