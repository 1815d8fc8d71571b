"""A detector of gamed answers, from word order, repetition and overlap with the prompt.

Fitted on training answers and altered copies of them; saved as a table in the run's folder for prediction.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from core.data.encoders.tfidf import prompt_key
from core.data.text_similarity import (
    STEMMERS,
    TextProfile,
    lcs_length,
    profile_text,
    soft_coverage,
    weighted_overlap,
)
from education.grading.adversarial import KINDS, make_adversarial

FILE = "gaming_detector.csv"
HONEST = "honest"
FEATURES = (
    "order",
    "order seen",
    "words",
    "distinct",
    "most frequent",
    "repeated pairs",
    "in prompt",
    "prompt copied",
    "prompt order",
    "on topic",
    "in references",
    "known words",
    "fits prompt",
)
_START = "^"
_DISCOUNT = 0.6
"""Weight of a bigram's own frequency in its interpolated probability, the rest being the unigram's."""
Array = NDArray[np.float64]


@dataclass
class GamingDetector:
    """Probability that an answer is honest or gamed in one of four ways. F features, K classes: honest, then KINDS."""

    stems: Counter[str]
    pairs: Counter[tuple[str, str]]
    """Stems and stem bigrams that occur at least twice in training answers."""
    answered: Counter[tuple[str, str]]
    """(prompt's key, stem): number of its training answers with the stem; ``_START`` counts all of its answers,
    ("", ``_START``) those of all prompts."""
    classes: list[str]
    mean: Array
    scale: Array
    weights: Array
    """(K, F + 1), the last column the intercepts."""
    threshold: float
    """An answer is flagged if its probability of being gamed is above this."""
    stemmer: str = "porter2"
    """Name of the stemmer of ``stems``, ``pairs`` and ``answered``."""

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        prompts: Sequence[str],
        references: Sequence[Sequence[str]],
        rng: Generator,
        known_prompts: bool,
    ) -> GamingDetector:
        """Return the detector fitted on honest training answers and altered copies of them.

        ``known_prompts``: fit the vocabulary of each prompt's answers too, which helps only for the same prompts.

        Half of the answers fit the language model, the other half the classifier: with the same answers for both,
        honest word order would look too probable.
        """
        from sklearn.linear_model import LogisticRegression

        half = rng.permutation(len(texts))
        first, second = half[: len(half) // 2], half[len(half) // 2 :]
        stems: Counter[str] = Counter()
        pairs: Counter[tuple[str, str]] = Counter()
        answered: Counter[tuple[str, str]] = Counter()
        for i in first:
            found = profile_text(texts[i]).stems
            stems.update(set(found))
            pairs.update(set(zip((_START, *found), found, strict=False)))
            key = prompt_key(prompts[i])
            if known_prompts:
                answered.update((key, s) for s in {_START, *found})
                answered["", _START] += 1
        detector = cls(
            Counter({k: n for k, n in stems.items() if n >= 2}),
            Counter({k: n for k, n in pairs.items() if n >= 2}),
            Counter({k: n for k, n in answered.items() if n >= 2}),
            [],
            np.zeros(0),
            np.ones(0),
            np.zeros((0, 0)),
            1.0,
        )
        second_half = [[list(values)[i] for i in second] for values in (texts, prompts, references)]
        x, y = [detector.features(*second_half)], [np.zeros(len(second), np.int64)]
        for k, kind in enumerate(KINDS, 1):
            changed = make_adversarial(kind, second_half[0], second_half[1], rng)
            if changed:
                places = [i for i, _ in changed]
                x.append(
                    detector.features(
                        [t for _, t in changed],
                        [second_half[1][i] for i in places],
                        [second_half[2][i] for i in places],
                    )
                )
                y.append(np.full(len(changed), k))
        rows, labels = np.concatenate(x), np.concatenate(y)
        known = np.where(
            np.isnan(rows).all(axis=0), 0.0, rows
        )  # the fit to the prompt, without known prompts
        detector.mean, detector.scale = np.nanmean(known, axis=0), np.maximum(np.nanstd(known, axis=0), 1e-6)
        z = detector._expanded(rows)
        model = LogisticRegression(C=1.0, max_iter=500, class_weight="balanced").fit(z, labels)
        detector.classes = [(HONEST, *KINDS)[int(k)] for k in model.classes_]
        weights = np.column_stack([model.coef_, model.intercept_])
        detector.weights = np.concatenate([-weights, weights]) / 2 if len(detector.classes) == 2 else weights
        return detector

    def set_threshold(self, honest: Array, max_fpr: float) -> None:
        """Set the threshold for a false positive rate, from the gaming probabilities (N,) of honest answers."""
        ordered = np.sort(honest)[::-1]
        self.threshold = float(ordered[min(math.floor(max_fpr * len(ordered)), len(ordered) - 1)])

    def probabilities(
        self, texts: Sequence[str], prompts: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Array:
        """Return the probabilities (N, K) of the classes."""
        z = self._expanded(self.features(texts, prompts, references))
        scores = z @ self.weights[:, :-1].T + self.weights[:, -1]
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(scores / scores.sum(axis=1, keepdims=True), np.float64)

    def gaming_probability(self, probabilities: Array) -> Array:
        """Return the probability that an answer is gamed in any way, (N,)."""
        return np.asarray(1.0 - probabilities[:, self.classes.index(HONEST)], np.float64)

    def likeliest_kinds(self, probabilities: Array) -> list[str]:
        """Return the likeliest kind of gaming of each answer, flagged or not."""
        ways = [k for k, name in enumerate(self.classes) if name != HONEST]
        return [self.classes[ways[k]] for k in probabilities[:, ways].argmax(axis=1)]

    def _expanded(self, rows: Array) -> Array:
        """Return standardized features and their squares, since both extremes of a feature may be a sign.

        Unknown features are set to the mean.
        """
        z = np.clip(np.nan_to_num((rows - self.mean) / self.scale), -5.0, 5.0)
        return np.concatenate([z, z**2], axis=1)

    def features(
        self, texts: Sequence[str], prompts: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Array:
        """Return the features of answers, (N, F)."""
        return np.array(
            [self._one(t, p, " ".join(r)) for t, p, r in zip(texts, prompts, references, strict=True)],
            np.float64,
        ).reshape(len(texts), len(FEATURES))

    def _one(self, text: str, prompt: str, references: str) -> list[float]:
        a, q, r = self._profile(text), self._profile(prompt), self._profile(references)
        n = max(len(a.stems), 1)
        bigrams = list(zip((_START, *a.stems), a.stems, strict=False))
        gain = [self._gain(x, y) for x, y in bigrams]
        repeated = 1.0 - len(a.pairs) / max(sum(a.pairs.values()), 1)
        order = lcs_length(a.stems, q.stems)
        return [
            float(np.mean(gain)) if gain else 0.0,
            sum(pair in self.pairs for pair in bigrams) / n,
            math.log1p(len(a.stems)),
            len(a.counts) / n,
            max(a.counts.values(), default=0) / n,
            repeated,
            weighted_overlap(a.counts, q.counts, lambda _: 1.0)[0],
            order / max(len(q.stems), 1),
            order / n,
            soft_coverage(list(a.counts), list({**r.counts, **q.counts}), self._weight),
            weighted_overlap(a.counts, r.counts, self._weight)[0],
            sum(s in self.stems for s in a.stems) / n,
            self._fits(prompt_key(prompt), list(a.counts)),
        ]

    def _profile(self, text: str) -> TextProfile:
        return profile_text(text, STEMMERS[self.stemmer])

    def _fits(self, key: str, stems: Sequence[str]) -> float:
        """Return the mean pointwise mutual information of words and prompt, in nats; NaN for a new prompt."""
        answers = self.answered[key, _START]
        if not answers or not stems:
            return math.nan
        whole = self.answered["", _START]
        gains = [
            math.log((self.answered[key, s] + 0.5) / (answers + 1.0))
            - math.log((self.stems[s] + 0.5) / (whole + 1.0))
            - math.log((self.stems[s] + 0.5) / (whole + 1.0))
            for s in stems
        ]
        return float(np.mean(np.clip(gains, -3.0, 3.0)))

    def _gain(self, before: str, word: str) -> float:
        """Return the smoothed pointwise mutual information of a bigram, in nats."""
        whole = sum(self.stems.values()) or 1
        anywhere = (self.stems[word] + 0.5) / (whole + 0.5 * (len(self.stems) + 1))
        here = self.pairs[before, word] / max(self.stems[before], self.pairs[before, word], 1)
        return math.log((_DISCOUNT * here + (1 - _DISCOUNT) * anywhere) / anywhere)

    def _weight(self, stem: str) -> float:
        return 1.0 / math.sqrt(1.0 + self.stems[stem])

    def to_table(self) -> pd.DataFrame:
        """Return the detector as rows of (part, key, value)."""
        rows: list[tuple[str, str, float]] = [
            ("threshold", "", self.threshold),
            ("stemmer", self.stemmer, 0.0),
        ]
        rows += [("stem", s, float(n)) for s, n in sorted(self.stems.items())]
        rows += [("pair", " ".join(p), float(n)) for p, n in sorted(self.pairs.items())]
        rows += [("answered", " ".join(p), float(n)) for p, n in sorted(self.answered.items())]
        rows += [("mean", str(i), float(v)) for i, v in enumerate(self.mean)]
        rows += [("scale", str(i), float(v)) for i, v in enumerate(self.scale)]
        for k, name in enumerate(self.classes):
            rows += [(f"weight {name}", str(i), float(v)) for i, v in enumerate(self.weights[k])]
        return pd.DataFrame(rows, columns=["part", "key", "value"])

    @classmethod
    def from_table(cls, table: pd.DataFrame) -> GamingDetector:
        """Return the detector of ``to_table()``."""
        parts: dict[str, list[tuple[str, float]]] = {}
        for part, key, value in zip(table["part"], table["key"], table["value"], strict=True):
            parts.setdefault(str(part), []).append((str(key), float(value)))
        classes = [p.removeprefix("weight ") for p in parts if p.startswith("weight ")]

        def numbers(part: str) -> Array:
            return np.array([v for _, v in parts[part]])

        def doubles(part: str) -> Counter[tuple[str, str]]:
            found: Counter[tuple[str, str]] = Counter()
            for key, value in parts.get(part, []):
                before, word = key.split(" ")
                found[before, word] = int(value)
            return found

        return cls(
            Counter({k: int(v) for k, v in parts.get("stem", [])}),
            doubles("pair"),
            doubles("answered"),
            classes,
            numbers("mean"),
            numbers("scale"),
            np.stack([numbers(f"weight {name}") for name in classes]),
            parts["threshold"][0][1],
            parts.get("stemmer", [("suffix", 0.0)])[0][0],  # of runs written before 0.2.0
        )


def read_detector(folder: Path) -> GamingDetector | None:
    """Return the detector of a run's folder, None where the run has none; ValueError for a damaged file."""
    path = folder / "studies" / FILE
    if not path.exists():
        return None
    table: Any = pd.read_csv(path, keep_default_na=False)
    try:
        return GamingDetector.from_table(table)
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{path}: this is not a detector that can be read ({error}); train the run again"
        ) from error
