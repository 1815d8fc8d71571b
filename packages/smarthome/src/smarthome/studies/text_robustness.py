"""Study ``text_robustness``: metrics under typos and errors of speech recognition."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.data.coercion import to_texts
from core.data.slot_alignment import parse_slots
from core.evaluation.bootstrap import estimate
from core.evaluation.study import EvaluationContext, StudyResult
from core.targets.slot_metrics import all_right, intent_accuracy, slot_f1
from core.targets.types import Predictions
from smarthome.simulate.text_corruption import WordCorruption, corrupt_words, mishear, mistype

if TYPE_CHECKING:
    from core.targets.intent_slots import IntentSlotsTarget

KINDS: dict[str, WordCorruption] = {"typos": mistype, "asr_errors": mishear}
PROBABILITIES = (0.1, 0.2, 0.4)
"""Probabilities that a word is corrupted."""
REPORTED = PROBABILITIES[-2]
"""The probability of the metrics."""
MAX_ROWS = 1500
"""Test rows that are corrupted: the first ones."""


def corrupt_rows(
    frame: pd.DataFrame, target: IntentSlotsTarget, probability: float, corruption: WordCorruption, seed: int
) -> pd.DataFrame:
    """Return rows with each word corrupted with a probability, and slots at their new positions."""
    rng = np.random.default_rng(seed)
    texts, slots = [], []
    for text, cell in zip(to_texts(frame[target.text]), frame[target.slots_column], strict=True):
        new, moved = corrupt_words(text, parse_slots(cell, "slots"), probability, corruption, rng)
        texts.append(new)
        slots.append(moved)
    corrupted = frame.copy()
    corrupted[target.text] = texts
    corrupted[target.slots_column] = pd.Series(slots, index=frame.index, dtype=object)
    return corrupted


def predict_rows(context: EvaluationContext, frame: pd.DataFrame) -> Predictions:
    """Return predictions of corrupted rows by the run's own decision rule."""
    scores = context.scorer.scores(frame)
    truth = context.target.truth(context.target.encode(frame))
    like = context.parts["test"]
    return replace(
        like.take(np.arange(len(frame))), scores=scores, labels=context.scorer.labels(scores), targets=truth
    )


def text_robustness(context: EvaluationContext) -> StudyResult:
    """Evaluate the test set with typos and recognition errors at three strengths."""
    target: IntentSlotsTarget = context.target  # type: ignore[assignment]
    frame = context.frames["test"].iloc[:MAX_ROWS]
    clean = context.parts["test"].take(np.arange(len(frame)))
    before = float(all_right(clean).mean())
    rows = [_row("none", 0.0, clean)]
    metrics = {}
    for kind, corruption in KINDS.items():
        for probability in PROBABILITIES:
            found = predict_rows(context, corrupt_rows(frame, target, probability, corruption, context.seed))
            rows.append(_row(kind, probability, found))
        metrics[f"exact_match_{kind}"] = estimate(float(rows[-2]["exact match"]))
    worst = min(row["exact match"] for row in rows)
    return StudyResult(
        f"Exact match falls from {before:.3f} to {worst:.3f} under the worst corruption.",
        metrics,
        {"Robustness to typos and speech recognition errors": rows},
        notes=[
            f"Each word is corrupted with the given probability, in {len(frame)} test rows; the number of words stays.",
            "Speech recognition errors are modeled: lower case and one sound for another, in English spelling.",
            f"The metrics are those with probability {REPORTED:g}.",
        ],
    )


def _row(kind: str, probability: float, p: Predictions) -> dict[str, float | str]:
    return {
        "corruption": kind,
        "probability": probability,
        "intent accuracy": round(intent_accuracy(p), 4),
        "slot F1": round(slot_f1(p), 4),
        "exact match": round(float(all_right(p).mean()), 4),
    }
