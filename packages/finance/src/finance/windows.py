"""What was known of a card and of a terminal at the moment of a transaction: counts, means and risks over windows.

Nothing of the same moment or later enters a row, and a label enters only once the delay has passed. The windows and
the delay of labels follow the Fraud Detection Handbook (Le Borgne et al. 2022, chapter 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.coercion import is_numbers, named_rows, to_names, to_numbers
from core.data.times import to_times
from finance.schema import format_days

if TYPE_CHECKING:
    from finance.schema import TransactionSchema

DAY = 86_400_000
"""Milliseconds; times are compared in them."""
LATEST = 3
"""A terminal's latest known transactions whose labels are looked at."""

_MEANING = {"1": 1.0, "yes": 1.0, "true": 1.0, "0": 0.0, "no": 0.0, "false": 0.0}

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def to_milliseconds(values: pd.Series[Any], column: str, per_day: float) -> Ints:
    """Read a column of times as whole milliseconds since 1970 (or since the number's own zero), (N,).

    Raises ``ValueError`` that names the rows without a time.
    """
    times = to_times(values, column) / (per_day if is_numbers(values) else 1.0)
    if np.isnan(times).any():
        where = named_rows(values.index[np.isnan(times)])
        raise ValueError(f"column {column!r} is empty in {where}: every transaction needs its time")
    return np.asarray(np.round(times * DAY), np.int64)


def parse_labels(values: pd.Series[Any], column: str) -> Floats:
    """Read a column of fraud labels, (N,): 1, 0, or NaN where nobody has said yet.

    Labels are numbers, booleans, or the words yes, no, true and false; others raise ``ValueError`` naming the rows.
    """
    codes, names = pd.factorize(to_names(values), use_na_sentinel=True)
    meant = np.array([_MEANING.get(str(name).lower(), -1.0) for name in names] + [np.nan])
    found = meant[codes]
    odd = found < 0
    if odd.any():
        raise ValueError(
            f"column {column!r} has {str(values[odd].iloc[0])!r} in {named_rows(values.index[odd])}: "
            "a label is 1 or yes (fraud), 0 or no (not), or empty"
        )
    return found


