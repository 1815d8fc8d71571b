"""Texts as a bag: TF-IDF of words and characters, the classical features beside the tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from core.data.encoders.storage import SparseRows, Storage
from core.data.text_similarity import profile_text
from core.data.types import Layout
from core.data.coercion import to_texts

if TYPE_CHECKING:
    from core.data.config import ColumnsEncoderConfig
    from core.data.types import Json


@dataclass
class TfidfFeatures:
    """The text columns together as V features: sublinear term frequency, inverse document frequency, unit length.

    Words and characters are each of unit length (Salton and Buckley 1988; the formula of scikit-learn).
    """

    columns: tuple[str, ...]
    vectorizers: list[Any]
    prompt: str | None = None
    within: Any = None
    """Vectorizer of n-grams that are told apart by the prompt which the text answers; None where there is none."""

    @classmethod
    def fit(
        cls, config: ColumnsEncoderConfig, columns: tuple[str, ...], frame: pd.DataFrame, prompt: str | None = None
    ) -> TfidfFeatures:
        """Choose the n-grams that are most frequent in training texts, and weigh them there."""
        texts = _joined(columns, frame)
        kinds = [("word", (1, config.bag_words))] if config.bag_words else []
        kinds += [("char_wb", (2, config.bag_chars))] if config.bag_chars else []
        vectorizers = []
        for i, (kind, ngrams) in enumerate(kinds):
            most = (config.bag + i) // len(kinds)  # both together are exactly the size that was asked for
            vectorizer = tfidf(kind, ngrams, config.lowercase, max_features=most)
            try:
                vectorizer.fit(texts)
            except ValueError as error:
                raise ValueError(
                    f"encoder.text.tfidf_features: the training texts ({', '.join(columns)}) share no {kind} n-grams"
                ) from error
            vectorizers.append(vectorizer)
        made = cls(columns, vectorizers, prompt)
        if config.bag_prompt and prompt is not None:
            made.within = _within(max(config.bag_words, 1), config.bag_prompt)
            made.within.fit(made._prompted(frame))
        return made

    def stores(self, frame: pd.DataFrame) -> dict[str, Storage]:
        """Give ``bag`` (N, V) float32, kept sparse."""
        from scipy.sparse import hstack

        texts = _joined(self.columns, frame)
        parts = [v.transform(texts) for v in self.vectorizers]
        parts += [] if self.within is None else [self.within.transform(self._prompted(frame))]
        matrix = hstack(parts, format="csr")
        return {
            "bag": SparseRows(
                matrix.data.astype(np.float32),
                matrix.indices.astype(np.int32),
                matrix.indptr.astype(np.int64),
                matrix.shape[1],
            )
        }

    def layout(self, layout: Layout) -> Layout:
        """Add what a backbone must know."""
        return replace(layout, tfidf_size=sum(len(v.vocabulary_) for v in self._all()))

    def names(self) -> list[str]:
        """Name the V features: the n-grams."""
        return [str(name) for v in self._all() for name in v.get_feature_names_out()]

    def tfidf_matrix(self, texts: Sequence[str]) -> Any:
        """Tell which of the V n-grams plain texts hold, (n, V) CSR; those of one prompt alone are left out."""
        from scipy.sparse import csr_matrix, hstack

        parts = [v.transform(texts) for v in self.vectorizers]
        parts += [] if self.within is None else [csr_matrix((len(texts), len(self.within.vocabulary_)))]
        return hstack(parts, format="csr")

    def _all(self) -> list[Any]:
        return self.vectorizers + ([] if self.within is None else [self.within])

    def _prompted(self, frame: pd.DataFrame) -> list[tuple[str, str]]:
        assert self.prompt is not None
        prompts = [prompt_key(p) for p in to_texts(frame[self.prompt])]
        return list(zip(prompts, _joined(self.columns, frame), strict=True))

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
            ],
            "within": None
            if self.within is None
            else {
                "ngrams": self.within.longest,
                "terms": self.within.get_feature_names_out().tolist(),
                "idf": self.within.idf_.tolist(),
            },
        }

    @classmethod
    def restore(
        cls,
        config: ColumnsEncoderConfig,
        columns: tuple[str, ...],
        state: Mapping[str, Json],
        prompt: str | None = None,
    ) -> TfidfFeatures:
        """Rebuild from ``state()``."""
        vectorizers = []
        for part in state["parts"]:
            vectorizer = tfidf(
                part["kind"], tuple(part["ngrams"]), part["lowercase"], vocabulary=part["terms"]
            )
            vectorizer.idf_ = np.array(part["idf"], dtype=np.float64)
            vectorizers.append(vectorizer)
        made, kept = cls(columns, vectorizers, prompt), state.get("within")
        if kept is not None:
            made.within = _within(kept["ngrams"], None, kept["terms"])
            made.within.idf_ = np.array(kept["idf"], dtype=np.float64)
        return made


def prompt_key(prompt: str) -> str:
    """Name a prompt by a short hash of its words."""
    line = " ".join(prompt.lower().split())
    return hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def _within(longest: int, most: int | None, vocabulary: list[str] | None = None) -> Any:
    """Make a vectorizer of (prompt, text) pairs: n-grams of stems, each with its prompt's key before it."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    def ngrams(pair: tuple[str, str]) -> list[str]:
        key, text = pair
        stems = profile_text(text).stems
        return [
            f"{key} {' '.join(stems[i : i + n])}"
            for n in range(1, longest + 1)
            for i in range(len(stems) - n + 1)
        ]

    made = TfidfVectorizer(
        analyzer=ngrams,
        sublinear_tf=True,
        min_df=2,
        max_features=most,
        vocabulary=vocabulary,
        dtype=np.float64,
    )
    made.longest = longest
    return made


def tfidf(
    kind: str,
    ngrams: tuple[int, int],
    lowercase: bool,
    max_features: int | None = None,
    vocabulary: list[str] | None = None,
) -> Any:
    """Make scikit-learn's vectorizer of this kind of n-grams, unfitted."""
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
