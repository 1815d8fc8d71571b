"""Simulated commands to homes, some of them in a dialect."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from core.config import derive_seed
from core.data.types import ColumnRoles, Dataset, SplitPlan
from smarthome.simulate.phrases import (
    COMMANDS,
    OUT_OF_SCOPE,
    OUT_OF_SCOPE_PHRASES,
    PEOPLE,
    device_name,
    sample_phrase,
)
from smarthome.simulate.text_corruption import corrupt_words, to_dialect

DIALECTS = ("standard", "regional")
PREFIXES = ("", "", "", "please ", "hey ", "could you ", "ok ", "now ", "would you ")
SUFFIXES = ("", "", "", "", " please", " now", " thanks", " right away")
OUT_OF_SCOPE_FRACTION = 0.15
"""Fraction of out-of-scope utterances."""


def simulate(rows: int, seed: int, bias: float) -> Dataset:
    """Return ``rows`` utterances of about rows / 25 homes, without repetitions.

    Each home has its own names for its devices. The planted bias: in homes that speak the regional dialect (three in
    ten), each word is in dialect or garbled with probability ``0.05 + 0.55 * bias`` (elsewhere 0.05).
    """
    rng = np.random.default_rng(derive_seed(seed, "simulated commands"))
    homes = max(8, rows // 25)
    dialect = np.where(rng.random(homes) < 0.3, DIALECTS[1], DIALECTS[0])
    owners = rng.choice(PEOPLE, homes)
    names = [
        {
            kind: [device_name(kind, owner, rng) for _ in range(4)]
            for kind in ("device", "lamp", "cover", "media")
        }
        for owner in owners
    ]
    intents = list(COMMANDS)
    weights = np.array([3.0 if i in ("HassTurnOn", "HassTurnOff") else 1.0 for i in intents])
    utterances = []
    for home in np.sort(rng.integers(0, homes, rows)):
        if rng.random() < OUT_OF_SCOPE_FRACTION:
            text, slots = sample_phrase(str(rng.choice(OUT_OF_SCOPE_PHRASES)), {}, rng)
            intent, slots = OUT_OF_SCOPE, []
        else:
            intent = str(rng.choice(intents, p=weights / weights.sum()))
            words = {kind: str(rng.choice(some)) for kind, some in names[home].items()}
            text, slots = sample_phrase(str(rng.choice(COMMANDS[intent])), words, rng)
        before, after = str(rng.choice(PREFIXES)), str(rng.choice(SUFFIXES))
        slots = [(a + len(before), b + len(before), s) for a, b, s in slots]
        probability = 0.05 + 0.55 * bias * (dialect[home] == DIALECTS[1])
        text, slots = corrupt_words(before + text + after, slots, probability, to_dialect, rng)
        utterances.append((f"H{home:04d}", dialect[home], text, intent, json.dumps(slots)))
    frame = pd.DataFrame(utterances, columns=["home", "dialect", "text", "intent", "slots"])
    frame = frame.drop_duplicates("text", ignore_index=True)  # a repeated utterance could land in two splits
    return Dataset(
        frame,
        ColumnRoles(target=("intent",), text=("text",), slots="slots", sensitive=("dialect",), unit="home"),
        name="simulated commands",
        simulated=True,
        split=SplitPlan(by="unit", seed=seed),
        unit_name="home",
        ground_truth={
            "bias": {"attribute": "dialect", "against": "regional", "strength": bias, "through": "text"}
        },
        notes=[f"{rows - len(frame)} utterances that repeat another home's were dropped."],
    )
