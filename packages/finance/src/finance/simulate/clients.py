"""Simulated clients of a bank: the probability of default next month is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.config import derive_seed
from core.data.types import ColumnRoles, Dataset, SplitPlan

MONTHS = 3


def simulate(rows: int, seed: int, bias: float) -> Dataset:
    """Return ``rows`` clients with three months of bills and payments.

    The probability of default is a known logistic function (column ``true_risk``, which no model sees). The planted
    bias: the bureau score of people who moved here lately is too low by ``120 * bias`` points, although they default
    no more often: a model that trusts the score has more false positives among them. ``bias=0`` plants none.
    """
    rng = np.random.default_rng(derive_seed(seed, "simulated clients"))
    age = np.clip(rng.normal(41, 12, rows), 21, 79).round()
    sex = rng.choice(["female", "male"], rows)
    newcomer = rng.random(rows) < 0.3
    strain = rng.normal(0.0, 1.0, rows)
    income = np.exp(rng.normal(7.9 - 0.15 * strain, 0.4)).round(-1)
    limit = (income * rng.uniform(0.5, 3.0, rows)).round(-2)
    use = 1.0 / (1.0 + np.exp(-(strain + rng.normal(-0.5, 0.8, rows))))
    frame = pd.DataFrame(
        {
            "age": age,
            "sex": sex,
            "arrival": np.where(newcomer, "newcomer", "settled"),
            "income": income,
            "limit": limit,
            "purpose": rng.choice(["car", "home", "education", "other"], rows),
            "years_as_client": rng.integers(0, 25, rows).astype(float),
        }
    )
    late_sum = np.zeros(rows)
    for month in range(1, MONTHS + 1):
        late = np.clip(np.floor(strain + rng.normal(-0.7, 0.9, rows)), 0, 4)
        late_sum += late
        frame[f"late_{month}"] = late
        frame[f"bill_{month}"] = (limit * use * rng.uniform(0.8, 1.2, rows)).round()
        frame[f"paid_{month}"] = (frame[f"bill_{month}"] * np.exp(-0.6 * late) * rng.beta(2, 3, rows)).round()
    logit = -2.9 + 1.0 * strain + 0.55 * late_sum + 1.2 * (use - 0.5)
    risk = 1.0 / (1.0 + np.exp(-logit))
    assessed = logit + rng.normal(0.0, 0.3, rows)
    frame["bureau_score"] = (620 - 45 * assessed - 120 * bias * newcomer + rng.normal(0, 15, rows)).round()
    frame.loc[rng.random(rows) < 0.08, "bureau_score"] = np.nan  # not everybody has one
    frame["true_risk"] = risk
    frame["default"] = np.where(rng.random(rows) < risk, "yes", "no")
    monthly = tuple(f"{what}_{m}" for what in ("late", "bill", "paid") for m in range(1, MONTHS + 1))
    return Dataset(
        frame,
        ColumnRoles(
            target=("default",),
            numeric=("income", "limit", "years_as_client", "bureau_score", *monthly),
            categorical=("purpose",),
            sensitive=("arrival", "sex", "age"),
        ),
        name="simulated clients",
        simulated=True,
        split=SplitPlan(by="stratified", seed=seed),
        unit_name="client",
        ground_truth={
            "probability": "true_risk",
            "bias": {
                "attribute": "arrival",
                "against": "newcomer",
                "strength": bias,
                "through": "bureau_score",
            },
        },
    )
