"""What the monitor remembers on disk: its position, every card's and terminal's past, and what is still to be written.

One SQLite file. A batch of lines and all that follows from it enter it in one transaction; alerts and rejects are
kept in it, with the place they have in their file, until they are written there. So a kill at any moment leaves
either the state before a batch or after it, and what the files lack is written at the next start, at the same place.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from finance.stream.jsonl_stream import Label, Transaction

VERSION = "1"
TABLES = """
create table if not exists facts (name text primary key, value text);
create table if not exists payments (
  seq integer primary key, card text, unit text, terminal text, time integer, fraud real, row text, features blob);
create index if not exists by_card on payments (card, time);
create index if not exists by_unit on payments (unit, time);
create index if not exists by_terminal on payments (terminal, time);
create table if not exists seen (id text primary key, seq integer, line integer, digest blob) without rowid;
create table if not exists unwritten (n integer primary key, file text, start integer, text blob);
"""
_READ = "select seq, card, unit, terminal, time, fraud, row, features from payments"


@dataclass(frozen=True)
class StoredTransaction:
    """A payment as it is remembered."""

    seq: int
    card: str
    unit: str
    terminal: str | None
    time: int
    fraud: float | None
    row: dict[str, Any]
    features: NDArray[np.float64]
    """What was known of it at its moment, in the ledger's order."""


