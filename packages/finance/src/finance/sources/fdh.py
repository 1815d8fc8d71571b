"""``data=fdh``: the simulated card transactions of the Fraud Detection Handbook (Le Borgne et al. 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.config import DataConfig, config_error, field, register
from finance.schema import LABEL_DELAY, WINDOWS, TransactionSchema, cross_customer_note

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from core.data.config import SimulatedTask
    from core.data.types import Dataset

TITLE = "Simulated card transactions of the Fraud Detection Handbook"
START = "2018-04-01"
"""The second 0 of TX_TIME_SECONDS."""


@register("data", "fdh")
class FraudDetectionHandbook(DataConfig):
    """Six months of simulated card payments; windows of card and terminal, labels known after seven days."""

    path: str = field(
        "finance/fdh_simulated_transactions/transactions.parquet",
        "the transactions, in the published columns; relative paths are looked up here and under PLINTH_DATA",
    )
    train_from: str = field("2018-07-25", "first day of the training window")
    train_to: str = field("2018-07-31", "last day of the training window; its end is the validation part")
    validation_days: int = field(2, "days at the end of the training window that are the validation part")
    test_from: str = field("2018-08-08", "first day of the test; before it the labels' delay")
    test_to: str = field("2018-08-14", "last day of the test")
    drop_compromised: bool = field(
        True, "leave cards whose fraud was known by a test day out of that day, as the handbook does"
    )
    delay: float = field(LABEL_DELAY, "days until a label is known")
    windows: list[float] = field(list(WINDOWS), "days of the windows of card and terminal")
    terminal: bool = field(
        True, "windows of terminals too; they are made of other customers' payments and labels"
    )
    history_days: float = field(45.0, "days before the training window kept as history")

    def schema(self) -> TransactionSchema:
        """Name the columns of a transaction."""
        return TransactionSchema(
            card="CUSTOMER_ID",
            time="TX_DATETIME",
            amount="TX_AMOUNT",
            label="TX_FRAUD",
            terminal="TERMINAL_ID" if self.terminal else None,
            id="TRANSACTION_ID",
            windows=tuple(self.windows),
            delay=self.delay,
        )

    def read(self, task: SimulatedTask, seed: int) -> Dataset:
        """Read the transactions, sum up their pasts and part them by day."""
        return read(self)


def read(config: FraudDetectionHandbook) -> Dataset:
    """Make the data set; parts by day, with the label's delay between training window and test."""
    import pandas as pd

    from core.data.roles import require_columns
    from core.data.readers.table import find, read_table
    from core.data.types import Dataset, ColumnRoles, SplitPlan
    from finance.sources.transactions import check_windows
    from finance.windows import window_features

    check_windows(config.windows, config.delay)
    days = _days(config)
    path = find(config.path)
    table = read_table(path)
    raw = table.frame
    published = ["TRANSACTION_ID", "TX_TIME_SECONDS", "CUSTOMER_ID", "TERMINAL_ID", "TX_FRAUD"]
    require_columns(raw, {"data.path": published}, path)
    if "TX_AMOUNT" not in raw:
        require_columns(raw, {"data.path": ["TX_AMOUNT_CENTS"]}, path)
        raw["TX_AMOUNT"] = raw["TX_AMOUNT_CENTS"] / 100
    day = (raw["TX_TIME_SECONDS"] // 86_400).to_numpy()
    used = (day >= days["train_from"] - config.history_days - config.delay - max(config.windows)) & (
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
        f"terminal risks {config.delay:g} days late.",
        "The scenario column is read by nothing.",
    ]
    if config.drop_compromised:
        left = int(((day >= days["test_from"]) & (part == "none")).sum())
        notes.append(f"{left:,} test rows of cards known as compromised by then are in no part.")
    return Dataset(
        frame[kept].reset_index(drop=True),
        ColumnRoles(
            target=("TX_FRAUD",),
            numeric=("TX_AMOUNT", *schema.features()),
            unit="CUSTOMER_ID",
            time="TX_DATETIME",
        ),
        name=TITLE,
        split=SplitPlan(by="column", column="part", units_apart=False),
        unit_name="customer",
        files=table.files,
        notes=notes,
        of_others=cross_customer_note("data.terminal=false") if config.terminal else "",
    )


def _days(config: FraudDetectionHandbook) -> dict[str, int]:
    """Count the days of the windows from the first one, raising ValueError for an order that can't be."""
    import pandas as pd

    days = {}
    for key in ("train_from", "train_to", "test_from", "test_to"):
        try:
            days[key] = (pd.Timestamp(getattr(config, key)) - pd.Timestamp(START)).days
        except ValueError as error:
            raise config_error(f"data.{key}", getattr(config, key), "a day such as 2018-07-25") from error
    if config.validation_days < 1 or days["train_to"] - days["train_from"] < config.validation_days:
        raise config_error(
            "data.validation_days", config.validation_days, "at least 1, and shorter than the training window"
        )
    if days["test_from"] <= days["train_to"] + config.delay:
        raise config_error(
            "data.test_from",
            config.test_from,
            f"more than {config.delay:g} days after data.train_to={config.train_to}: labels come so late",
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
    """Name the part of each row, (N,): train, validation, test, or none.

    With ``drop_compromised`` a test day has none of the cards with a fraud in the training window or in the days
    since then whose labels had come: those more than ``delay`` days before it (the handbook's get_train_test_set).
    """
    import numpy as np

    part = np.full(len(day), "none", dtype="U10")
    inside = (day >= days["train_from"]) & (day <= days["train_to"])
    part[inside] = "train"
    part[inside & (day > days["train_to"] - config.validation_days)] = "validation"
    for today in range(days["test_from"], days["test_to"] + 1):
        chosen = day == today
        if config.drop_compromised:
            known = (day >= days["train_from"]) & (day < today - config.delay) & (fraud == 1)
            chosen &= ~np.isin(card, card[known])
        part[chosen] = "test"
    return part
