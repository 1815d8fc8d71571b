"""``data=transactions``: a table of your own card transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.config import DataConfig, TaskConfig, field, one_of, positive, register, split_fractions
from core.data.config import as_list
from core.data.readers.settings import DATE_ORDERS
from finance.schema import LABEL_DELAY, WINDOWS, TransactionSchema, check_windows, cross_customer_note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.data.types import Dataset


@register("data", "transactions", builds="finance.sources.transactions:read")
class Transactions(DataConfig):
    """Your own transactions: card, time, amount, label, and optionally terminal and further columns."""

    path: str = field("", "the file; relative paths are looked up here and under PLINTH_DATA")
    card: str = field("card", "column of the card or account")
    time: str = field("time", "column of the time: dates and times, or numbers")
    amount: str = field("amount", "column of the amount")
    label: str = field("fraud", "column of the label: 1 = fraud, 0 = genuine, empty = not known yet")
    terminal: str | None = field(None, "column of the terminal or merchant")
    id: str | None = field(None, "column of unique identifiers of transactions (for the monitor)")
    customer: str | None = field(
        None, "column of the cards' owner: the unit of privacy and of the confidence intervals"
    )
    numeric: Any = field([], "further input columns to read as numbers")
    categorical: Any = field([], "further input columns to read as categories")
    sensitive: Any = field([], "columns of sensitive attributes, compared between groups")
    time_units_per_day: float = field(1.0, "units of a numeric time that make one day (86400 for seconds)")
    date_order: str = field("auto", "order of dates in text: auto, dmy, mdy or ymd")
    label_delay: float = field(
        LABEL_DELAY, "days until a label is known; the gap before the validation and test sets"
    )
    windows: list[float] = field(list(WINDOWS), "lengths in days of the windows of card and terminal")
    validation_fraction: float = field(
        0.2, "fraction of the rows in the validation set, the latest before the test gap"
    )
    test_fraction: float = field(0.2, "fraction of the rows in the test set, the latest")

    def __post_init__(self) -> None:
        """Turn single names into lists, and raise ValueError for values that can't be right."""
        for key in ("numeric", "categorical", "sensitive"):
            setattr(self, key, as_list(getattr(self, key)))
        split_fractions("data", self.validation_fraction, self.test_fraction)
        one_of("data.date_order", self.date_order, DATE_ORDERS)
        positive("data", time_units_per_day=self.time_units_per_day)
        check_windows(self.windows, self.label_delay)

    def schema(self) -> TransactionSchema:
        """Return the columns of a transaction."""
        return TransactionSchema(
            card=self.card,
            time=self.time,
            amount=self.amount,
            label=self.label,
            terminal=self.terminal,
            id=self.id,
            unit=self.customer,
            extra_inputs=(*self.numeric, *self.categorical),
            windows=tuple(self.windows),
            label_delay=self.label_delay,
            time_units_per_day=self.time_units_per_day,
        )


def read(config: Transactions, task: TaskConfig, seed: int) -> Dataset:
    """Return the data set: rows with a label, with features of the card's and the terminal's history.

    Rows without a label only count in the windows of later rows.
    """
    import numpy as np

    from core.data.coercion import is_numeric
    from core.data.readers.files import resolve_path
    from core.data.readers.table import read_table
    from core.data.roles import require_columns
    from core.data.times import read_times, settle_order
    from core.data.types import ColumnRoles, Dataset, SplitPlan
    from finance.windows import parse_labels, window_features

    path = resolve_path(config.path)
    table = read_table(path)
    frame, schema = table.frame, config.schema()
    asked: dict[str, Sequence[str]] = {
        f"data.{key}": [value]
        for key in ("card", "time", "amount", "label", "terminal", "id", "customer")
        if (value := getattr(config, key)) is not None
    }
    asked |= {f"data.{key}": getattr(config, key) for key in ("numeric", "categorical", "sensitive")}
    require_columns(frame, asked, path)
    order = settle_order(frame[schema.time], schema.time, config.date_order)
    frame[schema.time] = read_times(frame[schema.time], schema.time, order)
    known = ~np.isnan(parse_labels(frame[schema.label], schema.label))
    frame = frame.join(window_features(frame, schema))
    notes = [*table.notes]
    if order not in ("number", "ymd"):
        notes.append(f"{path.name}: dates of {schema.time!r} are read as {order}.")
    if not known.all():
        notes.append(
            f"{int((~known).sum()):,} rows without a label count in the windows of later rows and are dropped."
        )
        frame = frame[known]
    numbered = is_numeric(frame[schema.time])
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
            validation_fraction=config.validation_fraction,
            test_fraction=config.test_fraction,
            seed=seed,
            gap=config.label_delay * (config.time_units_per_day if numbered else 1.0),
            disjoint_entities=False,
        ),
        unit_name="customer",
        files=table.files,
        reader=table.reader,
        formats=table.formats,
        date_orders={schema.time: order},
        notes=notes,
        cross_unit_inputs=cross_customer_note("data.terminal=null") if schema.terminal else "",
    )
