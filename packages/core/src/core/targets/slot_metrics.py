"""Figures of utterances: their intents, their slots by span as in the CoNLL evaluation, and both together.

A slot is right when its name, its first and its last word are. Predictions of kind ``tokens`` hold the intent in the
first column of labels and the words' BIO codes in the others.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.data.slot_alignment import bio_chunks
from core.targets.types import Predictions


def intents(p: Predictions) -> Predictions:
    """Give the intents alone, as predictions of one of several classes."""
    assert p.kind == "tokens"
    k = len(p.classes)
    return replace(
        p, kind="multiclass", scores=p.scores[:, :k], labels=p.labels[:, 0], targets=p.targets[:, 0]
    )


def slot_counts(p: Predictions) -> NDArray[np.float64]:
    """Count each row's slots: found right, decided, true; (N, 3)."""
    return np.array(
        [
            (len(right), len(decided), len(true))
            for row, answer in zip(p.labels[:, 1:], p.targets[:, 1:], strict=True)
            for decided, true in [(_spans(row), _spans(answer))]
            for right in [decided & true]
        ],
        np.float64,
    ).reshape(-1, 3)


def all_right(p: Predictions) -> NDArray[np.float64]:
    """Give 1 for each row whose intent and slots are all right, else 0; (N,)."""
    counts = slot_counts(p)
    whole = (counts[:, 0] == counts[:, 1]) & (counts[:, 0] == counts[:, 2])
    return np.asarray(whole & (p.labels[:, 0] == p.targets[:, 0]), np.float64)


def _spans(codes: NDArray[np.int64]) -> set[tuple[int, int, int]]:
    return set(bio_chunks([int(c) for c in codes if c >= 0])) if (codes > 0).any() else set()


def intent_accuracy(p: Predictions) -> float:
    """Share of utterances whose intent is right."""
    return float(np.mean(p.labels[:, 0] == p.targets[:, 0])) if len(p) else float("nan")


def exact_match(p: Predictions) -> float:
    """Share of utterances whose intent and slots are all right."""
    return float(all_right(p).mean()) if len(p) else float("nan")


def slot_f1(p: Predictions) -> float:
    """F1 of all slots taken together; NaN where there are none."""
    right, decided, true = slot_counts(p).sum(axis=0)
    return float(2 * right / (decided + true)) if decided + true else float("nan")


def slot_precision(p: Predictions) -> float:
    """Share of decided slots that are right."""
    right, decided, _ = slot_counts(p).sum(axis=0)
    return float(right / decided) if decided else float("nan")


def slot_recall(p: Predictions) -> float:
    """Share of true slots that are found."""
    right, _, true = slot_counts(p).sum(axis=0)
    return float(right / true) if true else float("nan")