class State:
    """The open state file; one monitor at a time."""

    def __init__(self, path: Path, identity: dict[str, str], files: dict[str, Path]) -> None:
        """Open or make it, and write what an earlier start left unwritten.

        ``identity``: what must not change between starts, by name. ``files``: the output files, by name. Raises
        ValueError where another monitor has it open, it belongs to something else, or an output was cut since.
        """
        self.path, self._files = path, files
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
            for statement in TABLES.split(";"):
                self._base.execute(statement)
            self.new = not self.fact("version")
            if self.new:
                self.keep({"version": VERSION, **identity})
            self._base.execute("commit")
        except sqlite3.OperationalError as error:
            raise ValueError(f"state={self.path}: {error}: is another monitor at work on it?") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(f"state={self.path}: this is no state of a monitor ({error})") from error
        for name, value in {"version": VERSION, **identity}.items():
            if self.fact(name) != value:
                raise ValueError(
                    f"state={self.path}: it belongs to another {name} ({self.fact(name)}, now {value}): use that one, "
                    "or another output and state to begin anew"
                )
        self._write_unwritten()

    def fact(self, name: str) -> str:
        """Give a remembered value, empty where there is none."""
        found = self._base.execute("select value from facts where name = ?", (name,)).fetchone()
        return "" if found is None else str(found[0])

    def number(self, name: str) -> int:
        """Give a remembered count, 0 where there is none."""
        return int(self.fact(name) or 0)

    def keep(self, facts: dict[str, Any]) -> None:
        """Remember values by name."""
        self._base.executemany(
            "insert or replace into facts values (?, ?)", [(k, str(v)) for k, v in facts.items()]
        )

    def known(self, id_: str) -> tuple[int, bytes] | None:
        """Give the line and digest of a transaction that was taken before."""
        row = self._base.execute("select line, digest from seen where id = ?", (id_,)).fetchone()
        return None if row is None else (int(row[0]), bytes(row[1]))

    def past(self, payments: Sequence[Transaction], memory: int, events: int) -> list[StoredTransaction]:
        """Give what windows and histories of some payments (in order of time) look back to, in the order it came.

        ``memory``: milliseconds that windows look back; ``events``: earlier payments of the same unit.
        """
        earliest, latest = payments[0].time, payments[-1].time
        found: dict[int, StoredTransaction] = {}
        for column in ("card", "terminal"):
            names = list({getattr(p, column) for p in payments} - {None})
            marks = ", ".join("?" * len(names))
            asked = f"{_READ} where {column} in ({marks}) and time >= ? and time < ?"
            found |= self._found(asked, (*names, earliest - memory, latest))
        first: dict[str, int] = {}
        for payment in payments:
            first.setdefault(payment.unit, payment.time)
        for unit, time in first.items() if events else ():
            asked = f"{_READ} where unit = ? and time < ? order by time desc, seq desc limit ?"
            found |= self._found(asked, (unit, time, events))
            # a payment that came late: others of its time were there before it
            found |= self._found(f"{_READ} where unit = ? and time >= ? and time < ?", (unit, time, latest))
        return [found[seq] for seq in sorted(found)]

    def _found(self, asked: str, values: Sequence[Any]) -> dict[int, StoredTransaction]:
        rows = self._base.execute(asked, values)
        return {row[0]: _past(row) for row in rows}

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Let all changes made inside happen at once, or none of them; then write what they left to be written."""
        self._base.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._base.execute("rollback")
            raise
        self._base.execute("commit")
        self._write_unwritten()

    def remember(self, payments: Sequence[Transaction], features: NDArray[np.float64]) -> None:
        """Keep payments and their features (N, F)."""
        seq = self.number("next")
        self._base.executemany(
            "insert into payments values (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    seq + n,
                    p.card,
                    p.unit,
                    p.terminal,
                    p.time,
                    p.fraud,
                    json.dumps(p.row),
                    features[n].tobytes(),
                )
                for n, p in enumerate(payments)
            ],
        )
        self._base.executemany(
            "insert into seen values (?, ?, ?, ?)",
            [(p.id, seq + n, p.line.number, digest(p)) for n, p in enumerate(payments) if p.id is not None],
        )
        self.keep({"next": seq + len(payments)})

    def label(self, labels: Sequence[Label]) -> None:
        """Keep what became known of earlier payments; one that was dropped since enters no window any more."""
        for label in labels:
            self._base.execute(
                "update payments set fraud = ? where seq = (select seq from seen where id = ?)",
                (label.fraud, label.id),
            )

    def write(self, name: str, lines: Sequence[str]) -> None:
        """Let lines be added to one of the files once the batch is kept."""
        if lines:
            content, start = "".join(f"{line}\n" for line in lines).encode(), self.number(f"end of {name}")
            self._base.execute(
                "insert into unwritten (file, start, text) values (?, ?, ?)", (name, start, content)
            )
            self.keep({f"end of {name}": start + len(content)})

    def forget(self, before: int, events: int) -> int:
        """Drop payments before a time that are not among the latest ``events`` of their unit; give how many."""
        return self._base.execute(
            "delete from payments where time < ? and seq not in (select seq from (select seq, row_number() over "
            "(partition by unit order by time desc, seq desc) as place from payments) where place <= ?)",
            (before, events),
        ).rowcount

    def _write_unwritten(self) -> None:
        waiting = self._base.execute("select n, file, start, text from unwritten order by n").fetchall()
        for name in dict.fromkeys(row[1] for row in waiting):
            path = self._files[name]
            with path.open("r+b" if path.exists() else "w+b") as file:
                for _, _, start, text in (row for row in waiting if row[1] == name):
                    if file.seek(0, os.SEEK_END) < start:
                        raise ValueError(
                            f"{name}={path}: it is shorter than what was written to it before; put it back, or give "
                            "another output and state to begin anew"
                        )
                    file.seek(start)
                    file.write(text)
                file.flush()
                os.fsync(file.fileno())
        if waiting:
            self._base.execute("delete from unwritten where n <= ?", (waiting[-1][0],))

    def close(self) -> None:
        """Let the file go."""
        self._base.close()


def _past(row: tuple[Any, ...]) -> StoredTransaction:
    seq, card, unit, terminal, time, fraud, given, features = row
    return StoredTransaction(
        seq, card, unit, terminal, time, fraud, json.loads(given), np.frombuffer(features, np.float64)
    )


def digest(payment: Transaction) -> bytes:
    """Tell whether two payments of one id are the same."""
    content = json.dumps([payment.card, payment.time, payment.row], sort_keys=True)
    return hashlib.blake2b(content.encode(), digest_size=8).digest()
