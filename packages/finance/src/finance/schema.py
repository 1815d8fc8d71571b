"""The schema of a table of transactions: its columns, windows and label delay. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.config import at_least_zero, config_error

WINDOWS = (1.0, 7.0, 30.0)
"""Lengths of the windows in days, as in the Fraud Detection Handbook (Le Borgne et al. 2022, chapter 3)."""
LABEL_DELAY = 7.0
"""Days until a transaction's label is known, as in the same handbook."""
DAY_MS = 86_400_000
"""Milliseconds of a day: times are compared in whole milliseconds."""
LABEL_VALUES = {"1": 1.0, "yes": 1.0, "true": 1.0, "1.0": 1.0, "0": 0.0, "no": 0.0, "false": 0.0, "0.0": 0.0}
"""What a fraud label may be, in lower case, and its value."""


def cross_customer_note(key: str) -> str:
    """Return the sentence that terminal features use other customers' rows, and which ``key`` drops them."""
    return (
        "terminal features in a customer's row are computed from other customers' payments and labels; "
        f"{key} drops them"
    )


def check_windows(windows: Sequence[float], label_delay: float) -> None:
    """Raise ValueError for windows and a label delay that can't be right, naming the key."""
    if not windows or min(windows) <= 0 or len(set(windows)) < len(windows):
        raise config_error("data.windows", list(windows), "one or more different numbers of days above 0")
    at_least_zero("data", label_delay=label_delay)


@dataclass(frozen=True)
class TransactionSchema:
    """The columns of a transaction, and the windows over which its history is aggregated."""

    card: str
    """Column of the card or account, whose history is aggregated."""
    time: str
    amount: str
    label: str
    """1 = fraud, 0 = genuine, empty = not known yet."""
    terminal: str | None = None
    """Where the card was used; None without such a column, or without terminal features."""
    id: str | None = None
    """Unique identifier of a transaction; the monitor uses it to ignore duplicates."""
    unit: str | None = None
    """Owner of the card; None where that is the card itself."""
    extra_inputs: tuple[str, ...] = ()
    """Further input columns of a transaction, used unchanged."""
    windows: tuple[float, ...] = WINDOWS
    label_delay: float = LABEL_DELAY
    time_units_per_day: float = 1.0
    """Units of a numeric time that make one day (86400 for seconds); dates need none."""
    date_order: str = "auto"
    """How the run's dates are written: dmy, mdy, compact (20240131), or ISO 8601 (ymd, auto)."""

    @property
    def lookback_days(self) -> float:
        """Return the days after which a row no longer enters any window."""
        return max(self.windows) + self.label_delay

    def columns(self) -> tuple[str, ...]:
        """Return the columns from which windows are computed."""
        return tuple(c for c in (self.card, self.time, self.amount, self.label, self.terminal) if c)

    def features(self) -> tuple[str, ...]:
        """Return the columns that ``finance.windows.window_features`` computes."""
        spans = [format_days(w) for w in self.windows]
        names = ["night", "weekend"]
        names += [f"card_{what}_{span}d" for span in spans for what in ("count", "mean")]
        names += ["card_ratio", "card_spread", "card_gap", "card_frauds"]
        if self.terminal is not None:
            names += [f"terminal_{what}_{span}d" for span in spans for what in ("count", "risk")]
            names += ["terminal_since_fraud", "terminal_last"]
        return tuple(names)


def format_days(days: float) -> str:
    """Return days as part of a name: 7.0 -> 7, 0.5 -> 0.5."""
    return f"{days:g}"
