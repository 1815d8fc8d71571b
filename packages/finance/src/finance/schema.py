"""Which columns a table of transactions has, and how far back its windows look. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

WINDOWS = (1.0, 7.0, 30.0)
"""Days of the windows, as in the Fraud Detection Handbook (Le Borgne et al. 2022, chapter 3)."""
LABEL_DELAY = 7.0
"""Days until a transaction's label is known, as in the same handbook."""


def cross_customer_note(key: str) -> str:
    """Say that windows of terminals are made of other customers' rows, and which ``key`` leaves them out."""
    return (
        "windows of a terminal in a customer's row are made of other customers' payments and labels; "
        f"{key} leaves them out"
    )


@dataclass(frozen=True)
class TransactionSchema:
    """The columns of a transaction, and the rules by which its past is summed up."""

    card: str
    """Whose history counts."""
    time: str
    amount: str
    label: str
    """1 = fraud, 0 = not, empty = nobody has said yet."""
    terminal: str | None = None
    """Where the card was used; None where the table does not say, or where its windows are not wanted."""
    id: str | None = None
    """What tells a transaction from all others; a stream is read without doubling by it."""
    unit: str | None = None
    """Whom the card belongs to; None where that is the card."""
    others: tuple[str, ...] = ()
    """Further input columns of a transaction, taken as they are."""
    windows: tuple[float, ...] = WINDOWS
    delay: float = LABEL_DELAY
    per_day: float = 1.0
    """How many of a numeric time's units make one day (86400 for seconds); dates need none."""

    @property
    def memory(self) -> float:
        """Give the days after which a row no longer enters any window."""
        return max(self.windows) + self.delay

    def columns(self) -> tuple[str, ...]:
        """Name the columns that windows are made of."""
        return tuple(c for c in (self.card, self.time, self.amount, self.label, self.terminal) if c)

    def features(self) -> tuple[str, ...]:
        """Name the columns that ``finance.windows.window_features`` makes."""
        spans = [format_days(w) for w in self.windows]
        names = ["night", "weekend"]
        names += [f"card_{what}_{span}d" for span in spans for what in ("count", "mean")]
        names += ["card_ratio", "card_spread", "card_gap", "card_frauds"]
        if self.terminal is not None:
            names += [f"terminal_{what}_{span}d" for span in spans for what in ("count", "risk")]
            names += ["terminal_since_fraud", "terminal_last"]
        return tuple(names)


def format_days(days: float) -> str:
    """Write days in a name: 7.0 -> 7, 0.5 -> 0.5."""
    return f"{days:g}"
