"""The clock of the data: how late a transaction may be, so that one wrong date can't move it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from finance.schema import DAY_MS

if TYPE_CHECKING:
    from finance.stream.jsonl_stream import Transaction

AGREE = 5
"""Cards, and terminals, that must agree on a later time before the clock follows them."""
KEPT = 50
"""Rejected transactions that are remembered for that."""
TOLERANCE_MS = DAY_MS
"""How far a date may be ahead of this machine's clock: time zones, and clocks that are not quite right."""
Ahead = tuple[str, str | None, int]
"""Card, terminal and time of a transaction that was too far ahead."""


@dataclass(frozen=True)
class DataClock:
    """The latest time of the transactions so far.

    A date after today (by this machine's clock) is refused, and so is one more than ``max_gap_ms`` after the latest,
    unless ``AGREE`` different cards at different terminals have sent such a time: then the stream has paused.
    """

    max_gap_ms: int
    latest: int | None = None
    ahead: tuple[Ahead, ...] = ()

    def advance(self, transaction: Transaction, now_ms: float | None = None) -> tuple[DataClock, str]:
        """Return the clock after a transaction, and why that is refused (empty where it is not)."""
        moment = transaction.time
        if transaction.time_is_date:
            now = time.time() * 1000 if now_ms is None else now_ms
            if moment > now + TOLERANCE_MS:
                days = (moment - now) / DAY_MS
                return self, f"its time is {days:,.0f} days in the future, by the clock of this machine"
        if self.latest is None or moment <= self.latest:
            return (DataClock(self.max_gap_ms, moment, self.ahead) if self.latest is None else self), ""
        if moment <= self.latest + self.max_gap_ms:
            return DataClock(self.max_gap_ms, moment, self.ahead), ""
        ahead = (*self.ahead, (transaction.card, transaction.terminal, moment))[-KEPT:]
        agreeing = [a for a in ahead if abs(a[2] - moment) <= self.max_gap_ms]
        terminals = {terminal for _, terminal, _ in agreeing}
        if len({card for card, _, _ in agreeing}) >= AGREE and (
            terminals == {None} or len(terminals) >= AGREE
        ):
            return DataClock(self.max_gap_ms, moment), ""
        days = (moment - self.latest) / DAY_MS
        return DataClock(self.max_gap_ms, self.latest, ahead), (
            f"its time is {days:,.0f} days after the latest before it, more than max_gap_days="
            f"{self.max_gap_ms / DAY_MS:g}, and no {AGREE} cards and terminals agree on it"
        )

    def to_json(self) -> str:
        """Return what is ahead as JSON."""
        return json.dumps(self.ahead)

    @classmethod
    def restore(cls, max_gap_ms: int, latest: str, ahead: str) -> DataClock:
        """Return the clock of a state's entries ``latest`` and ``ahead``, empty in a new state."""
        kept = tuple((card, terminal, moment) for card, terminal, moment in json.loads(ahead or "[]"))
        return cls(max_gap_ms, int(latest) if latest else None, kept)
