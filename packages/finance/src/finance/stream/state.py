"""The monitor's state on disk: position, history of every card and terminal, and an outbox of unwritten output.

One SQLite file. A batch of lines and all that follows from it are committed in one transaction; alerts and rejects
stay in the outbox, with their position in their file, until they are written there. So a kill at any moment leaves
either the state before a batch or after it, and what the files lack is written at the next start, at the same place.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from finance.stream.jsonl_stream import Label, Transaction

VERSION = "2"
RECENT = 1000
"""Transactions whose median time is the present, for what is deleted as too old."""
TABLES = """
create table if not exists metadata (name text primary key, value text);
create table if not exists transactions (
  seq integer primary key, card text, unit text, terminal text, time integer, fraud real, row text, features blob);
create index if not exists by_card on transactions (card, time);
create index if not exists by_unit on transactions (unit, time);
create index if not exists by_terminal on transactions (terminal, time);
create table if not exists seen (id text primary key, seq integer, line integer, digest blob) without rowid;
create table if not exists outbox (n integer primary key, file text, start integer, text blob);
"""
_TABLES_OF_1 = {"facts": "metadata", "payments": "transactions", "unwritten": "outbox"}
_NAMES_OF_1 = {
    "line": "lines", "taken": "transactions", "again": "duplicates", "next": "next_seq", "dated": "time_is_date",
    "end of output": "size of output", "end of rejects": "size of rejects",
}  # fmt: skip
"""What version 1 called them."""
_SELECT = "select seq, card, unit, terminal, time, fraud, row, features from transactions"


@dataclass(frozen=True)
class StoredTransaction:
    """A transaction of the state."""

    seq: int
    card: str
    unit: str
    terminal: str | None
    time: int
    fraud: float | None
    row: dict[str, Any]
    features: NDArray[np.float64]
    """Its window features, in the schema's order."""


