"""Simulated card transactions: which ones are fraudulent, and how likely each was, is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from core.config import derive_seed
from core.data.types import Dataset, ColumnRoles, SplitPlan
from finance.schema import TransactionSchema, cross_customer_note
from finance.windows import window_features

DAYS = 120
BEFORE = 40
"""Days before them that only fill the windows and are then left out."""
EACH = 50
"""Transactions of a card, about."""
CARD_DAYS, TERMINAL_DAYS = 20, 45
"""How long a stolen card number, or a tampered terminal, is abused."""
SCHEMA = TransactionSchema(
    card="card",
    time="time",
    amount="amount",
    label="fraud",
    terminal="terminal",
    id="transaction",
    others=("channel",),
)


def simulate(rows: int, seed: int, bias: float, terminal: bool = True) -> Dataset:
    """Draw ``rows`` transactions of about rows / 50 cards over 120 days, parts by time with labels a week late.

    A card whose number was stolen pays five to ten times its usual amounts for 20 days; at a tampered terminal most
    payments of 45 days are fraudulent. ``true_risk`` holds each transaction's probability, which no model sees. The
    planted bias: cardholders far from a town buy in bulk, so that ``0.2 * bias`` of their genuine payments are large
    and look like those of a stolen card: they are stopped more often without cause. ``bias=0`` plants none.
    ``terminal=False`` sums up the past of cards alone.
    """
    rng = np.random.default_rng(derive_seed(seed, "simulated transactions"))
    cards, terminals = max(8, rows // EACH), max(6, rows // 80)
    wanted, rows = rows, round(rows * (DAYS + BEFORE) / DAYS)
    rural = rng.random(cards) < 0.4
    usual = np.exp(rng.normal(3.2, 0.5, cards))
    often = rng.gamma(4.0, 1.0, cards)
    who = rng.choice(cards, rows, p=often / often.sum())
    near = rng.integers(0, terminals, (cards, 5))
    where = np.where(
        rng.random(rows) < 0.8, near[who, rng.integers(0, 5, rows)], rng.integers(0, terminals, rows)
    )
    day = rng.uniform(-BEFORE, DAYS, rows)
    hour = np.clip(rng.normal(14.0, 4.5, rows), 0.0, 23.9)
    day = np.sort(np.floor(day) + hour / 24)
    amount = usual[who] * np.exp(rng.normal(0.0, 0.45, rows))

    stolen = _stretch(rng, cards, 0.35, CARD_DAYS, 50, who, day) & (rng.random(rows) < 0.5)
    tampered = _stretch(rng, terminals, 0.15, TERMINAL_DAYS, 80, where, day)
    bulk = rural[who] & (rng.random(rows) < 0.2 * bias) & ~stolen
    amount = amount * np.where(stolen, rng.uniform(5.0, 10.0, rows), 1.0)
    amount = amount * np.where(bulk, rng.uniform(4.0, 8.0, rows), 1.0)
    risk = np.where(stolen, 0.9, np.where(tampered, 0.8, 0.002))
    start = pd.Timestamp("2025-01-06")
    frame = pd.DataFrame(
        {
            "transaction": [f"T{n:07d}" for n in range(rows)],
            "time": (start + pd.to_timedelta((day * 86_400).round(), unit="s")).as_unit("s"),
            "card": [f"C{n:05d}" for n in who],
            "terminal": [f"K{n:05d}" for n in where],
            "amount": amount.round(2),
            "channel": rng.choice(["chip", "contactless", "online"], rows, p=(0.4, 0.35, 0.25)),
            "residence": np.where(rural[who], "rural", "urban"),
            "true_risk": risk,
            "fraud": np.where(rng.random(rows) < risk, "yes", "no"),
        }
    )
    schema = SCHEMA if terminal else replace(SCHEMA, terminal=None)
    frame = frame.join(window_features(frame, schema)).iloc[-wanted:].reset_index(drop=True)
    return Dataset(
        frame,
        ColumnRoles(
            target=("fraud",),
            numeric=("amount", *schema.features()),
            categorical=SCHEMA.others,
            sensitive=("residence",),
            unit="card",
            time="time",
        ),
        name="simulated card transactions",
        simulated=True,
        split=SplitPlan(by="time", validation=0.2, test=0.25, seed=seed, gap=SCHEMA.delay, units_apart=False),
        unit_name="customer",
        of_others=cross_customer_note("task.terminal=false") if terminal else "",
        truth={
            "probability": "true_risk",
            "bias": {"attribute": "residence", "against": "rural", "strength": bias, "through": "amount"},
        },
    )


def _stretch(
    rng: Generator,
    size: int,
    share: float,
    days: int,
    period: int,
    who: NDArray[np.int64],
    day: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Say of each row whether it falls into a bad stretch of its card or terminal.

    In each ``period`` of days, ``share`` of them have one of ``days`` days.
    """
    now = ((day + BEFORE) // period).astype(np.int64)
    shape = (size, int(now.max()) + 1)
    begins = np.where(rng.random(shape) < share, rng.uniform(0.0, period - days, shape), np.inf)
    since = (day + BEFORE) % period - begins[who, now]
    return (since >= 0) & (since < days)
