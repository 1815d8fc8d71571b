"""Simulated homes that speak commands, some of them in a dialect."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from core.config import derive_seed
from core.data.types import Dataset, ColumnRoles, SplitPlan
from smarthome.simulate.text_corruption import changed, in_dialect
from smarthome.simulate.phrases import ASKED, COMMANDS, OUTSIDE, PEOPLE, device_name, written

DIALECTS = ("standard", "regional")
POLITE = ("", "", "", "please ", "hey ", "could you ", "ok ", "now ", "would you ")
AFTER = ("", "", "", "", " please", " now", " thanks", " right away")
SAID_OUTSIDE = 0.15
"""Share of what is said that no home can do."""


def simulate(rows: int, seed: int, bias: float) -> Dataset:
    """Draw ``rows`` utterances of about rows / 25 homes; repeated ones are left out.

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
    share = np.array([3.0 if i in ("HassTurnOn", "HassTurnOff") else 1.0 for i in intents])
    made = []
    for home in np.sort(rng.integers(0, homes, rows)):
        if rng.random() < SAID_OUTSIDE:
            text, slots = written(str(rng.choice(ASKED)), {}, rng)
            intent, slots = OUTSIDE, []
        else:
            intent = str(rng.choice(intents, p=share / share.sum()))
            words = {kind: str(rng.choice(some)) for kind, some in names[home].items()}
            text, slots = written(str(rng.choice(COMMANDS[intent])), words, rng)
        before, after = str(rng.choice(POLITE)), str(rng.choice(AFTER))
        slots = [(a + len(before), b + len(before), s) for a, b, s in slots]
        wrong = 0.05 + 0.55 * bias * (dialect[home] == DIALECTS[1])
        text, slots = changed(before + text + after, slots, wrong, in_dialect, rng)
        made.append((f"H{home:04d}", dialect[home], text, intent, json.dumps(slots)))
    frame = pd.DataFrame(made, columns=["home", "dialect", "text", "intent", "slots"])
    frame = frame.drop_duplicates(
        "text", ignore_index=True
    )  # what two homes say alike would straddle the parts
    return Dataset(
        frame,
        ColumnRoles(target=("intent",), text=("text",), slots="slots", sensitive=("dialect",), unit="home"),
        name="simulated commands",
        simulated=True,
        split=SplitPlan(by="unit", seed=seed),
        unit_name="home",
        ground_truth={"bias": {"attribute": "dialect", "against": "regional", "strength": bias, "through": "text"}},
        notes=[f"{rows - len(frame)} utterances that another home had said before were left out."],
    )
