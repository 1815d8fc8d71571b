"""Simulated clinical notes filed under one or two specialties."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.config import derive_seed
from core.data.types import ColumnRoles, Dataset, SplitPlan

FINDINGS = {
    "Cardiology": (
        "chest pain",
        "troponin raised",
        "ejection fraction reduced",
        "atrial fibrillation",
        "stent placed",
    ),
    "Neurology": (
        "left arm weakness",
        "seizure witnessed",
        "headache with aura",
        "reflexes brisk",
        "gait unsteady",
    ),
    "Orthopaedics": (
        "fall on the hip",
        "fracture displaced",
        "range of motion limited",
        "cast applied",
        "knee swollen",
    ),
    "Gastroenterology": (
        "abdominal pain",
        "colonoscopy clear",
        "reflux symptoms",
        "polyp removed",
        "liver enzymes high",
    ),
    "Urology": ("flank pain", "stone in the ureter", "catheter changed", "prostate enlarged", "haematuria"),
}
COMMON = (
    "the patient was seen in clinic",
    "history was reviewed",
    "vital signs stable",
    "no known drug allergies",
    "medication list updated",
    "the patient tolerated the procedure well",
    "follow up in two weeks",
    "risks and benefits were discussed",
)
PLAIN = {
    "Cardiology": "heart complaint",
    "Neurology": "nerve complaint",
    "Orthopaedics": "bone complaint",
    "Gastroenterology": "stomach complaint",
    "Urology": "water works complaint",
}


def simulate(rows: int, seed: int, bias: float) -> Dataset:
    """Return notes of one or two specialties out of five.

    The planted bias: notes of patients who needed an interpreter are shorter and vaguer. Each finding is
    replaced by a vague phrase with probability ``0.6 * bias`` there (0.1 elsewhere).
    """
    rng = np.random.default_rng(derive_seed(seed, "simulated notes"))
    names = list(FINDINGS)
    texts, labels = [], []
    interpreter = rng.random(rows) < 0.25
    for n in range(rows):
        own = rng.choice(len(names), size=1 + int(rng.random() < 0.3), replace=False)
        vague = 0.1 + (0.6 - 0.1) * bias * interpreter[n]
        findings = []
        for k in own:
            for finding in rng.choice(FINDINGS[names[k]], size=int(rng.integers(2, 4)), replace=False):
                unclear = rng.random() < vague
                findings.append(
                    rng.choice(["some discomfort", PLAIN[names[k]]], p=[0.7, 0.3]) if unclear else finding
                )
        findings += list(rng.choice(COMMON, size=int(rng.integers(2, 6)), replace=False))
        rng.shuffle(findings)
        texts.append(". ".join(findings) + ".")
        labels.append(";".join(sorted(names[k] for k in own)))
    frame = pd.DataFrame(
        {
            "note_id": [f"N{n:06d}" for n in range(rows)],
            "note": texts,
            "interpreter": np.where(interpreter, "yes", "no"),
            "specialties": labels,
        }
    )
    frame = frame.drop_duplicates("note", ignore_index=True)  # a duplicate text could land in two splits
    return Dataset(
        frame,
        ColumnRoles(target=("specialties",), text=("note",), sensitive=("interpreter",), unit="note_id"),
        name="simulated clinical notes",
        simulated=True,
        split=SplitPlan(by="unit", seed=seed),
        unit_name="note",
        ground_truth={
            "bias": {"attribute": "interpreter", "against": "yes", "strength": bias, "through": "note"}
        },
    )
