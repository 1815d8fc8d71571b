"""The classical baseline of utterances: TF-IDF and logistic regression for intents, a perceptron tagger for slots."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.data.coercion import to_texts
from core.data.encoders.word_features import features
from core.targets.types import Array, FittedBaseline, Target

if TYPE_CHECKING:
    import pandas as pd

MAX_EPOCHS = 6
"""Most epochs of the tagger; validation decides after how many its average is taken."""
MIN_FREQUENCY = 2
"""Training words that a feature of the tagger must occur in."""
MAX_ITERATIONS = 100
"""Steps of the solver of the logistic regression."""
C_GRID = (1.0, 10.0, 100.0)
"""Inverse penalties of the intents' logistic regression; validation decides."""


def fit_tagger(
    frames: Mapping[str, pd.DataFrame], target: Target, text: str, labels: int, random: int
) -> FittedBaseline:
    """Fit on ``frames["train"]``, choose penalties on validation, predict validation and test.

    The tagger reads each word's features (those of ``encoder.text.words``) and the label it gave the word before.
    ``text`` is the column of utterances, ``labels`` the number of labels a word may have.
    """
    started = time.monotonic()
    texts = {part: to_texts(frame[text]) for part, frame in frames.items()}
    truth = {part: target.truth(target.encode(frame)) for part, frame in frames.items()}
    intents, penalty = _intents(texts, truth, len(target.classes), random)
    tags, epochs = _tags(texts, truth, labels, random)
    predicted = {}
    for part in ("validation", "test"):
        scores = np.column_stack([intents[part], np.ones(len(truth[part])), tags[part]])
        predicted[part] = target.predictions(scores, target.labels(scores), truth[part])
    details = {
        "estimator": "LogisticRegression (intents), averaged perceptron (slots)",
        "C": penalty,
        "epochs": epochs,
        "rows": len(frames["train"]),
        "rows_available": len(frames["train"]),
        "seconds": time.monotonic() - started,
    }
    return FittedBaseline("tfidf_tagger", predicted["validation"], predicted["test"], details)


def _intents(
    texts: Mapping[str, list[str]], truth: Mapping[str, NDArray[Any]], classes: int, random: int
) -> tuple[dict[str, Array], float]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_union

    union = make_union(
        TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"\w+"),
        TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(2, 4), max_features=50_000),
    )
    x = {"train": union.fit_transform(texts["train"])}
    for part in ("validation", "test"):
        x[part] = union.transform(texts[part])
    best: tuple[float, float, Any] | None = None
    for penalty in C_GRID:
        model = LogisticRegression(C=penalty, max_iter=MAX_ITERATIONS, random_state=random)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # chosen by validation, converged or not
            model.fit(x["train"], truth["train"][:, 0])
        correct = float(np.mean(model.predict(x["validation"]) == truth["validation"][:, 0]))
        if best is not None and correct <= best[0]:
            break  # accuracy rises and then falls with C: the rest would be no better
        best = correct, penalty, model
    assert best is not None
    _, chosen, model = best
    probabilities = {}
    for part in ("validation", "test"):
        probabilities[part] = np.zeros((len(texts[part]), classes))
        probabilities[part][:, model.classes_] = model.predict_proba(x[part])
    return probabilities, chosen


def _tags(
    texts: Mapping[str, list[str]], truth: Mapping[str, NDArray[Any]], labels: int, random: int
) -> tuple[dict[str, NDArray[np.int64]], int]:
    """Train the tagger and label both held-out sets with the average after the best epoch on validation."""
    described = {part: [list(features(text)) for text in each] for part, each in texts.items()}
    counts = Counter(f for rows in described["train"] for row in rows for f in row)
    codes = {f: n for n, f in enumerate(f for f, c in counts.items() if c >= MIN_FREQUENCY)}
    tagger = _Tagger(codes, labels)
    coded = {part: [tagger.coded(rows) for rows in each] for part, each in described.items()}
    rng = np.random.default_rng(random)
    best: tuple[float, int, Array] | None = None
    for epoch in range(1, MAX_EPOCHS + 1):
        for n in rng.permutation(len(coded["train"])):
            tagger.learn(coded["train"][n], truth["train"][n, 1:])
        weights = tagger.average()
        found = _labels(tagger, weights, coded["validation"], truth["validation"])
        correct = float(np.mean((found == truth["validation"][:, 1:]).all(axis=1)))
        if best is None or correct > best[0]:
            best = correct, epoch, weights
    assert best is not None
    held = {p: _labels(tagger, best[2], coded[p], truth[p]) for p in ("validation", "test")}
    return held, best[1]


def _labels(
    tagger: _Tagger, weights: Array, coded: Sequence[list[NDArray[np.int64]]], truth: NDArray[Any]
) -> NDArray[np.int64]:
    found = np.full((len(coded), truth.shape[1] - 1), -1, np.int64)
    for n, rows in enumerate(coded):
        labels = tagger.labels(weights, rows[: found.shape[1]])
        found[n, : len(labels)] = labels
    return found


class _Tagger:
    """Averaged perceptron from left to right (Collins 2002), with the label before and BIO's rules."""

    def __init__(self, codes: Mapping[str, int], labels: int) -> None:
        self.known, self.count = codes, labels
        self.first = len(codes)  # rows for the label before follow those of features
        self.weights = np.zeros((len(codes) + labels, labels), np.float32)
        self.totals = np.zeros_like(self.weights)
        self.seen = 1
        before, after = np.arange(labels)[:, None], np.arange(labels)[None, :]
        continues = (after == before) | ((after == before + 1) & (before % 2 == 1))
        further = (after > 0) & (after % 2 == 0)
        self.forbidden = np.where(further & ~continues, np.float32(-np.inf), np.float32(0.0))

    def coded(self, rows: Sequence[Sequence[str]]) -> list[NDArray[np.int64]]:
        """Return each word's feature codes, without features that training did not have."""
        return [np.array([self.known[f] for f in row if f in self.known], np.int64) for row in rows]

    def labels(self, weights: NDArray[Any], rows: Sequence[NDArray[np.int64]]) -> list[int]:
        """Label words from left to right."""
        labels, before = [], 0
        for row in rows:
            scores = weights[row].sum(axis=0) + weights[self.first + before] + self.forbidden[before]
            before = int(scores.argmax())
            labels.append(before)
        return labels

    def learn(self, rows: Sequence[NDArray[np.int64]], truth: NDArray[Any]) -> None:
        """Correct the weights at every word that is labelled wrong, continuing from the true label."""
        before = 0
        for row, true in zip(rows, truth, strict=False):
            scores = (
                self.weights[row].sum(axis=0) + self.weights[self.first + before] + self.forbidden[before]
            )
            predicted, label = int(scores.argmax()), int(true)
            if predicted != label:
                touched = np.append(row, self.first + before)
                self.weights[touched, label] += 1.0
                self.weights[touched, predicted] -= 1.0
                self.totals[touched, label] += self.seen
                self.totals[touched, predicted] -= self.seen
            self.seen += 1
            before = label

    def average(self) -> Array:
        """Return the mean of the weights over all words seen."""
        return np.asarray(self.weights - self.totals / self.seen)
