"""Events: rows of the same unit up to a row, as a sequence; nothing later, nothing of the same moment."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.data.coercion import format_rows, to_categories
from core.data.encoders.categorical import CategoricalColumns
from core.data.encoders.numeric import NumericColumns
from core.data.encoders.storage import LazyRows, Storage
from core.data.times import to_times
from core.data.types import Layout

MAX_ONE_HOT = 24
"""A category is one-hot encoded in events by its first codes; the rest share the last column."""


@dataclass
class EventSequences:
    """The last rows of the row's own unit, oldest first, the row itself last. E events of F features.

    Features of an event: numbers (scaled), their missing flags, categories one-hot, and log(1 + time) back from the
    row, in the time's unit. A row of the same unit at exactly the same time was not known yet and is left out.
    """

    unit: str
    time: str
    max_events: int
    numbers: NumericColumns
    categories: CategoricalColumns

    def encode(self, frame: pd.DataFrame, history: pd.DataFrame) -> dict[str, Storage]:
        """Return ``events`` (N, E, F) and ``events_mask`` (N, E), computed batch by batch.

        ``history``: rows that may come before; those of ``frame`` count too, once (by their index).
        """
        columns = [*dict.fromkeys((self.unit, self.time, *self.numbers.columns, *self.categories.columns))]
        more = history.loc[~history.index.isin(frame.index), columns]
        table = pd.concat([frame[columns], more]) if len(more) else frame[columns]
        times = to_times(table[self.time], self.time)
        if np.isnan(times).any():
            where = format_rows(table.index[np.isnan(times)])
            raise ValueError(f"column {self.time!r} is empty in {where}: events need every row's time")
        features, past = self._features(table), _Past.of(to_categories(table[self.unit]), times)
        width = features.shape[1] + 1

        def events(index: NDArray[np.int64]) -> Tensor:
            rows = past.rows(index, self.max_events)
            real = rows >= 0
            event = np.zeros((len(index), self.max_events, width), np.float32)
            event[real, :-1] = features[rows[real]]
            back = times[index][:, None] - times[np.maximum(rows, 0)]
            event[..., -1] = np.where(real, np.log1p(np.maximum(back, 0.0)), 0.0)
            return torch.from_numpy(event)

        def mask(index: NDArray[np.int64]) -> Tensor:
            return torch.from_numpy((past.rows(index, self.max_events) >= 0).astype(np.float32))

        return {"events": LazyRows(len(frame), events), "events_mask": LazyRows(len(frame), mask)}

    def _features(self, table: pd.DataFrame) -> NDArray[np.float32]:
        every = torch.arange(len(table))
        columns = [stored.take(every).numpy() for stored in self.numbers.encode(table).values()]
        codes = self.categories.encode(table)["categorical"].take(every).numpy()
        for i, width in enumerate(self._one_hot_widths()):
            columns.append(np.eye(width, dtype=np.float32)[np.minimum(codes[:, i], width - 1)])
        return np.concatenate(columns, axis=1).astype(np.float32)

    def _one_hot_widths(self) -> list[int]:
        return [min(size, MAX_ONE_HOT) for size in self.categories.layout(Layout()).cardinalities]

    def column_positions(self) -> dict[str, list[int]]:
        """Return column -> the features of an event that hold it."""
        n = len(self.numbers.columns)
        at = {column: [i, n + i] for i, column in enumerate(self.numbers.columns)}
        start = 2 * n
        for column, width in zip(self.categories.columns, self._one_hot_widths(), strict=True):
            at[column] = list(range(start, start + width))
            start += width
        return at

    def layout(self, layout: Layout) -> Layout:
        """Add events and their features to the layout."""
        features = 2 * len(self.numbers.columns) + sum(self._one_hot_widths()) + 1
        return replace(layout, events=(self.max_events, features))


@dataclass
class _Past:
    """Rows sorted by unit and time, so that a row's past is a slice of the order."""

    order: NDArray[np.int64]
    first: NDArray[np.int64]
    """For each row: the position in the order at which its unit starts."""
    moment: NDArray[np.int64]
    """For each row: the position at which its own moment starts; what lies between the two came earlier."""

    @classmethod
    def of(cls, names: NDArray[np.object_], times: NDArray[np.float64]) -> _Past:
        codes, _ = pd.factorize(names, use_na_sentinel=True)
        # a row without a unit is a unit of its own: it has no past
        units = np.where(codes >= 0, codes, len(names) + np.arange(len(names)))
        order = np.lexsort((np.arange(len(names)), times, units)).astype(np.int64)
        unit, time, place = units[order], times[order], np.arange(len(order))
        new_unit = np.r_[True, unit[1:] != unit[:-1]]
        new_moment = new_unit | np.r_[True, time[1:] != time[:-1]]
        first, moment = np.empty_like(order), np.empty_like(order)
        first[order] = np.maximum.accumulate(np.where(new_unit, place, 0))
        moment[order] = np.maximum.accumulate(np.where(new_moment, place, 0))
        return cls(order, first, moment)

    def rows(self, index: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """Return the earlier rows of some rows: (B, length), -1 for none, the row itself last."""
        earlier = self.moment[index][:, None] - np.arange(length - 1, 0, -1)
        known = earlier >= self.first[index][:, None]
        return np.column_stack([np.where(known, self.order[np.maximum(earlier, 0)], -1), index])
