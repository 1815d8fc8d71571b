"""Beginning with what happened before the stream: a table of earlier transactions, read once into a new state."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from core.data.tables import find, read_table
from core.data.values import is_numbers, named_rows, to_names, to_numbers
from finance.stream.reading import Line, Transaction
from finance.windows import features, labels, milliseconds

if TYPE_CHECKING:
    from finance.stream.alerts import Alerting
    from finance.stream.state import State


def begin_with(path: str, state: State, alerting: Alerting) -> None:
    """Take a table of earlier transactions into a new state: no alerts, only what later ones look back to.

    Columns are those of a line, the label among them. What is too old for any window or history is left out. Raises
    ValueError with column and row for what can't be read.
    """
    ledger = alerting.ledger
    if state.number("line"):
        raise ValueError(
            f"history={path}: it can begin a new state only, and {state.path} has taken lines already"
        )
    frame = read_table(find(path, "history")).frame
    lost = [c for c in (*alerting.columns, ledger.label) if c not in frame]
    if lost:
        raise ValueError(f"history={path}: the columns {', '.join(map(repr, lost))} are missing")
    if ledger.id is not None and frame[ledger.id].duplicated().any():
        twice = named_rows(frame.index[frame[ledger.id].duplicated()])
        raise ValueError(
            f"history={path}: {ledger.id!r} in {twice} came before: each transaction may come once"
        )
    time = milliseconds(frame[ledger.time], ledger.time, ledger.per_day)
    order = np.argsort(time, kind="stable")
    frame, time = frame.iloc[order], time[order]
    units = frame[ledger.unit or ledger.card]
    recent = units.groupby(units.to_numpy()).cumcount(ascending=False).to_numpy() < max(alerting.events, 1)
    kept = recent | (time >= time[-1] - 2 * alerting.memory)
    known = features(frame, ledger)[kept].to_numpy(np.float64)
    frame, time = frame[kept], time[kept]
    dated = not is_numbers(frame[ledger.time])
    fraud, amount = labels(frame[ledger.label], ledger.label), to_numbers(frame[ledger.amount], ledger.amount)
    names = {
        c: to_names(frame[c]) for c in (ledger.card, ledger.id, ledger.terminal, ledger.unit) if c is not None
    }
    others = {c: frame[c].astype(object).where(frame[c].notna(), None).to_list() for c in ledger.others}
    payments = []
    for n in range(len(frame)):
        row = {c: values[n] for c, values in names.items()} | {c: values[n] for c, values in others.items()}
        row |= {ledger.amount: float(amount[n])}
        card = str(names[ledger.card][n])
        payments.append(
            Transaction(
                Line(0, b"", 0),
                None if ledger.id is None else names[ledger.id][n],
                card,
                card if ledger.unit is None else names[ledger.unit][n] or card,
                None if ledger.terminal is None else names[ledger.terminal][n],
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