class State:
    """The open state file; one monitor at a time."""

    def __init__(self, path: Path, identity: dict[str, str], files: dict[str, Path]) -> None:
        """Open or create it, and write the outbox of an earlier start.

        ``identity``: what must not change between starts, by name. ``files``: the output files, by name. Raises
        ValueError where another monitor has it open, it belongs to something else, or an output was cut since.
        """
        self.path, self._files = path, files
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # payments: for the owner's eyes
        self._base = sqlite3.connect(path, isolation_level=None)
        try:
            self._open(identity)
        except BaseException:
            self._base.close()
            raise

    def _open(self, identity: dict[str, str]) -> None:
        try:
            self._base.execute("pragma locking_mode = exclusive")
            self._base.execute("pragma synchronous = full")
            self._base.execute("begin exclusive")
            self._upgrade()
            for statement in TABLES.split(";"):
                self._base.execute(statement)
            if not self.get_metadata("version"):
                self.set_metadata({"version": VERSION, **identity})
            self._base.execute("commit")
        except sqlite3.OperationalError as error:
            raise ValueError(f"state={self.path}: {error}: is another monitor running on it?") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(f"state={self.path}: this is not the state of a monitor ({error})") from error
        for name, value in {"version": VERSION, **identity}.items():
            if self.get_metadata(name) != value:
                raise ValueError(
                    f"state={self.path}: it belongs to another {name} ({self.get_metadata(name)}, now {value}): use "
                    "that one, or another output and state to start anew"
                )
        self._flush_outbox()

    def _upgrade(self) -> None:
        """Rename tables and entries of a state that version 1 wrote."""
        tables = {row[0] for row in self._base.execute("select name from sqlite_master where type = 'table'")}
        if "facts" not in tables:
            return
        for old, new in _TABLES_OF_1.items():
            self._base.execute(f"alter table {old} rename to {new}")
        for old, new in _NAMES_OF_1.items():
            self._base.execute("update metadata set name = ? where name = ?", (new, old))
        self.set_metadata({"version": VERSION})

    def get_metadata(self, name: str) -> str:
        """Return a stored value, empty where there is none."""
        found = self._base.execute("select value from metadata where name = ?", (name,)).fetchone()
        return "" if found is None else str(found[0])

    def get_count(self, name: str) -> int:
        """Return a stored count, 0 where there is none."""
        return int(self.get_metadata(name) or 0)

    def set_metadata(self, values: Mapping[str, str | int]) -> None:
        """Store values by name."""
        self._base.executemany(
            "insert or replace into metadata values (?, ?)", [(k, str(v)) for k, v in values.items()]
        )

    def find_transaction(self, id_: str) -> tuple[int, bytes] | None:
        """Return line and digest of an earlier transaction, None for an unknown id."""
        row = self._base.execute("select line, digest from seen where id = ?", (id_,)).fetchone()
        return None if row is None else (int(row[0]), bytes(row[1]))

    def history(
        self, transactions: Sequence[Transaction], lookback_ms: int, max_events: int
    ) -> list[StoredTransaction]:
        """Return what windows and event sequences of transactions (in order of time) need, in order of arrival.

        ``lookback_ms``: milliseconds that windows look back; ``max_events``: earlier transactions of the same unit.
        """
        earliest, latest = transactions[0].time, transactions[-1].time
        found: dict[int, StoredTransaction] = {}
        for column in ("card", "terminal"):
            names = list({getattr(t, column) for t in transactions} - {None})
            marks = ", ".join("?" * len(names))
            query = f"{_SELECT} where {column} in ({marks}) and time >= ? and time < ?"
            found |= self._select(query, (*names, earliest - lookback_ms, latest))
        first: dict[str, int] = {}
        for transaction in transactions:
            first.setdefault(transaction.unit, transaction.time)
        for unit, time in first.items() if max_events else ():
            query = f"{_SELECT} where unit = ? and time < ? order by time desc, seq desc limit ?"
            found |= self._select(query, (unit, time, max_events))
            # for a late transaction: stored ones of the times after it
            found |= self._select(
                f"{_SELECT} where unit = ? and time >= ? and time < ?", (unit, time, latest)
            )
        return [found[seq] for seq in sorted(found)]

    def _select(self, query: str, values: Sequence[str | int]) -> dict[int, StoredTransaction]:
        return {row[0]: _from_row(row) for row in self._base.execute(query, values)}

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Commit all changes made inside at once, or none of them; then write the outbox."""
        self._base.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._base.execute("rollback")
            raise
        self._base.execute("commit")
        self._flush_outbox()

    def store(self, transactions: Sequence[Transaction], features: NDArray[np.float64]) -> None:
        """Store transactions and their window features (N, F)."""
        seq = self.get_count("next_seq")
        self._base.executemany(
            "insert into transactions values (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    seq + n,
                    t.card,
                    t.unit,
                    t.terminal,
                    t.time,
                    t.fraud,
                    json.dumps(t.row),
                    features[n].tobytes(),
                )
                for n, t in enumerate(transactions)
            ],
        )
        self._base.executemany(
            "insert into seen values (?, ?, ?, ?)",
            [
                (t.id, seq + n, t.line.number, digest(t))
                for n, t in enumerate(transactions)
                if t.id is not None
            ],
        )
        self.set_metadata({"next_seq": seq + len(transactions)})

    def apply_labels(self, labels: Sequence[Label]) -> None:
        """Store labels of earlier transactions; a pruned transaction enters no window any more."""
        for label in labels:
            self._base.execute(
                "update transactions set fraud = ? where seq = (select seq from seen where id = ?)",
                (label.fraud, label.id),
            )

    def enqueue(self, name: str, lines: Sequence[str]) -> None:
        """Put lines for one of the files into the outbox; they are written once the batch is committed."""
        if lines:
            content, start = (
                "".join(f"{line}\n" for line in lines).encode(),
                self.get_count(f"size of {name}"),
            )
            self._base.execute(
                "insert into outbox (file, start, text) values (?, ?, ?)", (name, start, content)
            )
            self.set_metadata({f"size of {name}": start + len(content)})

    def usual_time(self) -> int | None:
        """Return the median time of the latest ``RECENT`` transactions, which no few wrong dates can move."""
        recent = "select time from transactions order by seq desc limit ?"
        times = sorted(row[0] for row in self._base.execute(recent, (RECENT,)))
        return int(times[len(times) // 2]) if times else None

    def prune(self, before: int, max_events: int, max_ids: int) -> int:
        """Delete transactions before a time, except each unit's latest ``max_events``; return how many.

        Of ids, the latest ``max_ids`` are kept.
        """
        self._base.execute("delete from seen where seq < ?", (self.get_count("next_seq") - max_ids,))
        return self._base.execute(
            "delete from transactions where time < ? and seq not in (select seq from (select seq, row_number() over "
            "(partition by unit order by time desc, seq desc) as place from transactions) where place <= ?)",
            (before, max_events),
        ).rowcount

    def _flush_outbox(self) -> None:
        waiting = self._base.execute("select n, file, start, text from outbox order by n").fetchall()
        for name in dict.fromkeys(row[1] for row in waiting):
            path = self._files[name]
            with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
                for _, _, start, text in (row for row in waiting if row[1] == name):
                    if file.seek(0, os.SEEK_END) < start:
                        raise ValueError(
                            f"{name}={path}: it is shorter than what was written to it before; put it back, or give "
                            "another output and state to start anew"
                        )
                    file.seek(start)
                    file.write(text)
                file.flush()
                os.fsync(file.fileno())
        if waiting:
            self._base.execute("delete from outbox where n <= ?", (waiting[-1][0],))

    def close(self) -> None:
        """Close the file."""
        self._base.close()


def _from_row(row: tuple[Any, ...]) -> StoredTransaction:
    seq, card, unit, terminal, time, fraud, columns, features = row
    values = json.loads(columns), np.frombuffer(features, np.float64)
    return StoredTransaction(seq, card, unit, terminal, time, fraud, *values)


def digest(transaction: Transaction) -> bytes:
    """Return a hash of a transaction's content, which tells whether two of one id are the same."""
    content = json.dumps([transaction.card, transaction.time, transaction.row], sort_keys=True)
    return hashlib.blake2b(content.encode(), digest_size=8).digest()
