"""A limit on the time that training takes."""

from __future__ import annotations

import time
from typing import Any


class TimeBudget:
    """Ends training after so many minutes, those before a resume included.

    A run that it ends depends on the machine's pace, so it is the one thing that isn't repeatable bit for bit.
    """

    def __init__(self, minutes: float) -> None:
        """Start the clock; 0 minutes set no limit."""
        self.minutes = minutes
        self._before = 0.0
        self._since = time.monotonic()

    def exhausted(self) -> str | None:
        """Say that the time is over, if it is."""
        if self.minutes == 0 or self._spent() < self.minutes * 60:
            return None
        return f"the time budget of {self.minutes:g} minutes (training.max_minutes) was used up"

    def state_dict(self) -> dict[str, Any]:
        """Give the seconds spent."""
        return {"seconds": self._spent()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Add the seconds that an earlier process spent."""
        self._before = float(state["seconds"])

    def _spent(self) -> float:
        return self._before + time.monotonic() - self._since