def window_features(rows: pd.DataFrame, schema: TransactionSchema, past: pd.DataFrame | None = None) -> pd.DataFrame:
    """Make the columns that ``ledger.features()`` names, for each of ``rows`` and with their index.

    ``past``: further transactions that may come before; both need ``ledger.columns()``. Raises ``ValueError`` with
    column and row for what can't be read.
    """
    columns = list(schema.columns())
    table = rows[columns] if past is None or past.empty else pd.concat([rows[columns], past[columns]])
    time = to_milliseconds(table[schema.time], schema.time, schema.per_day)
    amount = to_numbers(table[schema.amount], schema.amount)
    if np.isnan(amount).any():
        where = named_rows(table.index[np.isnan(amount)])
        raise ValueError(f"column {schema.amount!r} is empty in {where}: every transaction needs its amount")
    fraud = np.nan_to_num(parse_labels(table[schema.label], schema.label))
    hour = time % DAY / (DAY / 24)
    made: dict[str, Floats] = {
        "night": (hour <= 6).astype(np.float64),
        "weekend": ((time // DAY + 3) % 7 >= 5).astype(np.float64),  # 1970-01-01 was a Thursday
    }
    delay = round(schema.delay * DAY)
    made |= _of_card(_Order.of(table[schema.card], time), amount, fraud, schema, delay)
    if schema.terminal is not None:
        made |= _of_terminal(_Order.of(table[schema.terminal], time), fraud, schema, delay)
    frame = pd.DataFrame({name: made[name][: len(rows)] for name in schema.features()})
    return frame.set_axis(rows.index, axis=0)


def _of_card(order: _Order, amount: Floats, fraud: Floats, schema: TransactionSchema, delay: int) -> dict[str, Floats]:
    made: dict[str, Floats] = {}
    own, labelled = amount[order.rows], fraud[order.rows]
    for days in schema.windows:
        low, high = order.between(round(days * DAY), 0)
        made[f"card_count_{format_days(days)}d"] = (high - low).astype(np.float64)
        made[f"card_mean_{format_days(days)}d"] = (_sums(own, low, high) + own) / (high - low + 1)
    low, high = order.between(round(max(schema.windows) * DAY), 0)
    count = (high - low).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = _sums(own, low, high) / count
        deviation = np.sqrt(np.maximum(_sums(own**2, low, high) / count - mean**2, 0.0))
        # a mean or deviation near zero says little: both are kept at least a hundredth of the amount
        floor = np.maximum(0.01 * np.abs(own), 1e-9)
        made["card_ratio"] = np.where(count >= 1, np.log1p(np.abs(own) / np.maximum(mean, floor)), np.nan)
        spread = (own - mean) / np.maximum(deviation, floor)
        made["card_spread"] = np.where(count >= LATEST, np.clip(spread, -30.0, 30.0), np.nan)
    gap = np.maximum(order.time - order.time[np.maximum(high - 1, 0)], 0)
    made["card_gap"] = np.where(count >= 1, np.log1p(gap / DAY), np.nan)
    low, high = order.between(round(max(schema.windows) * DAY) + delay, delay)
    made["card_frauds"] = _sums(labelled, low, high)
    return {name: order.back(values) for name, values in made.items()}


def _of_terminal(order: _Order, fraud: Floats, schema: TransactionSchema, delay: int) -> dict[str, Floats]:
    made: dict[str, Floats] = {}
    labelled = fraud[order.rows]
    for days in schema.windows:
        low, high = order.between(round(days * DAY) + delay, delay)
        count = high - low
        made[f"terminal_count_{format_days(days)}d"] = count.astype(np.float64)
        made[f"terminal_risk_{format_days(days)}d"] = _sums(labelled, low, high) / np.maximum(count, 1)
    low, high = order.between(round(max(schema.windows) * DAY) + delay, delay)
    place = np.arange(len(labelled))
    latest = np.maximum.accumulate(np.where(labelled > 0, place, -1))
    last = latest[np.maximum(high - 1, 0)]
    there = (high > low) & (last >= low)
    since = (order.time - order.time[np.maximum(last, 0)] - delay) / DAY
    made["terminal_since_fraud"] = np.where(there, since, np.nan)
    few = np.maximum(low, high - LATEST)
    share = _sums(labelled, few, high) / np.maximum(high - few, 1)
    made["terminal_last"] = np.where(high > few, share, np.nan)
    return {name: order.back(values) for name, values in made.items()}


def _sums(values: Floats, low: Ints, high: Ints) -> Floats:
    """Sum the stretch [low, high) of values for each row, (N,).

    Each stretch is added up by itself: differences of running sums would let one huge amount blur other cards', and
    depend on what else is in the table.
    """
    ends = np.stack([low, high], axis=1).reshape(-1)
    with np.errstate(over="ignore"):
        summed = np.add.reduceat(np.append(values, 0.0), ends)[::2]
    return np.where(high > low, summed, 0.0)


@dataclass
class _Order:
    """Rows sorted by entity and time, so that a window is a stretch of the order. All arrays are in that order."""

    rows: Ints
    time: Ints
    key: Ints
    """Rising: the entity's number times the whole span of time, plus the time."""
    base: Ints
    """The least key that the row's entity could have."""

    @classmethod
    def of(cls, entities: pd.Series[Any], time: Ints) -> _Order:
        codes, _ = pd.factorize(to_names(entities), use_na_sentinel=True)
        # a row without an entity is one of its own: it has no past
        codes = np.where(codes >= 0, codes, len(codes) + np.arange(len(codes))).astype(np.int64)
        since = time - time.min() if len(time) else time
        span = int(since.max()) + 1 if len(time) else 1
        rows = np.lexsort((since, codes)).astype(np.int64)
        base = codes[rows] * span
        return cls(rows, time[rows], base + since[rows], base)

    def between(self, oldest: int, newest: int) -> tuple[Ints, Ints]:
        """Find for each row the stretch [low, high) of its entity's rows of age in (newest, oldest] milliseconds."""
        low = np.searchsorted(self.key, np.maximum(self.key - oldest, self.base), "left")
        high = np.searchsorted(self.key, np.maximum(self.key - newest, self.base), "left")
        return low.astype(np.int64), high.astype(np.int64)

    def back(self, values: Floats) -> Floats:
        """Bring values from the order to the table's own rows."""
        found = np.empty(len(values))
        found[self.rows] = values
        return found
