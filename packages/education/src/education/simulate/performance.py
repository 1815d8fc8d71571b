"""Simulated pupils: the expected final grade of each is known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.config import derive_seed
from core.data.types import ColumnRoles, Dataset, SplitPlan


def simulate(rows: int, seed: int, bias: float) -> Dataset:
    """Return pupils with a final grade of 0 to 20.

    The expected grade (``true_grade``, which no model sees) falls with earlier failures and absences and rises with
    study time and parents' education. The planted bias: buses make pupils from villages late, and the school's
    register counts ``6 * bias`` absences more for them on average, which are unrelated to their work.
    """
    rng = np.random.default_rng(derive_seed(seed, "simulated pupils"))
    village = rng.random(rows) < 0.35
    sex = rng.choice(["F", "M"], rows)
    age = rng.integers(15, 20, rows)
    study = rng.integers(1, 5, rows)
    mother = rng.integers(0, 5, rows)
    failures = rng.choice([0, 1, 2, 3], rows, p=[0.75, 0.15, 0.06, 0.04])
    missed = rng.poisson(5.0, rows)
    late = rng.poisson(6.0 * bias, rows) if bias else np.zeros(rows, int)
    recorded = missed + np.where(village, late, 0)
    expected = 11.0 + 1.1 * (study - 2) + 0.6 * (mother - 2) - 1.8 * failures - 0.35 * (missed - 5)
    grade = np.clip(np.rint(expected + rng.normal(0.0, 1.8, rows)), 0, 20)
    frame = pd.DataFrame(
        {
            "pupil": [f"P{n:06d}" for n in range(rows)],
            "sex": sex,
            "age": age.astype(float),
            "address": np.where(village, "village", "town"),
            "studytime": study.astype(float),
            "Medu": mother.astype(float),
            "failures": failures.astype(float),
            "absences": recorded.astype(float),
            "activities": rng.choice(["yes", "no"], rows),
            "school": rng.choice(["north", "south"], rows),
            "true_grade": expected,
            "G3": grade,
        }
    )
    return Dataset(
        frame,
        ColumnRoles(
            target=("G3",),
            numeric=("studytime", "Medu", "failures", "absences"),
            categorical=("activities", "school"),
            sensitive=("address", "sex", "age"),
            unit="pupil",
        ),
        name="simulated pupils",
        simulated=True,
        split=SplitPlan(by="unit", seed=seed),
        unit_name="pupil",
        ordinal_target=True,
        ground_truth={
            "grade": "true_grade",
            "bias": {"attribute": "address", "against": "village", "strength": bias, "through": "absences"},
        },
    )
