"""Simulated rooms: people come and go, and temperature, humidity and carbon dioxide follow."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.config import derive_seed
from core.data.types import Dataset, ColumnRoles, SplitPlan

STEP_MINUTES = 10
OUTSIDE_PPM = 420.0
STAY = 0.93
"""Probability that a room is as occupied as it was a step before."""


def simulate(rows: int, seed: int, bias: float) -> Dataset:
    """Draw ``rows`` readings of about rows / 60 homes, ten minutes apart, with who was there.

    A mass balance of carbon dioxide: each step it goes a share of the way to 420 ppm, or to about 420 + 380 ppm a
    person where there is one; temperature and humidity follow more slowly. The planted bias: rented homes have cheaper
    sensors, whose noise is ``1 + 4 * bias`` times as large.
    """
    rng = np.random.default_rng(derive_seed(seed, "simulated scenes"))
    homes = max(8, rows // 60)
    who = np.sort(rng.integers(0, homes, rows))
    rented = rng.random(homes) < 0.4
    made = []
    for home in range(homes):
        steps = int((who == home).sum())
        if not steps:
            continue
        people = int(rng.integers(1, 4))
        airy = rng.uniform(0.15, 0.35)
        base = rng.normal(20.0, 1.0)
        noise = 1 + 4 * bias * rented[home]
        there = bool(rng.random() < 0.5)
        start = pd.Timestamp("2024-01-08") + pd.Timedelta(minutes=int(rng.integers(0, 7 * 24 * 60)))
        ppm, warm, damp = OUTSIDE_PPM + 300.0 * there, base, rng.normal(40.0, 4.0)
        for step in range(steps):
            if rng.random() > STAY:
                there = not there
            ppm += airy * (OUTSIDE_PPM + 380.0 * people * there - ppm)
            warm += 0.15 * (base + 1.5 * there - warm)
            damp += 0.1 * (40.0 + 5.0 * people * there - damp)
            made.append(
                (
                    f"H{home:04d}",
                    "rented" if rented[home] else "owned",
                    start + pd.Timedelta(minutes=STEP_MINUTES * step),
                    round(warm + rng.normal(0, 0.15) * noise, 2),
                    round(damp + rng.normal(0, 0.8) * noise, 2),
                    round(ppm + rng.normal(0, 25.0) * noise, 1),
                    "yes" if there else "no",
                )
            )
    columns = ["home", "tenure", "time", "temperature", "humidity", "co2", "occupied"]
    return Dataset(
        pd.DataFrame(made, columns=columns),
        ColumnRoles(
            target=("occupied",),
            numeric=("temperature", "humidity", "co2"),
            sensitive=("tenure",),
            unit="home",
            time="time",
        ),
        name="simulated rooms",
        simulated=True,
        split=SplitPlan(by="unit", seed=seed),
        unit_name="home",
        ground_truth={"bias": {"attribute": "tenure", "against": "rented", "strength": bias, "through": "noise"}},
    )
