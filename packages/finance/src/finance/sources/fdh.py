"""``data=fdh``: the simulated card transactions of the Fraud Detection Handbook (Le Borgne et al. 2022)."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from core.config import DataConfig, TaskConfig, config_error, field, register
from finance.schema import LABEL_DELAY, WINDOWS, TransactionSchema, check_windows, cross_customer_note

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.data.types import Dataset

TITLE = "Simulated card transactions of the Fraud Detection Handbook"
START = "2018-04-01"
"""The second 0 of TX_TIME_SECONDS."""


@register("data", "fdh", builds="finance.sources.fdh:read")
class FraudDetectionHandbook(DataConfig):
    """Six months of simulated card payments; features of card and terminal windows, labels known after seven days."""

    path: str = field(
        "finance/fdh_simulated_transactions/transactions.parquet",
        "the transactions, in the published columns; relative paths are looked up here and under PLINTH_DATA",
    )
    train_from: str = field("2018-07-25", "first day of the training window")
    train_to: str = field("2018-07-31", "last day of the training window, whose end is the validation set")
    validation_days: int = field(2, "days at the end of the training window that form the validation set")
    test_from: str = field("2018-08-08", "first day of the test set; the label delay lies before it")
    test_to: str = field("2018-08-14", "last day of the test set")
    drop_compromised: bool = field(
        True, "drop cards whose fraud was known by a test day from that day, as the handbook does"
    )
    label_delay: float = field(LABEL_DELAY, "days until a label is known")
    windows: list[float] = field(list(WINDOWS), "lengths in days of the windows of card and terminal")
    terminal_features: bool = field(
        True, "features of terminal windows too; they use other customers' payments and labels"
    )
    history_days: float = field(45.0, "days before the training window kept as history")

    def __post_init__(self) -> None:
        """Raise ValueError for windows and days that can't be right, naming the key."""
        check_windows(self.windows, self.label_delay)
        window_days(self)

    def schema(self) -> TransactionSchema:
        """Return the columns of a transaction."""
        return TransactionSchema(
            card="CUSTOMER_ID",
            time="TX_DATETIME",
            amount="TX_AMOUNT",
            label="TX_FRAUD",
            terminal="TERMINAL_ID" if self.terminal_features else None,
            id="TRANSACTION_ID",
            windows=tuple(self.windows),
            label_delay=self.label_delay,
        )


def read(config: FraudDetectionHandbook, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set; split by day, with the label delay between training window and test set."""
    import pandas as pd

    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns
    from core.data.types import ColumnRoles, Dataset, SplitPlan
    from finance.windows import window_features

    days = window_days(config)
    path = resolve_path(config.path)
    table = read_table(path)
    raw = table.frame
    published = ["TRANSACTION_ID", "TX_TIME_SECONDS", "CUSTOMER_ID", "TERMINAL_ID", "TX_FRAUD"]
    require_columns(raw, {"data.path": published}, path)
    if "TX_AMOUNT" not in raw:
        require_columns(raw, {"data.path": ["TX_AMOUNT_CENTS"]}, path)
        raw["TX_AMOUNT"] = raw["TX_AMOUNT_CENTS"] / 100
    day = (raw["TX_TIME_SECONDS"] // 86_400).to_numpy()
    used = (day >= days["train_from"] - config.history_days - config.label_delay - max(config.windows)) & (
        day <= days["test_to"]
    )
    frame, day = raw.loc[used, [*published, "TX_AMOUNT"]].copy(), day[used]
    frame["TX_DATETIME"] = pd.Timestamp(START) + pd.to_timedelta(frame["TX_TIME_SECONDS"], unit="s")
    schema = config.schema()
    frame = frame.drop(columns="TX_TIME_SECONDS").join(window_features(frame, schema))
    part = assign_splits(day, frame["CUSTOMER_ID"].to_numpy(), frame["TX_FRAUD"].to_numpy(), days, config)
    frame["part"] = part
    kept = day >= days["train_from"] - config.history_days
    notes = [
        *table.notes,
        f"Windows of {', '.join(f'{w:g}' for w in config.windows)} days end before the transaction; labels enter "
        f"terminal features {config.label_delay:g} days late.",
        "The published column of fraud scenarios is not used.",
    ]
    if config.drop_compromised:
        dropped = int(((day >= days["test_from"]) & (part == "none")).sum())
        notes.append(f"{dropped:,} test rows of cards known as compromised by then are in no set.")
    return Dataset(
        frame[kept].reset_index(drop=True),
        ColumnRoles(
            target=("TX_FRAUD",),
            numeric=("TX_AMOUNT", *schema.features()),
            unit="CUSTOMER_ID",
            time="TX_DATETIME",
        ),
        name=TITLE,
        split=SplitPlan(by="column", column="part", disjoint_entities=False),
        unit_name="customer",
        files=table.files,
        notes=notes,
        cross_unit_inputs=cross_customer_note("data.terminal_features=false")
        if config.terminal_features
        else "",
    )


def window_days(config: FraudDetectionHandbook) -> dict[str, int]:
    """Return first and last days of the windows, counted from START; raises ValueError for a wrong order."""
    days = {}
    for key in ("train_from", "train_to", "test_from", "test_to"):
        try:
            days[key] = (date.fromisoformat(getattr(config, key)) - date.fromisoformat(START)).days
        except ValueError as error:
            raise config_error(f"data.{key}", getattr(config, key), "a day such as 2018-07-25") from error
    if config.validation_days < 1 or days["train_to"] - days["train_from"] < config.validation_days:
        raise config_error(
            "data.validation_days", config.validation_days, "at least 1, and shorter than the training window"
        )
    if days["test_from"] <= days["train_to"] + config.label_delay:
        raise config_error(
            "data.test_from",
            config.test_from,
            f"more than {config.label_delay:g} days after data.train_to={config.train_to}: labels are known that late",
        )
    if days["test_to"] < days["test_from"]:
        raise config_error("data.test_to", config.test_to, f"not before data.test_from={config.test_from}")
    return days


def assign_splits(
    day: NDArray[np.int64],
    card: NDArray[np.int64],
    fraud: NDArray[np.int64],
    days: dict[str, int],
    config: FraudDetectionHandbook,
) -> NDArray[np.str_]:
    """Return the set of each row, (N,): train, validation, test, or none.

    With ``drop_compromised`` a test day has no card with a known fraud: in the training window or since then, more
    than ``label_delay`` days before it (the handbook's get_train_test_set).
    """
    import numpy as np

    part = np.full(len(day), "none", dtype="U10")
    inside = (day >= days["train_from"]) & (day <= days["train_to"])
    part[inside] = "train"
    part[inside & (day > days["train_to"] - config.validation_days)] = "validation"
    for today in range(days["test_from"], days["test_to"] + 1):
        chosen = day == today
        if config.drop_compromised:
            known = (day >= days["train_from"]) & (day < today - config.label_delay) & (fraud == 1)
            chosen &= ~np.isin(card, card[known])
        part[chosen] = "test"
    return part
