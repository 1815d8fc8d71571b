"""``data=transactions``: a table of your own card transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.config import DataConfig, config_error, field, register
from core.data.config import names
from finance.schema import LABEL_DELAY, WINDOWS, TransactionSchema, cross_customer_note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.data.config import SimulatedTask
    from core.data.types import Dataset


@register("data", "transactions")
class Transactions(DataConfig):
    """Your own transactions: card, time, amount, label, and where you have them terminal and more."""

    path: str = field("", "the file; relative paths are looked up here and under PLINTH_DATA")
    card: str = field("card", "column of the card or account")
    time: str = field("time", "column of the moment: dates and times, or numbers")
    amount: str = field("amount", "column of the amount")
    label: str = field("fraud", "column of the label: 1 = fraud, 0 = not, empty = not known")
    terminal: str | None = field(None, "column of the terminal or merchant")
    id: str | None = field(None, "column that tells a transaction from all others (for the monitor)")
    customer: str | None = field(None, "column of the cards' owner: unit of privacy and of the intervals")
    numeric: Any = field([], "further input columns to read as numbers")
    categorical: Any = field([], "further input columns to read as categories")
    sensitive: Any = field([], "columns of sensitive attributes, compared between groups")
    per_day: float = field(1.0, "units of a numeric time that make one day (86400 for seconds)")
    delay: float = field(LABEL_DELAY, "days until a label is known; left out before validation and test")
    windows: list[float] = field(list(WINDOWS), "days of the windows of card and terminal")
    validation: float = field(0.2, "share of the rows for validation, the latest before the test's gap")
    test: float = field(0.2, "share of the rows for the test, the latest")

    def __post_init__(self) -> None:
        """Let one name stand for a list of one."""
        for key in ("numeric", "categorical", "sensitive"):
            setattr(self, key, names(getattr(self, key)))

    def schema(self) -> TransactionSchema:
        """Name the columns of a transaction."""
        return TransactionSchema(
            card=self.card,
            time=self.time,
            amount=self.amount,
            label=self.label,
            terminal=self.terminal,
            id=self.id,
            unit=self.customer,
            others=(*self.numeric, *self.categorical),
            windows=tuple(self.windows),
            delay=self.delay,
            per_day=self.per_day,
        )

    def read(self, task: SimulatedTask, seed: int) -> Dataset:
        """Read the table, sum up pasts, and part it by time."""
        return read(self, seed)


def check_windows(windows: Sequence[float], delay: float) -> None:
    """Refuse windows and delays that can't be, naming the key."""
    if not windows or min(windows) <= 0 or len(set(windows)) < len(windows):
        raise config_error("data.windows", list(windows), "one or more different numbers of days above 0")
    if delay < 0:
        raise config_error("data.delay", delay, "zero days or more")


def read(config: Transactions, seed: int) -> Dataset:
    """Make the data set: rows with a label, with what was known of card and terminal beside them.

    Rows without a label count in the windows of later rows only.
    """
    import numpy as np

    from core.data.roles import require_columns
    from core.data.readers.table import find, read_table
    from core.data.types import Dataset, ColumnRoles, SplitPlan
    from core.data.coercion import is_numbers
    from finance.windows import window_features, parse_labels

    check_windows(config.windows, config.delay)
    for key in ("validation", "test"):
        if not 0 < getattr(config, key) < 1:
            raise config_error(f"data.{key}", getattr(config, key), "a share of the rows between 0 and 1")
    if config.validation + config.test >= 1:
        raise config_error("data.validation", config.validation, "with data.test nothing is left to train on")
    if config.per_day <= 0:
        raise config_error("data.per_day", config.per_day, "above 0: how many units of the time make a day")
    path = find(config.path)
    table = read_table(path)
    frame, schema = table.frame, config.schema()
    asked: dict[str, Sequence[str]] = {
        f"data.{key}": [value]
        for key in ("card", "time", "amount", "label", "terminal", "id", "customer")
        if (value := getattr(config, key)) is not None
    }
    asked |= {f"data.{key}": getattr(config, key) for key in ("numeric", "categorical", "sensitive")}
    require_columns(frame, asked, path)
    known = ~np.isnan(parse_labels(frame[schema.label], schema.label))
    frame = frame.join(window_features(frame, schema))
    notes = [*table.notes]
    if not known.all():
        notes.append(
            f"{int((~known).sum()):,} rows without a label count in the windows of later rows and are left out."
        )
        frame = frame[known]
    numbered = is_numbers(frame[schema.time])
    return Dataset(
        frame,
        ColumnRoles(
            target=(schema.label,),
            numeric=(schema.amount, *config.numeric, *schema.features()),
            categorical=tuple(config.categorical),
            sensitive=tuple(config.sensitive),
            unit=schema.unit or schema.card,
            time=schema.time,
        ),
        name=path.name,
        split=SplitPlan(
            by="time",
            validation=config.validation,
            test=config.test,
            seed=seed,
            gap=config.delay * (config.per_day if numbered else 1.0),
            units_apart=False,
        ),
        unit_name="customer",
        files=table.files,
        notes=notes,
        of_others=cross_customer_note("data.terminal=null") if schema.terminal else "",
    )
