"""What classical models see: columns of the table, weighted words, histograms of images, shapes of signals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.evaluation.shapes import image_features, signal_features

if TYPE_CHECKING:
    import pandas as pd

    from core.data.types import Encoder, Fields

AT_ONCE = 512
"""Rows whose images or signals are decoded at once."""
MOST_CATEGORIES = 250
"""scikit-learn's boosting takes up to 255; the rarest share one."""


@dataclass
class Matrix:
    """Encoded rows: ``values`` (N, D), dense or sparse, and which columns hold category codes."""

    values: Any
    categorical: NDArray[np.bool_] | None = None


@dataclass
class Block:
    """One kind of input: how it is read from a frame, and a scikit-learn transformer fitted on training rows."""

    name: str
    read: Callable[[pd.DataFrame], Any]
    transformer: Any
    codes: bool = False
    """Its outputs are category codes."""


@dataclass
class Features:
    """The blocks beside each other."""

    parts: list[Block]
    sparse: bool
    blocks: dict[str, int] = field(default_factory=dict)
    """Block -> columns, once fitted; for the record."""

    def fit(self, frame: pd.DataFrame) -> Matrix:
        """Learn categories, scales and vocabularies, and encode the same rows."""
        return self._joined([b.transformer.fit_transform(b.read(frame)) for b in self.parts])

    def transform(self, frame: pd.DataFrame) -> Matrix:
        """Encode further rows."""
        return self._joined([b.transformer.transform(b.read(frame)) for b in self.parts])

    def _joined(self, values: list[Any]) -> Matrix:
        from scipy.sparse import csr_array, hstack

        self.blocks = {b.name: int(v.shape[1]) for b, v in zip(self.parts, values, strict=True)}
        codes = np.concatenate(
            [np.full(v.shape[1], b.codes) for b, v in zip(self.parts, values, strict=True)]
        )
        if self.sparse:
            return Matrix(hstack([csr_array(v) for v in values], format="csr"))
        return Matrix(np.concatenate([np.asarray(v, np.float64) for v in values], axis=1), codes)


def dense_features(fields: Fields, encoder: Encoder, topics: int, random: int) -> Features:
    """Make what boosting takes: raw numbers with gaps, category codes, text topics, shapes."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

    blocks = []
    if fields.numeric:
        blocks.append(Block("numeric", _numbers(fields.numeric), FunctionTransformer()))
    if fields.categorical:
        coder = OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=np.nan, max_categories=MOST_CATEGORIES
        )
        blocks.append(Block("categorical", _names(fields.categorical), coder, codes=True))
    for column in fields.text:
        words = TfidfVectorizer(sublinear_tf=True, max_features=20_000, token_pattern=r"(?u)\b\w+\b")
        topic = make_pipeline(words, _Topics(topics, random, TruncatedSVD))
        blocks.append(Block(f"topics of {column}", _texts(column), topic))
    blocks += [Block(n, r, FunctionTransformer()) for n, r in _shapes(fields, encoder)]
    return Features(_some(blocks), sparse=False)


def sparse_features(fields: Fields, encoder: Encoder, vocabulary: int) -> Features:
    """Make what a linear model takes: scaled numbers, one column a category, weighted words and word pairs."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    blocks = []
    if fields.numeric:
        gaps = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        blocks.append(Block("numeric", _numbers(fields.numeric), make_pipeline(gaps, StandardScaler())))
    if fields.categorical:
        coder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MOST_CATEGORIES)
        blocks.append(Block("categorical", _names(fields.categorical), coder))
    for column in fields.text:
        words = TfidfVectorizer(
            sublinear_tf=True, ngram_range=(1, 2), max_features=vocabulary, token_pattern=r"(?u)\b\w+\b"
        )
        blocks.append(Block(f"words of {column}", _texts(column), words))
    blocks += [Block(n, r, StandardScaler()) for n, r in _shapes(fields, encoder)]
    return Features(_some(blocks), sparse=bool(fields.text or fields.categorical))


class _Topics:
    """Truncated SVD of at most as many dimensions as the vocabulary allows, known only once words are counted."""

    def __init__(self, most: int, random: int, kind: Any) -> None:
        self.most, self.random, self.kind = most, random, kind
        self.fitted: Any = None

    def fit_transform(self, x: Any, y: Any = None) -> Any:
        """Fit and encode."""
        wanted = max(1, min(self.most, x.shape[1] - 1))
        self.fitted = self.kind(n_components=wanted, random_state=self.random)
        return self.fitted.fit_transform(x)

    def fit(self, x: Any, y: Any = None) -> _Topics:
        """Fit."""
        self.fit_transform(x)
        return self

    def transform(self, x: Any) -> Any:
        """Encode."""
        return self.fitted.transform(x)


def _some(blocks: list[Block]) -> list[Block]:
    if not blocks:
        raise ValueError("the challenger found no input column; name inputs in data, or set challenger=none")
    return blocks


def _numbers(columns: tuple[str, ...]) -> Callable[[pd.DataFrame], Any]:
    import pandas as pd

    def read(frame: pd.DataFrame) -> Any:
        return np.column_stack(
            [pd.to_numeric(frame[c]).to_numpy(np.float64, na_value=np.nan) for c in columns]
        )

    return read


def _names(columns: tuple[str, ...]) -> Callable[[pd.DataFrame], Any]:
    def read(frame: pd.DataFrame) -> Any:
        known = [frame[c].astype(object).where(frame[c].notna(), "(missing)").astype(str) for c in columns]
        return np.column_stack([np.asarray(c, object) for c in known])

    return read


def _texts(column: str) -> Callable[[pd.DataFrame], Any]:
    def read(frame: pd.DataFrame) -> Any:
        return [
            "" if missing else str(t) for t, missing in zip(frame[column], frame[column].isna(), strict=True)
        ]

    return read


def _shapes(fields: Fields, encoder: Encoder) -> Iterator[tuple[str, Callable[[pd.DataFrame], Any]]]:
    if fields.image is not None:
        yield "image", _decoded(encoder, "image", image_features)
    if fields.signal is not None:
        yield "signal", _decoded(encoder, "signal", signal_features)


def _decoded(
    encoder: Encoder, name: str, features: Callable[[NDArray[Any]], NDArray[np.float32]]
) -> Callable[[pd.DataFrame], Any]:
    def read(frame: pd.DataFrame) -> Any:
        pieces = [frame.iloc[start : start + AT_ONCE] for start in range(0, len(frame), AT_ONCE)]
        return np.concatenate([features(encoder.transform(piece)[name].numpy()) for piece in pieces])

    return read
