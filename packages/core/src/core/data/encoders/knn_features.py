"""A text compared with its nearest neighbors among the training texts of each class that answer the same prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, hstack

from core.data.coercion import to_categories, to_texts
from core.data.encoders.tfidf import tfidf

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

    from core.data.types import ColumnRoles, Json

MAX_CLASSES = 20
_KINDS = (("word", (1, 2)), ("char_wb", (2, 5)))
_SHARPNESS = 10.0
"""How much more a near text counts than a far one: exp(10 s) for a cosine of s."""


@dataclass
class KnnFeatures:
    """k-nearest neighbors among labeled training texts (Cover and Hart 1967), by TF-IDF of words and characters.

    A row is never compared with its own text: in training that would be its own label, and prediction must treat it
    the same. The texts and labels themselves are kept: the run's folder holds training data.
    """

    text: str
    prompt: str | None
    k: int
    texts: list[str]
    prompts: list[str]
    labels: list[str]
    classes: list[str]
    _vectorizers: list[TfidfVectorizer] = field(default_factory=list, repr=False)

    @classmethod
    def fit(cls, k: int, columns: ColumnRoles, frame: pd.DataFrame) -> KnnFeatures:
        """Keep the training rows; raises ValueError for a target that has not few classes."""
        if len(columns.text) != 1 or len(columns.target) != 1:
            raise ValueError(
                f"encoder.text.knn_examples_per_class={k}: k-nearest neighbors need one text and one target column, "
                f"the data names {', '.join(columns.text) or 'none'} and {', '.join(columns.target) or 'none'}; "
                "set it to 0"
            )
        labels = [str(g) for g in to_categories(frame[columns.target[0]])]
        classes = sorted(set(labels))
        if len(classes) > MAX_CLASSES:
            raise ValueError(
                f"encoder.text.knn_examples_per_class={k}: the target {columns.target[0]!r} has {len(classes)} values, "
                f"more than {MAX_CLASSES}; set it to 0"
            )
        prompts = to_texts(frame[columns.prompt]) if columns.prompt else [""] * len(frame)
        fitted = cls(
            columns.text[0],
            columns.prompt,
            k,
            to_texts(frame[columns.text[0]]),
            prompts,
            labels,
            classes,
        )
        fitted._fit_vectorizers()
        return fitted

    def _fit_vectorizers(self) -> None:
        self._vectorizers = [tfidf(kind, ngrams, lowercase=True) for kind, ngrams in _KINDS]
        for vectorizer in self._vectorizers:
            try:
                vectorizer.fit(self.texts)
            except ValueError as error:
                raise ValueError(
                    "encoder.text.knn_examples_per_class: the training texts share no words; set it to 0"
                ) from error

    def names(self) -> list[str]:
        """Return the names of the features."""
        return [f"knn: {what} {name}" for what in ("nearest", "mean", "votes") for name in self.classes]

    def features(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Compare each row with the training texts of its prompt, (N, features); NaN where there are none."""
        texts = to_texts(frame[self.text])
        prompts = to_texts(frame[self.prompt]) if self.prompt else [""] * len(frame)
        found = np.full((len(texts), 3 * len(self.classes)), np.nan)
        examples, rows = self._vectors(self.texts), self._vectors(texts)
        code = {name: k for k, name in enumerate(self.classes)}
        labels = np.array([code[g] for g in self.labels])
        for prompt in dict.fromkeys(prompts):
            here = np.flatnonzero([p == prompt for p in prompts])
            theirs = np.flatnonzero([p == prompt for p in self.prompts])
            if len(theirs):
                near = np.asarray((rows[here] @ examples[theirs].T).todense()) / len(_KINDS)
                own = _same([texts[i] for i in here], [self.texts[i] for i in theirs])
                found[here] = self._summed(near, own, labels[theirs])
        return pd.DataFrame(found, columns=self.names(), index=frame.index)

    def _summed(
        self, near: NDArray[np.float64], own: NDArray[np.bool_], labels: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Compute the nearest, the mean of the k nearest, and the share of votes of each class; rows (n, 3 K)."""
        near = np.where(own, -1.0, near)
        votes = np.where(own, 0.0, np.exp(_SHARPNESS * near))
        whole = votes.sum(axis=1)
        out = np.zeros((len(near), 3, len(self.classes)))
        for k in range(len(self.classes)):
            some = np.sort(near[:, labels == k], axis=1)[:, ::-1][:, : self.k]
            if some.shape[1]:
                others = np.maximum((some >= 0.0).sum(axis=1), 1)  # an own example takes no place among them
                out[:, 0, k] = np.maximum(some[:, 0], 0.0)
                out[:, 1, k] = np.maximum(some, 0.0).sum(axis=1) / others
                out[:, 2, k] = votes[:, labels == k].sum(axis=1)
        out[:, 2] /= np.maximum(whole, 1e-12)[:, None]
        out[whole == 0.0] = np.nan
        return out.reshape(len(near), -1)

    def _vectors(self, texts: Sequence[str]) -> csr_matrix:
        return hstack([v.transform(texts) for v in self._vectorizers], format="csr")

    def state(self) -> dict[str, Json]:
        """Return what ``restore`` needs, as JSON."""
        return {
            "nearest": self.k, "texts": self.texts, "prompts": self.prompts, "grades": self.labels,
        }  # fmt: skip

    @classmethod
    def restore(cls, columns: ColumnRoles, state: Mapping[str, Json]) -> KnnFeatures:
        """Rebuild from ``state()``."""
        labels = list(state["grades"])
        restored = cls(
            columns.text[0], columns.prompt, state["nearest"], list(state["texts"]), list(state["prompts"]), labels,
            sorted(set(labels)),
        )  # fmt: skip
        restored._fit_vectorizers()
        return restored


def _same(texts: Sequence[str], others: Sequence[str]) -> NDArray[np.bool_]:
    """Return which are the same text but for case and white space, (n, m)."""
    a = np.array([" ".join(t.lower().split()) for t in texts], dtype=object)
    b = np.array([" ".join(t.lower().split()) for t in others], dtype=object)
    return np.asarray(a[:, None] == b[None, :], dtype=np.bool_)
