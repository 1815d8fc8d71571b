"""A text beside graded training texts that answer the same prompt: how near those of each class are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.encoders.tfidf import tfidf
from core.data.coercion import to_categories, to_texts

if TYPE_CHECKING:
    from core.data.types import ColumnRoles, Json

MOST_CLASSES = 20
_KINDS = (("word", (1, 2)), ("char_wb", (2, 5)))
_SHARPNESS = 10.0
"""How much more a near example counts than a far one: exp(10 s) for a cosine of s."""


@dataclass
class KnnFeatures:
    """Nearest neighbours among graded training texts (Cover and Hart 1967), by TF-IDF of words and letters.

    A row never sees an example of its own text: in training that would be its own grade, and in prediction it
    must be treated alike. The texts and grades themselves are kept: the run's folder holds training data.
    """

    text: str
    prompt: str | None
    nearest: int
    texts: list[str]
    prompts: list[str]
    grades: list[str]
    classes: list[str]
    _vectorizers: list[Any] = field(default_factory=list, repr=False)

    @classmethod
    def fit(cls, nearest: int, columns: ColumnRoles, frame: pd.DataFrame) -> KnnFeatures:
        """Keep the training rows, raising ValueError for a target that has no few classes."""
        if len(columns.text) != 1 or len(columns.target) != 1:
            raise ValueError(
                f"encoder.text.knn_examples_per_class={nearest}: graded examples need one text and one target column, the data names "
                f"{', '.join(columns.text) or 'none'} and {', '.join(columns.target) or 'none'}; set it to 0"
            )
        grades = [str(g) for g in to_categories(frame[columns.target[0]])]
        classes = sorted(set(grades))
        if len(classes) > MOST_CLASSES:
            raise ValueError(
                f"encoder.text.knn_examples_per_class={nearest}: the target {columns.target[0]!r} has {len(classes)} values, more than "
                f"{MOST_CLASSES}; set it to 0"
            )
        prompts = to_texts(frame[columns.prompt]) if columns.prompt else [""] * len(frame)
        made = cls(
            columns.text[0],
            columns.prompt,
            nearest,
            to_texts(frame[columns.text[0]]),
            prompts,
            grades,
            classes,
        )
        made._learn()
        return made

    def _learn(self) -> None:
        self._vectorizers = [tfidf(kind, ngrams, lowercase=True) for kind, ngrams in _KINDS]
        for vectorizer in self._vectorizers:
            try:
                vectorizer.fit(self.texts)
            except ValueError as error:
                raise ValueError(
                    "encoder.text.knn_examples_per_class: the training texts share no words; set it to 0"
                ) from error

    def names(self) -> list[str]:
        """Name the features."""
        return [f"examples: {what} {name}" for what in ("nearest", "near", "votes") for name in self.classes]

    def features(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Compare each row with the examples of its prompt, (N, features); NaN where there are none."""
        texts = to_texts(frame[self.text])
        prompts = to_texts(frame[self.prompt]) if self.prompt else [""] * len(frame)
        found = np.full((len(texts), 3 * len(self.classes)), np.nan)
        examples, rows = self._vectors(self.texts), self._vectors(texts)
        code = {name: k for k, name in enumerate(self.classes)}
        grades = np.array([code[g] for g in self.grades])
        for prompt in dict.fromkeys(prompts):
            here = np.flatnonzero([p == prompt for p in prompts])
            theirs = np.flatnonzero([p == prompt for p in self.prompts])
            if len(theirs):
                near = np.asarray((rows[here] @ examples[theirs].T).todense()) / len(_KINDS)
                own = _same([texts[i] for i in here], [self.texts[i] for i in theirs])
                found[here] = self._summed(near, own, grades[theirs])
        return pd.DataFrame(found, columns=self.names(), index=frame.index)

    def _summed(
        self, near: NDArray[np.float64], own: NDArray[np.bool_], grades: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Give nearest, mean of the nearest few, and share of votes of each class; rows (n, 3 K)."""
        near = np.where(own, -1.0, near)
        votes = np.where(own, 0.0, np.exp(_SHARPNESS * near))
        whole = votes.sum(axis=1)
        out = np.zeros((len(near), 3, len(self.classes)))
        for k in range(len(self.classes)):
            some = np.sort(near[:, grades == k], axis=1)[:, ::-1][:, : self.nearest]
            if some.shape[1]:
                others = np.maximum((some >= 0.0).sum(axis=1), 1)  # an own example takes no place among them
                out[:, 0, k] = np.maximum(some[:, 0], 0.0)
                out[:, 1, k] = np.maximum(some, 0.0).sum(axis=1) / others
                out[:, 2, k] = votes[:, grades == k].sum(axis=1)
        out[:, 2] /= np.maximum(whole, 1e-12)[:, None]
        out[whole == 0.0] = np.nan
        return out.reshape(len(near), -1)

    def _vectors(self, texts: Sequence[str]) -> Any:
        from scipy.sparse import hstack

        return hstack([v.transform(texts) for v in self._vectorizers], format="csr")

    def state(self) -> dict[str, Json]:
        """Give what ``restore`` needs, as JSON."""
        return {
            "nearest": self.nearest, "texts": self.texts, "prompts": self.prompts, "grades": self.grades,
        }  # fmt: skip

    @classmethod
    def restore(cls, columns: ColumnRoles, state: Mapping[str, Json]) -> KnnFeatures:
        """Rebuild from ``state()``."""
        grades = list(state["grades"])
        made = cls(
            columns.text[0], columns.prompt, state["nearest"], list(state["texts"]), list(state["prompts"]), grades,
            sorted(set(grades)),
        )  # fmt: skip
        made._learn()
        return made


def _same(texts: Sequence[str], others: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which are the same text but for case and white space, (n, m)."""
    a = np.array([" ".join(t.lower().split()) for t in texts], dtype=object)
    b = np.array([" ".join(t.lower().split()) for t in others], dtype=object)
    return np.asarray(a[:, None] == b[None, :], dtype=np.bool_)
