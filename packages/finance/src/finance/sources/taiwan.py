"""``data=taiwan``: default of credit card clients in Taiwan, 2005 (Yeh and Lien 2009)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, field, register

if TYPE_CHECKING:
    import pandas as pd

    from core.data.config import SimulatedTask
    from core.data.types import Dataset

TITLE = "Default of credit card clients, Taiwan 2005"
TARGET = ("default payment next month", "default.payment.next.month", "default payment", "Y")
"""Names of the target in the copies that go round."""
STATUS = ("PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6")
"""Repayment status, September back to April 2005: months of delay; -2 no use, -1 paid in full, 0 revolving."""
MONTHS = (1, 2, 3, 4, 5, 6)
NAMES = {
    "SEX": {"1": "male", "2": "female"},
    "EDUCATION": {"1": "graduate school", "2": "university", "3": "high school", "4": "others"},
    "MARRIAGE": {"1": "married", "2": "single", "3": "other"},
}


@register("data", "taiwan")
class Taiwan(DataConfig):
    """Default next month of 30,000 clients from six months of bills and payments."""

    path: str = field(
        "finance/taiwan_credit_default/credit-card-clients.csv.gz",
        "the published table as CSV, also compressed; relative paths are looked up here and under PLINTH_DATA",
    )
    use_sensitive: bool = field(
        False, "let the model see SEX, EDUCATION, MARRIAGE and AGE; they are compared between groups anyway"
    )
    validation: float = field(0.2, "share of the clients for validation")
    test: float = field(0.2, "share of the clients for the test")

    def read(self, task: SimulatedTask, seed: int) -> Dataset:
        """Read the table and add what the months say together."""
        return read(self, seed)


def read(config: Taiwan, seed: int) -> Dataset:
    """Make the data set: one row a client, parts stratified, copies of a row kept together."""
    from core.data.roles import require_columns
    from core.data.readers.table import find, read_table
    from core.data.types import Dataset, ColumnRoles, SplitPlan

    path = find(config.path)
    table = read_table(path)
    raw = table.frame
    target = next((name for name in TARGET if name in raw), None)
    if target is None:
        raise ValueError(f"{path}: no column {' or '.join(map(repr, TARGET))} that says who defaulted")
    amounts = [f"{what}{m}" for what in ("BILL_AMT", "PAY_AMT") for m in MONTHS]
    require_columns(raw, {"data.path": ["LIMIT_BAL", *NAMES, "AGE", *STATUS, *amounts]}, path)
    frame = prepare(raw, target)
    sensitive = (*NAMES, "AGE")
    outside = {"default", *sensitive}
    numeric = tuple(c for c in frame.columns if c not in outside and c not in STATUS)
    seen = config.use_sensitive
    return Dataset(
        frame,
        ColumnRoles(
            target=("default",),
            numeric=(*numeric, "AGE") if seen else numeric,
            categorical=(*STATUS, *NAMES) if seen else STATUS,
            sensitive=sensitive,
        ),
        name=TITLE,
        split=SplitPlan(by="stratified", validation=config.validation, test=config.test, seed=seed),
        unit_name="client",
        files=table.files,
        group_names=NAMES,
        group_edges={"AGE": [25.0, 35.0, 45.0, 55.0]},
        notes=[
            *table.notes,
            "EDUCATION 0, 5, 6 and MARRIAGE 0 are not documented: they are shown with the others.",
            "Copies of a client's row go to one part.",
        ],
    )


def prepare(raw: pd.DataFrame, target: str) -> pd.DataFrame:
    """Turn published rows into inputs: statuses as categories and as numbers, shares of the limit, trends."""
    import numpy as np
    import pandas as pd

    made: dict[str, object] = {
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
    made |= {name: raw[name].astype(int).astype(str) for name in STATUS}
    late = np.maximum(status, 0.0)
    made |= {
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
        made[f"use_{m}"] = use[:, m - 1]
        made[f"bill_{m}"] = bill[:, m - 1]
        made[f"paid_{m}"] = np.log1p(paid[:, m - 1])
        if m < 6:
            made[f"paid_share_{m}"] = share[:, m - 1]
    made |= {
        "use_mean": use.mean(1),
        "use_most": use.max(1),
        "use_rise": use[:, 0] - use[:, 5],
        "paid_mean": np.log1p(paid.mean(1)),
        "paid_least": np.log1p(paid.min(1)),
        "paid_of_limit": paid.sum(1) / limit,
        "months_unpaid": (paid == 0).sum(1).astype(float),
        "room": limit - bill[:, 0],
    }
    return pd.DataFrame(made, index=raw.index)
