"""Simulated card transactions: the probability of fraud of each is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from core.config import derive_seed
from core.data.types import ColumnRoles, Dataset, SplitPlan
from finance.schema import TransactionSchema, cross_customer_note
from finance.windows import window_features

DAYS = 120
BURN_IN_DAYS = 40
"""Days before them that only fill the windows and are then dropped."""
TRANSACTIONS_PER_CARD = 50
"""On average."""
CARD_DAYS, TERMINAL_DAYS = 20, 45
"""Days for which a stolen card number, or a tampered terminal, is abused."""
SCHEMA = TransactionSchema(
    card="card",
    time="time",
    amount="amount",
    label="fraud",
    terminal="terminal",
    id="transaction",
    extra_inputs=("channel",),
)


def simulate(rows: int, seed: int, bias: float, terminal_features: bool = True) -> Dataset:
    """Return ``rows`` transactions of about rows / 50 cards over 120 days, split by time, labels a week late.

    A card whose number was stolen pays five to ten times its usual amounts for 20 days; at a tampered terminal most
    payments of 45 days are fraudulent. ``true_risk`` holds each transaction's probability, which no model sees. The
    planted bias: cardholders far from a town buy in bulk, so that ``0.2 * bias`` of their genuine payments are large
    and look like those of a stolen card: they have more false positives. ``bias=0`` plants none.
    ``terminal_features=False`` aggregates the history of cards only.
    """
    rng = np.random.default_rng(derive_seed(seed, "simulated transactions"))
    cards, terminals = max(8, rows // TRANSACTIONS_PER_CARD), max(6, rows // 80)
    wanted, rows = rows, round(rows * (DAYS + BURN_IN_DAYS) / DAYS)
    rural = rng.random(cards) < 0.4
    usual = np.exp(rng.normal(3.2, 0.5, cards))
    often = rng.gamma(4.0, 1.0, cards)
    who = rng.choice(cards, rows, p=often / often.sum())
    near = rng.integers(0, terminals, (cards, 5))
    where = np.where(
        rng.random(rows) < 0.8, near[who, rng.integers(0, 5, rows)], rng.integers(0, terminals, rows)
    )
    day = rng.uniform(-BURN_IN_DAYS, DAYS, rows)
    hour = np.clip(rng.normal(14.0, 4.5, rows), 0.0, 23.9)
    day = np.sort(np.floor(day) + hour / 24)
    amount = usual[who] * np.exp(rng.normal(0.0, 0.45, rows))

    stolen = _in_abuse_period(rng, cards, 0.35, CARD_DAYS, 50, who, day) & (rng.random(rows) < 0.5)
    tampered = _in_abuse_period(rng, terminals, 0.15, TERMINAL_DAYS, 80, where, day)
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
    schema = SCHEMA if terminal_features else replace(SCHEMA, terminal=None)
    frame = frame.join(window_features(frame, schema)).iloc[-wanted:].reset_index(drop=True)
    return Dataset(
        frame,
        ColumnRoles(
            target=("fraud",),
            numeric=("amount", *schema.features()),
            categorical=SCHEMA.extra_inputs,
            sensitive=("residence",),
            unit="card",
            time="time",
        ),
        name="simulated card transactions",
        simulated=True,
        split=SplitPlan(
            by="time",
            validation_fraction=0.2,
            test_fraction=0.25,
            seed=seed,
            gap=SCHEMA.label_delay,
            disjoint_entities=False,
        ),
        unit_name="customer",
        cross_unit_inputs=cross_customer_note("task.terminal_features=false") if terminal_features else "",
        ground_truth={
            "probability": "true_risk",
            "bias": {"attribute": "residence", "against": "rural", "strength": bias, "through": "amount"},
        },
    )


def _in_abuse_period(
    rng: Generator,
    size: int,
    probability: float,
    days: int,
    period: int,
    who: NDArray[np.int64],
    day: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Return for each row whether it falls into an abuse period of its card or terminal, (N,).

    In each ``period`` of days, a card or terminal has one of ``days`` days with this ``probability``.
    """
    now = ((day + BURN_IN_DAYS) // period).astype(np.int64)
    shape = (size, int(now.max()) + 1)
    begins = np.where(rng.random(shape) < probability, rng.uniform(0.0, period - days, shape), np.inf)
    since = (day + BURN_IN_DAYS) % period - begins[who, now]
    return (since >= 0) & (since < days)
