"""Simulated rooms: occupancy, and the temperature, humidity and carbon dioxide that follow from it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.config import derive_seed
from core.data.types import ColumnRoles, Dataset, SplitPlan

STEP_MINUTES = 10
OUTDOOR_PPM = 420.0
STAY = 0.93
"""Probability that occupancy stays the same for a step."""


def simulate(rows: int, seed: int, bias: float) -> Dataset:
    """Return ``rows`` readings of about rows / 60 homes, ten minutes apart, with the occupancy.

    A mass balance of carbon dioxide: each step it moves a fraction towards 420 ppm, or towards about 420 + 380 ppm a
    person in an occupied room; temperature and humidity follow more slowly. The planted bias: rented homes have
    cheaper sensors, whose measurement error is ``1 + 4 * bias`` times as large.
    """
    rng = np.random.default_rng(derive_seed(seed, "simulated scenes"))
    homes = max(8, rows // 60)
    home_of_row = np.sort(rng.integers(0, homes, rows))
    rented = rng.random(homes) < 0.4
    readings = []
    for home in range(homes):
        steps = int((home_of_row == home).sum())
        if not steps:
            continue
        people = int(rng.integers(1, 4))
        ventilation = rng.uniform(0.15, 0.35)
        base = rng.normal(20.0, 1.0)
        error = 1 + 4 * bias * rented[home]
        occupied = bool(rng.random() < 0.5)
        start = pd.Timestamp("2024-01-08") + pd.Timedelta(minutes=int(rng.integers(0, 7 * 24 * 60)))
        ppm, temperature, humidity = OUTDOOR_PPM + 300.0 * occupied, base, rng.normal(40.0, 4.0)
        for step in range(steps):
            if rng.random() > STAY:
                occupied = not occupied
            ppm += ventilation * (OUTDOOR_PPM + 380.0 * people * occupied - ppm)
            temperature += 0.15 * (base + 1.5 * occupied - temperature)
            humidity += 0.1 * (40.0 + 5.0 * people * occupied - humidity)
            readings.append(
                (
                    f"H{home:04d}",
                    "rented" if rented[home] else "owned",
                    start + pd.Timedelta(minutes=STEP_MINUTES * step),
                    round(temperature + rng.normal(0, 0.15) * error, 2),
                    round(humidity + rng.normal(0, 0.8) * error, 2),
                    round(ppm + rng.normal(0, 25.0) * error, 1),
                    "yes" if occupied else "no",
                )
            )
    columns = ["home", "tenure", "time", "temperature", "humidity", "co2", "occupied"]
    return Dataset(
        pd.DataFrame(readings, columns=columns),
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
        ground_truth={
            "bias": {"attribute": "tenure", "against": "rented", "strength": bias, "through": "sensors"}
        },
    )
