"""Simulated heartbeats: sums of Gaussian waves, as in McSharry et al., IEEE TBME 50:289 (2003)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.config import derive_seed
from core.data.types import ColumnRoles, Dataset, SplitPlan

SAMPLES = 128
RATE_HZ = 125
CLASSES = ("N", "S", "V")
# wave: (seconds from the R peak, amplitude in millivolts, width in seconds)
NORMAL = (
    (-0.18, 0.15, 0.025),
    (-0.03, -0.10, 0.010),
    (0.0, 1.00, 0.012),
    (0.03, -0.18, 0.012),
    (0.25, 0.28, 0.050),
)
VENTRICULAR = ((-0.02, -0.25, 0.030), (0.0, 1.10, 0.045), (0.09, -0.45, 0.050), (0.30, -0.30, 0.060))


def simulate(rows: int, seed: int, bias: float) -> Dataset:
    """Return ``rows`` beats of about rows / 40 patients, 128 samples at 125 Hz, with the interval before each.

    Ectopic atrial beats (S) come early and lack the P wave; ventricular beats (V) come early and are wide.
    The planted bias: women's electrodes pick up ``1 + 3 * bias`` times the muscle artifact.
    """
    rng = np.random.default_rng(derive_seed(seed, "simulated beats"))
    patients = max(6, rows // 40)
    who = np.sort(rng.integers(0, patients, rows))
    sex = rng.choice(["female", "male"], patients)
    age = np.clip(rng.normal(60, 17, patients), 18, 95).round()
    gain = rng.uniform(0.7, 1.3, patients)
    rhythm_ms = rng.normal(820, 110, patients)
    labels = rng.choice(CLASSES, rows, p=(0.7, 0.13, 0.17))
    t = (np.arange(SAMPLES) - 56) / RATE_HZ
    signals, before = [], np.empty(rows)
    for n, label in enumerate(labels):
        waves = VENTRICULAR if label == "V" else NORMAL[1:] if label == "S" else NORMAL
        beat = sum(a * np.exp(-0.5 * ((t - c * rng.normal(1, 0.05)) / w) ** 2) for c, a, w in waves)
        artifact = 0.05 * (1 + 3 * bias * (sex[who[n]] == "female"))
        wander = 0.1 * np.sin(2 * np.pi * (0.3 * t + rng.random()))
        signals.append((gain[who[n]] * beat + wander + rng.normal(0, artifact, SAMPLES)).astype(np.float32))
        before[n] = rhythm_ms[who[n]] * rng.normal(1.0 if label == "N" else 0.72, 0.09)
    frame = pd.DataFrame(
        {
            "patient": [f"P{n:04d}" for n in who],
            "signal": signals,
            "rr_before_ms": before.round(),
            "sex": sex[who],
            "age": age[who],
            "beat": labels,
        }
    )
    return Dataset(
        frame,
        ColumnRoles(
            target=("beat",),
            numeric=("rr_before_ms",),
            signal="signal",
            sensitive=("sex", "age"),
            unit="patient",
        ),
        name="simulated heartbeats",
        simulated=True,
        split=SplitPlan(by="unit", seed=seed),
        unit_name="patient",
        ground_truth={
            "bias": {"attribute": "sex", "against": "female", "strength": bias, "through": "signal"}
        },
    )
