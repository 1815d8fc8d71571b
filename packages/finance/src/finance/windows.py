"""Features of a transaction from the card's and the terminal's history: counts, means and fraud rates over windows.

Nothing of the same moment or later enters a row, and a label enters only once the label delay has passed. The
windows and the label delay follow the Fraud Detection Handbook (Le Borgne et al. 2022, chapter 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.coercion import format_rows, is_numeric, to_categories, to_numbers
from core.data.times import to_times
from finance.schema import DAY_MS, LABEL_VALUES, format_days

if TYPE_CHECKING:
    from finance.schema import TransactionSchema

LATEST = 3
"""A terminal's latest labeled transactions that ``terminal_last`` averages."""

SECONDS = 1e8
"""Larger numbers are no days: they would be 270,000 years."""
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def to_milliseconds(values: pd.Series[Any], column: str, time_units_per_day: float) -> Ints:
    """Return a column of times as whole milliseconds since 1970 (or since the number's own zero), (N,).

    Raises ``ValueError`` with the rows that have no time.
    """
    if is_numeric(values) and time_units_per_day == 1 and values.abs().median() > SECONDS:
        raise ValueError(
            f"column {column!r} holds numbers such as {values.median():.0f}, too large for days: set "
            "data.time_units_per_day (86400 for seconds since 1970, 86400000 for milliseconds)"
        )
    times = to_times(values, column) / (time_units_per_day if is_numeric(values) else 1.0)
    if np.isnan(times).any():
        where = format_rows(values.index[np.isnan(times)])
        raise ValueError(f"column {column!r} is empty in {where}: every transaction needs its time")
    return np.asarray(np.round(times * DAY_MS), np.int64)


def parse_labels(values: pd.Series[Any], column: str) -> Floats:
    """Return a column of fraud labels, (N,): 1, 0, or NaN where the label is not known yet.

    Labels are numbers, booleans, or the words yes, no, true and false; others raise ``ValueError`` with their rows.
    """
    codes, names = pd.factorize(to_categories(values), use_na_sentinel=True)
    values_of_codes = np.array([LABEL_VALUES.get(str(name).lower(), -1.0) for name in names] + [np.nan])
    parsed = values_of_codes[codes]
    invalid = parsed < 0
    if invalid.any():
        raise ValueError(
            f"column {column!r} has {str(values[invalid].iloc[0])!r} in {format_rows(values.index[invalid])}: "
            "a label is 1 or yes (fraud), 0 or no (genuine), or empty"
        )
    return parsed


