"""Metrics of utterances: their intents, their slots by span as in the CoNLL evaluation, and both together.

A slot is right when its name, its first and its last word are. Predictions of intents and slots hold the intent in the
first column of labels and the words' BIO codes in the others.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.data.slot_alignment import bio_chunks
from core.targets.types import Predictions


def intents(p: Predictions) -> Predictions:
    """Return the intents alone, as predictions of one of several classes."""
    k = len(p.classes)
    return replace(
        p, kind="multiclass", scores=p.scores[:, :k], labels=p.labels[:, 0], targets=p.targets[:, 0]
    )


def slot_counts(p: Predictions) -> NDArray[np.float64]:
    """Count each row's slots: correct, predicted, true; (N, 3)."""
    return np.array(
        [
            (len(correct), len(predicted), len(true))
            for row, truth in zip(p.labels[:, 1:], p.targets[:, 1:], strict=True)
            for predicted, true in [(_spans(row), _spans(truth))]
            for correct in [predicted & true]
        ],
        np.float64,
    ).reshape(-1, 3)


def all_right(p: Predictions) -> NDArray[np.float64]:
    """Return 1 for each row whose intent and slots are all right, else 0; (N,)."""
    counts = slot_counts(p)
    whole = (counts[:, 0] == counts[:, 1]) & (counts[:, 0] == counts[:, 2])
    return np.asarray(whole & (p.labels[:, 0] == p.targets[:, 0]), np.float64)


def _spans(codes: NDArray[np.int64]) -> set[tuple[int, int, int]]:
    return set(bio_chunks([int(c) for c in codes if c >= 0])) if (codes > 0).any() else set()


def correct_intents(p: Predictions) -> NDArray[np.float64]:
    """Return 1 for each row whose intent is right, else 0; (N,)."""
    return np.equal(p.labels[:, 0], p.targets[:, 0]).astype(np.float64)


def intent_accuracy(p: Predictions) -> float:
    """Compute the share of utterances whose intent is right."""
    return float(correct_intents(p).mean()) if len(p) else float("nan")


def exact_match(p: Predictions) -> float:
    """Compute the share of utterances whose intent and slots are all right."""
    return float(all_right(p).mean()) if len(p) else float("nan")


def slot_f1(p: Predictions) -> float:
    """Compute F1 of all slots taken together; NaN where there are none."""
    correct, predicted, true = slot_counts(p).sum(axis=0)
    return float(2 * correct / (predicted + true)) if predicted + true else float("nan")


def slot_precision(p: Predictions) -> float:
    """Compute the share of predicted slots that are correct."""
    correct, predicted, _ = slot_counts(p).sum(axis=0)
    return float(correct / predicted) if predicted else float("nan")


def slot_recall(p: Predictions) -> float:
    """Compute the share of true slots that are found."""
    correct, _, true = slot_counts(p).sum(axis=0)
    return float(correct / true) if true else float("nan")
