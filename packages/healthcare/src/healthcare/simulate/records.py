"""Simulated ward patients: vitals, laboratory values and a note; the risk of deterioration within a day is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from core.config import derive_seed
from core.data.types import ColumnRoles, Dataset, SplitPlan

BREATH = (
    "breathing comfortably on room air",
    "short of breath on exertion",
    "short of breath at rest, speaks in words",
)
MIND = ("alert and orientated", "drowsy but rousable", "confused since this morning")
SKIN = ("warm and well perfused", "cool hands", "mottled, cold to the elbow")
PLANS = ("continue current treatment", "repeat bloods in the morning", "encourage fluids and mobilise")
FILLERS = ("family updated", "eating and drinking", "pain controlled", "slept well", "physiotherapy today")


def _sentences(
    rng: Generator, severity_N: NDArray[np.float64], words: tuple[str, str, str]
) -> NDArray[np.str_]:
    # A nurse's words follow the true state loosely: an error of one standard deviation.
    level = np.digitize(severity_N + rng.normal(0.0, 1.0, len(severity_N)), (0.8, 1.9))
    return np.asarray(words)[level]


def simulate(rows: int, seed: int, bias: float) -> Dataset:
    """Return ``rows`` ward assessments of about rows / 1.6 patients.

    The risk of deterioration is a known logistic function (kept in the column ``true_risk``, which no model
    sees). The planted bias is the one that pulse oximeters have: for patients with dark skin the device
    reads ``4 * bias`` points too high and 2.5 times as imprecisely, so a model that trusts it misses sick
    patients of that group. ``bias=0`` plants none. Source of the mechanism: Sjoding et al., NEJM 383:2477 (2020).
    """
    rng = np.random.default_rng(derive_seed(seed, "simulated records"))
    patients = max(2, int(rows / 1.6))
    who_N = np.sort(rng.integers(0, patients, rows))
    age = np.clip(rng.normal(64, 16, patients), 18, 99).round()
    sex = rng.choice(["female", "male"], patients)
    dark = rng.random(patients) < 0.35
    frailty = rng.normal(0.0, 1.0, patients)

    severity_N = 0.6 * frailty[who_N] + 0.8 * rng.normal(0.0, 1.0, rows) + 0.012 * (age[who_N] - 64)
    dark_N = dark[who_N]

    def measured(mean: float, slope: float, deviation: float) -> NDArray[np.float64]:
        return mean + slope * severity_N + rng.normal(0.0, deviation, rows)

    saturation_true = np.clip(measured(94.0, -2.2, 1.8), 70, 100)
    oximeter_error = rng.normal(0.0, 1.0, rows) * np.where(dark_N, 1.0 + 1.5 * bias, 1.0)
    saturation = np.clip(saturation_true + oximeter_error + np.where(dark_N, 4.0 * bias, 0.0), 70, 100)
    lactate = np.exp(rng.normal(0.35 + 0.25 * severity_N, 0.35))
    logit = -2.5 + 0.2 * severity_N + 0.6 * (94.0 - saturation_true) + 0.6 * (lactate - 1.5)
    risk = 1.0 / (1.0 + np.exp(-logit))

    clauses = [_sentences(rng, severity_N, words) for words in (BREATH, MIND, SKIN)]
    ends = [rng.choice(FILLERS, rows), rng.choice(PLANS, rows)]
    note = ["; ".join(sentence) + "." for sentence in zip(*clauses, *ends, strict=True)]
    frame = pd.DataFrame(
        {
            "patient": [f"P{n:06d}" for n in who_N],
            "age": age[who_N],
            "sex": sex[who_N],
            "skin": np.where(dark_N, "dark", "light"),
            "ward": rng.choice(["medical", "surgical", "respiratory", "elderly care"], rows),
            "heart_rate": measured(82, 9, 11).round(),
            "systolic": measured(128, -8, 15).round(),
            "respiratory_rate": measured(17, 2.4, 2.2).round(),
            "temperature": measured(36.9, 0.3, 0.5).round(1),
            "saturation": saturation.round(),
            "lactate": lactate.round(1),
            "creatinine": np.exp(rng.normal(4.4 + 0.15 * severity_N, 0.35)).round(),
            "white_cells": np.exp(rng.normal(2.1 + 0.12 * severity_N, 0.3)).round(1),
            "crp": np.exp(rng.normal(2.8 + 0.5 * severity_N, 0.9)).round(),
            "note": note,
            "true_risk": risk,
            "deteriorated": np.where(rng.random(rows) < risk, "yes", "no"),
        }
    )
    for column, missing in {"lactate": 0.25, "crp": 0.15, "temperature": 0.03}.items():
        frame.loc[rng.random(rows) < missing, column] = np.nan  # not every test is ordered for every patient
    numeric = ("age", "heart_rate", "systolic", "respiratory_rate", "temperature", "saturation", "lactate")
    return Dataset(
        frame,
        ColumnRoles(
            target=("deteriorated",),
            numeric=(*numeric, "creatinine", "white_cells", "crp"),
            categorical=("sex", "ward"),
            text=("note",),
            sensitive=("skin", "sex", "age"),
            unit="patient",
        ),
        name="simulated ward assessments",
        simulated=True,
        split=SplitPlan(by="unit", seed=seed),
        unit_name="patient",
        ground_truth={
            "probability": "true_risk",
            "bias": {"attribute": "skin", "against": "dark", "strength": bias, "through": "saturation"},
        },
    )