def window_features(
    rows: pd.DataFrame, schema: TransactionSchema, past: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return the columns ``schema.features()`` for each of ``rows``, with their index.

    ``past``: further transactions that may come before; both need ``schema.columns()``. Raises ``ValueError`` with
    column and row for what can't be read.
    """
    columns = list(schema.columns())
    table = rows[columns] if past is None or past.empty else pd.concat([rows[columns], past[columns]])
    time = to_milliseconds(table[schema.time], schema.time, schema.time_units_per_day)
    amount = to_numbers(table[schema.amount], schema.amount)
    if np.isnan(amount).any():
        where = format_rows(table.index[np.isnan(amount)])
        raise ValueError(f"column {schema.amount!r} is empty in {where}: every transaction needs its amount")
    fraud = np.nan_to_num(parse_labels(table[schema.label], schema.label))
    hour = time % DAY_MS / (DAY_MS / 24)
    columns_by_name: dict[str, Floats] = {
        "night": (hour <= 6).astype(np.float64),
        "weekend": ((time // DAY_MS + 3) % 7 >= 5).astype(np.float64),  # 1970-01-01 was a Thursday
    }
    delay = round(schema.label_delay * DAY_MS)
    columns_by_name |= _card_features(_Order.of(table[schema.card], time), amount, fraud, schema, delay)
    if schema.terminal is not None:
        columns_by_name |= _terminal_features(_Order.of(table[schema.terminal], time), fraud, schema, delay)
    frame = pd.DataFrame({name: columns_by_name[name][: len(rows)] for name in schema.features()})
    return frame.set_axis(rows.index, axis=0)


def _card_features(
    order: _Order, amount: Floats, fraud: Floats, schema: TransactionSchema, delay: int
) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    own, labeled = amount[order.rows], fraud[order.rows]
    for days in schema.windows:
        low, high = order.between(round(days * DAY_MS), 0)
        found[f"card_count_{format_days(days)}d"] = (high - low).astype(np.float64)
        found[f"card_mean_{format_days(days)}d"] = (_sums(own, low, high) + own) / (high - low + 1)
    low, high = order.between(round(max(schema.windows) * DAY_MS), 0)
    count = (high - low).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        mean = _sums(own, low, high) / count
        deviation = np.sqrt(np.maximum(_sums(own**2, low, high) / count - mean**2, 0.0))
        # a mean or deviation near zero is uninformative: both are at least a hundredth of the amount
        floor = np.maximum(0.01 * np.abs(own), 1e-9)
        found["card_ratio"] = np.where(count >= 1, np.log1p(np.abs(own) / np.maximum(mean, floor)), np.nan)
        spread = (own - mean) / np.maximum(deviation, floor)
        found["card_spread"] = np.where(count >= LATEST, np.clip(spread, -30.0, 30.0), np.nan)
    gap = np.maximum(order.time - order.time[np.maximum(high - 1, 0)], 0)
    found["card_gap"] = np.where(count >= 1, np.log1p(gap / DAY_MS), np.nan)
    low, high = order.between(round(max(schema.windows) * DAY_MS) + delay, delay)
    found["card_frauds"] = _sums(labeled, low, high)
    return {name: order.back(values) for name, values in found.items()}


def _terminal_features(
    order: _Order, fraud: Floats, schema: TransactionSchema, delay: int
) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    labeled = fraud[order.rows]
    for days in schema.windows:
        low, high = order.between(round(days * DAY_MS) + delay, delay)
        count = high - low
        found[f"terminal_count_{format_days(days)}d"] = count.astype(np.float64)
        found[f"terminal_risk_{format_days(days)}d"] = _sums(labeled, low, high) / np.maximum(count, 1)
    low, high = order.between(round(max(schema.windows) * DAY_MS) + delay, delay)
    place = np.arange(len(labeled))
    latest = np.maximum.accumulate(np.where(labeled > 0, place, -1))
    last = latest[np.maximum(high - 1, 0)]
    there = (high > low) & (last >= low)
    since = (order.time - order.time[np.maximum(last, 0)] - delay) / DAY_MS
    found["terminal_since_fraud"] = np.where(there, since, np.nan)
    few = np.maximum(low, high - LATEST)
    share = _sums(labeled, few, high) / np.maximum(high - few, 1)
    found["terminal_last"] = np.where(high > few, share, np.nan)
    return {name: order.back(values) for name, values in found.items()}


def _sums(values: Floats, low: Ints, high: Ints) -> Floats:
    """Return the sum of values[low:high] for each row, (N,).

    Each range is summed by itself: differences of running sums would lose precision of other cards' amounts to one
    huge amount, and depend on what else is in the table.
    """
    ends = np.stack([low, high], axis=1).reshape(-1)
    with np.errstate(over="ignore"):
        summed = np.add.reduceat(np.append(values, 0.0), ends)[::2]
    return np.where(high > low, summed, 0.0)


@dataclass
class _Order:
    """Rows sorted by entity and time, so that a window is a contiguous range. All arrays are in that order."""

    rows: Ints
    time: Ints
    key: Ints
    """Rising: the entity's number times the whole span of time, plus the time."""
    base: Ints
    """Lowest key that the row's entity could have."""

    @classmethod
    def of(cls, entities: pd.Series[Any], time: Ints) -> _Order:
        codes, _ = pd.factorize(to_categories(entities), use_na_sentinel=True)
        # a row without an entity is an entity of its own: it has no history
        codes = np.where(codes >= 0, codes, len(codes) + np.arange(len(codes))).astype(np.int64)
        since = time - time.min() if len(time) else time
        span = int(since.max()) + 1 if len(time) else 1
        rows = np.lexsort((since, codes)).astype(np.int64)
        base = codes[rows] * span
        return cls(rows, time[rows], base + since[rows], base)

    def between(self, oldest: int, newest: int) -> tuple[Ints, Ints]:
        """Return for each row the range [low, high) of its entity's rows of age in (newest, oldest] milliseconds."""
        low = np.searchsorted(self.key, np.maximum(self.key - oldest, self.base), "left")
        high = np.searchsorted(self.key, np.maximum(self.key - newest, self.base), "left")
        return low.astype(np.int64), high.astype(np.int64)

    def back(self, values: Floats) -> Floats:
        """Return values of the sorted order in the order of the table."""
        found = np.empty(len(values))
        found[self.rows] = values
        return found
