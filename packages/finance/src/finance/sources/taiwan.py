"""``data=taiwan``: default of credit card clients in Taiwan, 2005 (Yeh and Lien 2009)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, TaskConfig, field, register, split_fractions

if TYPE_CHECKING:
    import pandas as pd

    from core.data.types import Dataset

TITLE = "Default of credit card clients, Taiwan 2005"
TARGET = ("default payment next month", "default.payment.next.month", "default payment", "Y")
"""Names of the target in the copies in circulation."""
STATUS = ("PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6")
"""Repayment status, September back to April 2005: months of delay; -2 no use, -1 paid in full, 0 revolving."""
MONTHS = (1, 2, 3, 4, 5, 6)
NAMES = {
    "SEX": {"1": "male", "2": "female"},
    "EDUCATION": {"1": "graduate school", "2": "university", "3": "high school", "4": "others"},
    "MARRIAGE": {"1": "married", "2": "single", "3": "other"},
}


@register("data", "taiwan", builds="finance.sources.taiwan:read")
class Taiwan(DataConfig):
    """Default next month of 30,000 clients from six months of bills and payments."""

    path: str = field(
        "finance/taiwan_credit_default/credit-card-clients.csv.gz",
        "the published table as CSV, also compressed; relative paths are looked up here and under PLINTH_DATA",
    )
    use_sensitive: bool = field(
        False, "use SEX, EDUCATION, MARRIAGE and AGE as inputs; they are compared between groups anyway"
    )
    validation_fraction: float = field(0.2, "fraction of the clients in the validation set")
    test_fraction: float = field(0.2, "fraction of the clients in the test set")

    def __post_init__(self) -> None:
        """Raise ValueError for fractions that can't be right."""
        split_fractions("data", self.validation_fraction, self.test_fraction)


def read(config: Taiwan, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set: one row a client, a stratified split that keeps copies of a row together."""
    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan

    path = resolve_path(config.path)
    table = read_table(path)
    raw = table.frame
    target = next((name for name in TARGET if name in raw), None)
    if target is None:
        raise ValueError(f"{path}: no column {' or '.join(map(repr, TARGET))} with the defaults")
    amounts = [f"{what}{m}" for what in ("BILL_AMT", "PAY_AMT") for m in MONTHS]
    require_columns(raw, {"data.path": ["LIMIT_BAL", *NAMES, "AGE", *STATUS, *amounts]}, path)
    frame = build_features(raw, target)
    sensitive = (*NAMES, "AGE")
    not_inputs = {"default", *sensitive}
    numeric = tuple(c for c in frame.columns if c not in not_inputs and c not in STATUS)
    return Dataset(
        frame,
        ColumnRoles(
            target=("default",),
            numeric=(*numeric, "AGE") if config.use_sensitive else numeric,
            categorical=(*STATUS, *NAMES) if config.use_sensitive else STATUS,
            sensitive=sensitive,
        ),
        name=TITLE,
        split=SplitPlan(
            by="stratified",
            validation_fraction=config.validation_fraction,
            test_fraction=config.test_fraction,
            seed=seed,
        ),
        unit_name="client",
        files=table.files,
        group_names=NAMES,
        group_edges={"AGE": [25.0, 35.0, 45.0, 55.0]},
        notes=[
            *table.notes,
            "EDUCATION 0, 5, 6 and MARRIAGE 0 are not documented: they are counted as others.",
            "Copies of a client's row are in one set.",
        ],
    )


def build_features(raw: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return inputs from the published rows: statuses as categories and as numbers, utilization, trends."""
    import numpy as np
    import pandas as pd

    columns: dict[str, object] = {
        "SEX": raw["SEX"],
        "EDUCATION": raw["EDUCATION"].where(raw["EDUCATION"].between(1, 4), 4),
        "MARRIAGE": raw["MARRIAGE"].where(raw["MARRIAGE"].between(1, 3), 3),
        "AGE": raw["AGE"].astype(float),
        "default": np.where(raw[target] == 1, "yes", "no"),
        "LIMIT_BAL": raw["LIMIT_BAL"].astype(float),
    }
    limit = raw["LIMIT_BAL"].to_numpy(np.float64)
    status = raw[list(STATUS)].to_numpy(np.float64)
    bill = raw[[f"BILL_AMT{m}" for m in MONTHS]].to_numpy(np.float64)
    paid = raw[[f"PAY_AMT{m}" for m in MONTHS]].to_numpy(np.float64)
    columns |= {name: raw[name].astype(int).astype(str) for name in STATUS}
    late = np.maximum(status, 0.0)
    columns |= {
        "months_late": (status > 0).sum(1).astype(float),
        "latest_late": late[:, 0],
        "most_late": late.max(1),
        "late_sum": late.sum(1),
        "late_weighted": (late / np.arange(1, 7)).sum(1),
        "late_rise": late[:, 0] - late[:, 1:].mean(1),
        "months_unused": (status == -2).sum(1).astype(float),
        "months_paid_in_full": (status == -1).sum(1).astype(float),
    }
    use = bill / limit[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        # the bill of month m + 1 is what was paid off by the payment of month m
        share = np.where(bill[:, 1:] > 0, np.minimum(paid[:, :-1] / bill[:, 1:], 2.0), np.nan)
    for m in MONTHS:
        columns[f"use_{m}"] = use[:, m - 1]
        columns[f"bill_{m}"] = bill[:, m - 1]
        columns[f"paid_{m}"] = np.log1p(paid[:, m - 1])
        if m < 6:
            columns[f"paid_share_{m}"] = share[:, m - 1]
    columns |= {
        "use_mean": use.mean(1),
        "use_most": use.max(1),
        "use_rise": use[:, 0] - use[:, 5],
        "paid_mean": np.log1p(paid.mean(1)),
        "paid_least": np.log1p(paid.min(1)),
        "paid_of_limit": paid.sum(1) / limit,
        "months_unpaid": (paid == 0).sum(1).astype(float),
        "room": limit - bill[:, 0],
    }
    return pd.DataFrame(columns, index=raw.index)
