"""Texts as TF-IDF features of word and character n-grams, the classical features beside the tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer

from core.data.coercion import to_texts
from core.data.encoders.storage import SparseRows, Storage
from core.data.text_similarity import STEMMERS, profile_text
from core.data.types import Layout

if TYPE_CHECKING:
    from core.data.encoder_config import TextEncoding
    from core.data.types import Json


@dataclass
class TfidfFeatures:
    """The text columns together as V features: sublinear term frequency, inverse document frequency, unit length.

    Words and characters are each of unit length (Salton and Buckley 1988; the formula of scikit-learn).
    """

    columns: tuple[str, ...]
    vectorizers: list[TfidfVectorizer]
    prompt: str | None = None
    per_prompt: TfidfVectorizer | None = None
    """Vectorizer of n-grams that are distinct for each prompt which the text answers; None where there is none."""
    ngrams_per_prompt: int = 1
    """Longest n-gram of ``per_prompt``."""
    stemmer: str = "porter2"
    """Name in ``text_similarity.STEMMERS``, of ``per_prompt``."""

    @classmethod
    def fit(
        cls, config: TextEncoding, columns: tuple[str, ...], frame: pd.DataFrame, prompt: str | None = None
    ) -> TfidfFeatures:
        """Fit vocabulary and weights to training texts: the most frequent n-grams."""
        texts = _joined(columns, frame)
        kinds = [("word", (1, config.tfidf_word_ngrams))] if config.tfidf_word_ngrams else []
        kinds += [("char_wb", (2, config.tfidf_char_ngrams))] if config.tfidf_char_ngrams else []
        vectorizers = []
        for i, (kind, ngrams) in enumerate(kinds):
            most = (config.tfidf_features + i) // len(
                kinds
            )  # both together are exactly the size that was asked for
            vectorizer = tfidf(kind, ngrams, config.lowercase, max_features=most)
            try:
                vectorizer.fit(texts)
            except ValueError as error:
                raise ValueError(
                    f"encoder.text.tfidf_features: the training texts ({', '.join(columns)}) share no {kind} n-grams"
                ) from error
            vectorizers.append(vectorizer)
        fitted = cls(columns, vectorizers, prompt)
        if config.tfidf_per_prompt and prompt is not None:
            fitted.ngrams_per_prompt = max(config.tfidf_word_ngrams, 1)
            fitted.per_prompt = _per_prompt(fitted.ngrams_per_prompt, fitted.stemmer, config.tfidf_per_prompt)
            fitted.per_prompt.fit(fitted._prompted(frame))
        return fitted

    def encode(self, frame: pd.DataFrame) -> dict[str, Storage]:
        """Return ``tfidf`` (N, V) float32, kept sparse."""
        texts = _joined(self.columns, frame)
        parts = [v.transform(texts) for v in self.vectorizers]
        parts += [] if self.per_prompt is None else [self.per_prompt.transform(self._prompted(frame))]
        matrix = hstack(parts, format="csr")
        return {
            "tfidf": SparseRows(
                matrix.data.astype(np.float32),
                matrix.indices.astype(np.int32),
                matrix.indptr.astype(np.int64),
                matrix.shape[1],
            )
        }

    def layout(self, layout: Layout) -> Layout:
        """Add the number of features to the layout."""
        return replace(layout, tfidf_size=sum(len(v.vocabulary_) for v in self._all()))

    def matrix(self, texts: Sequence[str]) -> csr_matrix:
        """Compute the features of plain texts, (n, V); those of a single prompt are 0."""
        parts = [v.transform(texts) for v in self.vectorizers]
        parts += (
            [] if self.per_prompt is None else [csr_matrix((len(texts), len(self.per_prompt.vocabulary_)))]
        )
        return hstack(parts, format="csr")

    def _all(self) -> list[TfidfVectorizer]:
        return self.vectorizers + ([] if self.per_prompt is None else [self.per_prompt])

    def _prompted(self, frame: pd.DataFrame) -> list[tuple[str, str]]:
        assert self.prompt is not None
        prompts = [prompt_key(p) for p in to_texts(frame[self.prompt])]
        return list(zip(prompts, _joined(self.columns, frame), strict=True))

    def state(self) -> dict[str, Json]:
        """Return what ``restore`` needs, as JSON."""
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
            if self.per_prompt is None
            else {
                "ngrams": self.ngrams_per_prompt,
                "terms": self.per_prompt.get_feature_names_out().tolist(),
                "idf": self.per_prompt.idf_.tolist(),
                "stemmer": self.stemmer,
            },
        }

    @classmethod
    def restore(
        cls, columns: tuple[str, ...], state: Mapping[str, Json], prompt: str | None = None
    ) -> TfidfFeatures:
        """Rebuild from ``state()``."""
        vectorizers = []
        for part in state["parts"]:
            vectorizer = tfidf(
                part["kind"], tuple(part["ngrams"]), part["lowercase"], vocabulary=part["terms"]
            )
            vectorizer.idf_ = np.array(part["idf"], dtype=np.float64)
            vectorizers.append(vectorizer)
        restored, within = cls(columns, vectorizers, prompt), state.get("within")
        if within is not None:
            restored.stemmer = within.get("stemmer", "suffix")  # of runs written before 0.2.0
            restored.ngrams_per_prompt = within["ngrams"]
            restored.per_prompt = _per_prompt(within["ngrams"], restored.stemmer, None, within["terms"])
            restored.per_prompt.idf_ = np.array(within["idf"], dtype=np.float64)
        return restored


def prompt_key(prompt: str) -> str:
    """Return a short hash of a prompt's words."""
    line = " ".join(prompt.lower().split())
    return hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def _per_prompt(
    longest: int, stemmer: str, most: int | None, vocabulary: list[str] | None = None
) -> TfidfVectorizer:
    """Return an unfitted vectorizer of (prompt, text) pairs: n-grams of stems, each with its prompt's key before it."""

    def ngrams(pair: tuple[str, str]) -> list[str]:
        key, text = pair
        stems = profile_text(text, STEMMERS[stemmer]).stems
        return [
            f"{key} {' '.join(stems[i : i + n])}"
            for n in range(1, longest + 1)
            for i in range(len(stems) - n + 1)
        ]

    return TfidfVectorizer(
        analyzer=ngrams,
        sublinear_tf=True,
        min_df=2,
        max_features=most,
        vocabulary=vocabulary,
        dtype=np.float64,
    )


def tfidf(
    kind: str,
    ngrams: tuple[int, int],
    lowercase: bool,
    max_features: int | None = None,
    vocabulary: list[str] | None = None,
) -> TfidfVectorizer:
    """Return scikit-learn's vectorizer of this kind of n-grams, unfitted."""
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
