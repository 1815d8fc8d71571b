"""``data=heart``: UCI heart disease, any of its four sites in the processed 14-column layout (Detrano et al. 1989)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, TaskConfig, config_error, field, register

if TYPE_CHECKING:
    import pandas as pd

    from core.data.types import Dataset

SITES = {
    "cleveland": "processed.cleveland.data",
    "hungarian": "reprocessed.hungarian.data",
    "switzerland": "processed.switzerland.data",
    "va": "processed.va.data",
}
COLUMNS = (
    "age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope", "ca", "thal",
    "num",
)  # fmt: skip
CATEGORIES = ("sex", "cp", "fbs", "restecg", "exang", "slope", "thal")
NUMBERS = ("age", "trestbps", "chol", "thalach", "oldpeak", "ca")


@register("data", "heart", builds="healthcare.sources.heart:read")
class Heart(DataConfig):
    """Whether angiography finds heart disease (any vessel narrowed by half)."""

    folder: str = field("healthcare/uci_heart", "folder of the published files, here or under PLINTH_DATA")
    sites: list[str] = field(["cleveland"], "cleveland, hungarian, switzerland, va")
    fold: int = field(-1, "cross-validation: the test set is this fold of five (0 to 4); -1: a random fifth")
    repeat: int = field(0, "cross-validation: which of the repeated five-fold partitions")

    def __post_init__(self) -> None:
        """Raise ValueError for unknown sites and folds."""
        unknown = [s for s in self.sites if s not in SITES]
        if unknown or not self.sites:
            raise config_error("data.sites", list(self.sites), f"one or more of {', '.join(SITES)}")
        if not -1 <= self.fold <= 4:
            raise config_error("data.fold", self.fold, "-1 for none, or 0 to 4")


def read(config: Heart, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set: one row a patient, split by stratified sampling or by cross-validation fold."""
    import pandas as pd

    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    frames: list[pd.DataFrame] = []
    files: dict[str, str] = {}
    for site in config.sites:
        path = resolve_path(f"{config.folder}/{SITES[site]}", "data.folder")
        table = read_table(
            path, names=list(COLUMNS), delimiter=" " if site == "hungarian" else ",", missing=["?", "-9"]
        )
        frames.append(table.frame.assign(site=site))
        files |= table.files
    frame = pd.concat(frames, ignore_index=True)
    for name in CATEGORIES:
        frame[name] = frame[name].map(lambda v: f"{float(v):g}", na_action="ignore").astype(object)
    for name in NUMBERS:
        frame[name] = frame[name].astype(float)
    frame["disease"] = (frame["num"].astype(float) > 0).map({True: "yes", False: "no"})
    split = SplitPlan(by="stratified", seed=seed)
    if config.fold >= 0:
        frame["split"] = _fold(frame, config.fold, config.repeat)
        split = SplitPlan(by="column", column="split", validation_fraction=0.1, seed=seed)
    return Dataset(
        frame,
        ColumnRoles(
            target=("disease",),
            numeric=NUMBERS,
            categorical=CATEGORIES if len(config.sites) == 1 else (*CATEGORIES, "site"),
            sensitive=("sex", "age"),
        ),
        name=f"UCI heart disease ({', '.join(config.sites)})",
        split=split,
        unit_name="patient",
        files=files,
        group_names={"sex": {"0": "female", "1": "male"}},
        group_edges={"age": [50.0, 60.0]},
    )


def _fold(frame: pd.DataFrame, fold: int, repeat: int) -> pd.Series[str]:
    import pandas as pd
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(5, shuffle=True, random_state=repeat)
    assigned = pd.Series("train", index=frame.index, dtype=object)
    _, test = list(folds.split(frame, frame["disease"]))[fold]
    assigned.iloc[test] = "test"
    return assigned
