"""Study ``noise``: what mistyping and a recogniser's errors cost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.data.coercion import to_texts
from core.data.slot_alignment import parse_slots
from core.evaluation.study import StudyResult, EvaluationContext
from core.targets.slot_metrics import all_right, intent_accuracy, slot_f1
from core.targets.types import Predictions
from smarthome.simulate.text_corruption import Change, changed, misheard, mistyped

if TYPE_CHECKING:
    from core.targets.intent_slots import IntentSlotsTarget

KINDS: dict[str, Change] = {"typos": mistyped, "recogniser": misheard}
SHARES = (0.1, 0.2, 0.4)
"""Shares of words that go wrong."""
ROWS = 1500
"""Test rows that are altered at most: the first ones."""


def altered(
    frame: pd.DataFrame, target: IntentSlotsTarget, share: float, change: Change, seed: int
) -> pd.DataFrame:
    """Change a share of the words of each row; slots move with their words."""
    rng = np.random.default_rng(seed)
    texts, slots = [], []
    for text, cell in zip(to_texts(frame[target.text]), frame[target.slots_column], strict=True):
        new, moved = changed(text, parse_slots(cell, "slots"), share, change, rng)
        texts.append(new)
        slots.append(moved)
    made = frame.copy()
    made[target.text] = texts
    made[target.slots_column] = pd.Series(slots, index=frame.index, dtype=object)
    return made


def judged(context: EvaluationContext, frame: pd.DataFrame) -> Predictions:
    """Predict altered rows with the run's own decisions."""
    scores = context.scorer.scores(frame)
    truth = context.target.truth(context.target.encode(frame))
    like = context.parts["test"]
    return replace(
        like.take(np.arange(len(frame))), scores=scores, labels=context.scorer.labels(scores), targets=truth
    )


def noise(context: EvaluationContext) -> StudyResult:
    """Judge the test part again with words mistyped or misheard, at three strengths."""
    target: IntentSlotsTarget = context.target  # type: ignore[assignment]
    frame = context.frames["test"].iloc[:ROWS]
    clean = context.parts["test"].take(np.arange(len(frame)))
    before = float(all_right(clean).mean())
    rows = [_row("none", 0.0, clean)]
    figures = {}
    for kind, change in KINDS.items():
        for share in SHARES:
            found = judged(context, altered(frame, target, share, change, context.seed))
            rows.append(_row(kind, share, found))
        figures[f"exact_match_{kind}"] = {"value": rows[-2]["exact match"], "low": None, "high": None}
    worst = min(row["exact match"] for row in rows)
    return StudyResult(
        f"Exact match falls from {before:.3f} to {worst:.3f} where it suffers most.",
        figures,
        {"Noise": rows},
        notes=[
            f"Each word goes wrong with the given probability, in {len(frame)} test rows; the number of words stays.",
            "Recogniser errors are modelled: lower case and one sound for another, in English spelling.",
            "The figures named are those with two words in ten changed.",
        ],
    )


def _row(kind: str, share: float, p: Predictions) -> dict[str, float | str]:
    return {
        "noise": kind,
        "share of words": share,
        "intent accuracy": round(intent_accuracy(p), 4),
        "slot F1": round(slot_f1(p), 4),
        "exact match": round(float(all_right(p).mean()), 4),
    }
