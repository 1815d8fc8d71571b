"""Warm start of a monitor: a table of earlier transactions is read once into a new state."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from core.data.coercion import format_rows, is_numeric, to_categories, to_numbers
from core.data.readers.files import resolve_path
from core.data.readers.table import read_table
from core.data.times import read_times
from finance.stream.jsonl_stream import Line, Transaction
from finance.stream.state import RECENT
from finance.windows import parse_labels, to_milliseconds, window_features

if TYPE_CHECKING:
    from finance.stream.scorer import FraudScorer
    from finance.stream.state import State

log = logging.getLogger(__name__)


def warm_start(path: str, state: State, scorer: FraudScorer) -> None:
    """Store a table of earlier transactions in a new state, as history of later ones; they raise no alerts.

    The columns are those of a line, with the label. Rows too old for any window or event sequence are dropped. Raises
    ValueError with column and row for what can't be read.
    """
    schema = scorer.schema
    if state.get_count("lines"):
        raise ValueError(
            f"history={path}: it can start a new state only, and {state.path} has processed lines already"
        )
    frame = read_table(resolve_path(path, "history")).frame
    missing = [c for c in (*scorer.columns, schema.label) if c not in frame]
    if missing:
        raise ValueError(f"history={path}: the columns {', '.join(map(repr, missing))} are missing")
    if schema.id is not None and frame[schema.id].duplicated().any():
        repeated = format_rows(frame.index[frame[schema.id].duplicated()])
        raise ValueError(
            f"history={path}: {schema.id!r} in {repeated} repeats an earlier one: each transaction may occur once"
        )
    if schema.date_order != "auto":
        frame[schema.time] = read_times(frame[schema.time], schema.time, schema.date_order)
    time = to_milliseconds(frame[schema.time], schema.time, schema.time_units_per_day)
    order = np.argsort(time, kind="stable")
    frame, time = frame.iloc[order], time[order]
    units = frame[schema.unit or schema.card]
    recent = units.groupby(units.to_numpy()).cumcount(ascending=False).to_numpy() < max(scorer.max_events, 1)
    kept = recent | (time >= np.median(time[-RECENT:]) - 2 * scorer.lookback_ms)
    features = window_features(frame, schema)[kept].to_numpy(np.float64)
    frame, time = frame[kept], time[kept]
    time_is_date = not is_numeric(frame[schema.time])
    fraud, amount = (
        parse_labels(frame[schema.label], schema.label),
        to_numbers(frame[schema.amount], schema.amount),
    )
    names = {
        c: to_categories(frame[c])
        for c in (schema.card, schema.id, schema.terminal, schema.unit)
        if c is not None
    }
    extra = {c: frame[c].astype(object).where(frame[c].notna(), None).to_list() for c in schema.extra_inputs}
    transactions = []
    for n in range(len(frame)):
        row = {c: values[n] for c, values in names.items()} | {c: values[n] for c, values in extra.items()}
        row |= {schema.amount: float(amount[n])}
        card = str(names[schema.card][n])
        transactions.append(
            Transaction(
                Line(0, b"", 0),
                None if schema.id is None else names[schema.id][n],
                card,
                card if schema.unit is None else names[schema.unit][n] or card,
                None if schema.terminal is None else names[schema.terminal][n],
                int(time[n]),
                time_is_date,
                None if np.isnan(fraud[n]) else float(fraud[n]),
                row,
            )
        )
    with state.atomic():
        state.store(transactions, features)
        state.set_metadata({"history": path, "time_is_date": str(time_is_date), "latest": int(time[-1])})
    log.info("started with %d earlier transactions of %s", len(transactions), path)
