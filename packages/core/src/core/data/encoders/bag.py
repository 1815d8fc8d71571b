"""Texts as a bag: TF-IDF of words and characters, the classical features beside the tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.data.encoders.stores import Sparse, Store
from core.data.types import Layout
from core.data.values import to_texts

if TYPE_CHECKING:
    from core.data.config import FieldsConfig
    from core.data.types import Json


@dataclass
class Bag:
    """The text columns together as V features: sublinear term frequency, inverse document frequency, unit length.

    Words and characters are each of unit length (Salton and Buckley 1988; the formula of scikit-learn).
    """

    columns: tuple[str, ...]
    vectorizers: list[Any]

    @classmethod
    def fit(cls, config: FieldsConfig, columns: tuple[str, ...], frame: pd.DataFrame) -> Bag:
        """Choose the n-grams that are most frequent in training texts, and weigh them there."""
        texts = _joined(columns, frame)
        kinds = [("word", (1, config.bag_words))] if config.bag_words else []
        kinds += [("char_wb", (2, config.bag_chars))] if config.bag_chars else []
        vectorizers = []
        for i, (kind, ngrams) in enumerate(kinds):
            most = (config.bag + i) // len(kinds)  # both together are exactly the size that was asked for
            vectorizer = _vectorizer(kind, ngrams, config.lowercase, max_features=most)
            try:
                vectorizer.fit(texts)
            except ValueError as error:
                raise ValueError(
                    f"encoder.bag: the training texts ({', '.join(columns)}) share no {kind} n-grams"
                ) from error
            vectorizers.append(vectorizer)
        return cls(columns, vectorizers)

    def stores(self, frame: pd.DataFrame) -> dict[str, Store]:
        """Give ``bag`` (N, V) float32, kept sparse."""
        from scipy.sparse import hstack

        matrix = hstack([v.transform(_joined(self.columns, frame)) for v in self.vectorizers], format="csr")
        return {
            "bag": Sparse(
                matrix.data.astype(np.float32),
                matrix.indices.astype(np.int32),
                matrix.indptr.astype(np.int64),
                matrix.shape[1],
            )
        }

    def layout(self, layout: Layout) -> Layout:
        """Add what a backbone must know."""
        return replace(layout, bag=sum(len(v.vocabulary_) for v in self.vectorizers))

    def names(self) -> list[str]:
        """Name the V features: the n-grams."""
        return [str(name) for v in self.vectorizers for name in v.get_feature_names_out()]

    def state(self) -> dict[str, Json]:
        """Give what ``restore`` needs, as JSON."""
        return {
            "parts": [
                {
                    "kind": v.analyzer,
                    "ngrams": list(v.ngram_range),
                    "lowercase": v.lowercase,
                    "terms": v.get_feature_names_out().tolist(),
                    "idf": v.idf_.tolist(),
                }
                for v in self.vectorizers
            ]
        }

    @classmethod
    def restore(cls, config: FieldsConfig, columns: tuple[str, ...], state: Mapping[str, Json]) -> Bag:
        """Rebuild from ``state()``."""
        vectorizers = []
        for part in state["parts"]:
            vectorizer = _vectorizer(
                part["kind"], tuple(part["ngrams"]), part["lowercase"], vocabulary=part["terms"]
            )
            vectorizer.idf_ = np.array(part["idf"], dtype=np.float64)
            vectorizers.append(vectorizer)
        return cls(columns, vectorizers)


def _vectorizer(
    kind: str,
    ngrams: tuple[int, int],
    lowercase: bool,
    max_features: int | None = None,
    vocabulary: list[str] | None = None,
) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer  # takes a second to import

    # an n-gram that a single training text holds teaches nothing and may name a person
    return TfidfVectorizer(
        analyzer=kind,
        ngram_range=ngrams,
        lowercase=lowercase,
        sublinear_tf=True,
        min_df=2,
        max_features=max_features,
        vocabulary=vocabulary,
        dtype=np.float64,
    )


def _joined(columns: tuple[str, ...], frame: pd.DataFrame) -> list[str]:
    texts = [to_texts(frame[c]) for c in columns]
    return ["\n".join(row) for row in zip(*texts, strict=True)]
