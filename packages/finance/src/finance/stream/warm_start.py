"""Beginning with what happened before the stream: a table of earlier transactions, read once into a new state."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from core.data.coercion import format_rows, is_numeric, to_categories, to_numbers
from core.data.readers.table import read_table, resolve_path
from finance.stream.jsonl_stream import Line, Transaction
from finance.windows import parse_labels, to_milliseconds, window_features

if TYPE_CHECKING:
    from finance.stream.scorer import FraudScorer
    from finance.stream.state import State


def warm_start(path: str, state: State, scorer: FraudScorer) -> None:
    """Take a table of earlier transactions into a new state: no alerts, only what later ones look back to.

    Columns are those of a line, the label among them. What is too old for any window or history is left out. Raises
    ValueError with column and row for what can't be read.
    """
    schema = scorer.schema
    if state.number("line"):
        raise ValueError(
            f"history={path}: it can begin a new state only, and {state.path} has taken lines already"
        )
    frame = read_table(resolve_path(path, "history")).frame
    lost = [c for c in (*scorer.columns, schema.label) if c not in frame]
    if lost:
        raise ValueError(f"history={path}: the columns {', '.join(map(repr, lost))} are missing")
    if schema.id is not None and frame[schema.id].duplicated().any():
        twice = format_rows(frame.index[frame[schema.id].duplicated()])
        raise ValueError(
            f"history={path}: {schema.id!r} in {twice} came before: each transaction may come once"
        )
    time = to_milliseconds(frame[schema.time], schema.time, schema.per_day)
    order = np.argsort(time, kind="stable")
    frame, time = frame.iloc[order], time[order]
    units = frame[schema.unit or schema.card]
    recent = units.groupby(units.to_numpy()).cumcount(ascending=False).to_numpy() < max(scorer.events, 1)
    kept = recent | (time >= time[-1] - 2 * scorer.memory)
    known = window_features(frame, schema)[kept].to_numpy(np.float64)
    frame, time = frame[kept], time[kept]
    dated = not is_numeric(frame[schema.time])
    fraud, amount = (
        parse_labels(frame[schema.label], schema.label),
        to_numbers(frame[schema.amount], schema.amount),
    )
    names = {
        c: to_categories(frame[c])
        for c in (schema.card, schema.id, schema.terminal, schema.unit)
        if c is not None
    }
    others = {c: frame[c].astype(object).where(frame[c].notna(), None).to_list() for c in schema.others}
    payments = []
    for n in range(len(frame)):
        row = {c: values[n] for c, values in names.items()} | {c: values[n] for c, values in others.items()}
        row |= {schema.amount: float(amount[n])}
        card = str(names[schema.card][n])
        payments.append(
            Transaction(
                Line(0, b"", 0),
                None if schema.id is None else names[schema.id][n],
                card,
                card if schema.unit is None else names[schema.unit][n] or card,
                None if schema.terminal is None else names[schema.terminal][n],
                int(time[n]),
                dated,
                None if np.isnan(fraud[n]) else float(fraud[n]),
                row,
            )
        )
    with state.batch():
        state.remember(payments, known)
        state.keep({"history": path, "dated": str(dated), "latest": int(time[-1])})
    print(f"began with {len(payments)} earlier transactions of {path}", file=sys.stderr)
