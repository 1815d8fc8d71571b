"""The classical reading of utterances: TF-IDF and logistic regression for intents, a linear tagger for slots."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.data.encoders.word_features import features
from core.data.coercion import to_texts
from core.evaluation.types import Array, BaselineResult
from core.targets.types import Predictions

if TYPE_CHECKING:
    import pandas as pd

    from core.targets.intent_slots import IntentSlotsTarget

PASSES = 6
"""Most passes of the tagger over the training words; validation decides after how many its average is taken."""
LEAST = 2
"""Training words that a feature of the tagger must describe."""
MOST_STEPS = 100
"""Steps of the solver of the logistic regression."""
STRENGTHS = (1.0, 10.0, 100.0)
"""Inverse penalties of the intents' logistic regression; validation decides."""


def read_utterances(frames: Mapping[str, pd.DataFrame], target: IntentSlotsTarget, random: int) -> BaselineResult:
    """Fit on ``frames["train"]``, choose penalties on validation, predict validation and test.

    The tagger reads each word's features (those of ``encoder.words``) and the label it gave the word before.
    """
    started = time.monotonic()
    held = {part: frames[part] for part in ("validation", "test")}
    truth = {part: target.truth(target.encode(frame)) for part, frame in frames.items()}
    chances, strength = _intents(frames, truth, target, random)
    rows, passes = _tags(frames, truth, target, random)
    made = {}
    for part in held:
        scores = np.column_stack([chances[part], np.ones(len(truth[part])), rows[part]])
        made[part] = Predictions(
            scores, target.labels(scores), truth[part], target.classes, target.kind, slots=target.slots
        )
    details = {
        "estimator": "LogisticRegression (intents), averaged perceptron (slots)",
        "strength": strength,
        "passes": passes,
        "rows": len(frames["train"]),
        "rows_available": len(frames["train"]),
        "seconds": time.monotonic() - started,
    }
    return BaselineResult("tfidf_tagger", made["validation"], made["test"], details)


def _intents(
    frames: Mapping[str, pd.DataFrame],
    truth: Mapping[str, NDArray[Any]],
    target: IntentSlotsTarget,
    random: int,
) -> tuple[dict[str, Array], float]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_union

    union = make_union(
        TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"\w+"),
        TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(2, 4), max_features=50_000),
    )
    x = {
        part: union.fit_transform(to_texts(frame[target.text])) if part == "train" else None
        for part, frame in frames.items()
    }
    for part in ("validation", "test"):
        x[part] = union.transform(to_texts(frames[part][target.text]))
    best: tuple[float, float, Any] | None = None
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=MOST_STEPS, random_state=random)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # chosen by validation, converged or not
            model.fit(x["train"], truth["train"][:, 0])
        right = float(np.mean(model.predict(x["validation"]) == truth["validation"][:, 0]))
        if best is not None and right <= best[0]:
            break  # accuracy rises and then falls with the strength: the rest would be no better
        best = right, strength, model
    assert best is not None
    _, chosen, model = best
    chances = {}
    for part in ("validation", "test"):
        chances[part] = np.zeros((len(frames[part]), len(target.classes)))
        chances[part][:, model.classes_] = model.predict_proba(x[part])
    return chances, chosen


def _tags(
    frames: Mapping[str, pd.DataFrame],
    truth: Mapping[str, NDArray[Any]],
    target: IntentSlotsTarget,
    random: int,
) -> tuple[dict[str, NDArray[np.int64]], int]:
    """Train the tagger and label both held-out parts with the average after the passes that validation likes best."""
    described = {part: [list(features(t)) for t in to_texts(frames[part][target.text])] for part in frames}
    counts = Counter(f for rows in described["train"] for row in rows for f in row)
    codes = {f: n for n, f in enumerate(f for f, c in counts.items() if c >= LEAST)}
    tagger = _Tagger(codes, target.labels_count)
    coded = {part: [tagger.coded(rows) for rows in each] for part, each in described.items()}
    rng = np.random.default_rng(random)
    best: tuple[float, int, Array] | None = None
    for number in range(1, PASSES + 1):
        for n in rng.permutation(len(coded["train"])):
            tagger.learn(coded["train"][n], truth["train"][n, 1:])
        weights = tagger.average()
        found = _labels(tagger, weights, coded["validation"], truth["validation"])
        right = float(np.mean((found == truth["validation"][:, 1:]).all(axis=1)))
        if best is None or right > best[0]:
            best = right, number, weights
    assert best is not None
    held = {p: _labels(tagger, best[2], coded[p], truth[p]) for p in ("validation", "test")}
    return held, best[1]


def _labels(
    tagger: _Tagger, weights: Array, coded: Sequence[list[NDArray[np.int64]]], truth: NDArray[Any]
) -> NDArray[np.int64]:
    made = np.full((len(coded), truth.shape[1] - 1), -1, np.int64)
    for n, rows in enumerate(coded):
        labels = tagger.labels(weights, rows[: made.shape[1]])
        made[n, : len(labels)] = labels
    return made


class _Tagger:
    """Averaged perceptron from left to right (Collins 2002), with the label before and BIO's rules."""

    def __init__(self, codes: Mapping[str, int], labels: int) -> None:
        self.known, self.count = codes, labels
        self.first = len(codes)  # rows for the label before follow those of features
        self.weights = np.zeros((len(codes) + labels, labels), np.float32)
        self.totals = np.zeros_like(self.weights)
        self.seen = 1
        before, after = np.arange(labels)[:, None], np.arange(labels)[None, :]
        goes_on = (after == before) | ((after == before + 1) & (before % 2 == 1))
        further = (after > 0) & (after % 2 == 0)
        self.forbidden = np.where(further & ~goes_on, np.float32(-np.inf), np.float32(0.0))

    def coded(self, rows: Sequence[Sequence[str]]) -> list[NDArray[np.int64]]:
        """Look up each word's features, leaving out what training does not know."""
        return [np.array([self.known[f] for f in row if f in self.known], np.int64) for row in rows]

    def labels(self, weights: NDArray[Any], rows: Sequence[NDArray[np.int64]]) -> list[int]:
        """Label words from left to right."""
        made, before = [], 0
        for row in rows:
            worth = weights[row].sum(axis=0) + weights[self.first + before] + self.forbidden[before]
            before = int(worth.argmax())
            made.append(before)
        return made

    def learn(self, rows: Sequence[NDArray[np.int64]], answers: NDArray[Any]) -> None:
        """Correct the weights at every word that is labelled wrong, going on from the true label."""
        before = 0
        for row, answer in zip(rows, answers, strict=False):
            worth = self.weights[row].sum(axis=0) + self.weights[self.first + before] + self.forbidden[before]
            decided, right = int(worth.argmax()), int(answer)
            if decided != right:
                touched = np.append(row, self.first + before)
                self.weights[touched, right] += 1.0
                self.weights[touched, decided] -= 1.0
                self.totals[touched, right] += self.seen
                self.totals[touched, decided] -= self.seen
            self.seen += 1
            before = right

    def average(self) -> Array:
        """Give the mean of the weights over all words seen."""
        return np.asarray(self.weights - self.totals / self.seen)
