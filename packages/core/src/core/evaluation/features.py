"""Features of classical baselines: table columns, TF-IDF, histograms of images, shapes of signals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.data.coercion import to_categories, to_numbers, to_texts
from core.evaluation.handcrafted_features import image_features, signal_features
from core.targets.types import Array

if TYPE_CHECKING:
    import pandas as pd

    from core.data.types import ColumnRoles, Encoder

BATCH_ROWS = 128
"""Rows whose images or signals are decoded at once."""
MAX_CODES = 24
"""Categories up to which boosting gets codes."""
FOLDS = 5
"""Of cross-fitted target encoding."""
MAX_CATEGORIES = 250
"""Columns that one categorical column is spread over for a linear model; the rarest share one."""
MISSING = "(missing)"
"""The category of a gap."""
WORD = r"(?u)\b\w+\b"
"""Words of one letter count too: grades, doses, sexes."""


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

    def fit(self, frame: pd.DataFrame, truth: Array) -> Matrix:
        """Fit categories, scales and vocabularies, and return the same rows encoded; ``truth`` (N, K) numbers."""
        return self._joined([b.transformer.fit_transform(b.read(frame), truth) for b in self.parts])

    def transform(self, frame: pd.DataFrame) -> Matrix:
        """Return further rows encoded."""
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


def dense_features(
    roles: ColumnRoles, encoder: Encoder, svd_components: int, random: int, train: pd.DataFrame
) -> Features:
    """Return the features of boosting: raw numbers with gaps, category codes or target means, SVD of texts, shapes.

    A column of more than ``MAX_CODES`` categories in ``train`` is target-encoded: codes of so many overfit.
    """
    from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

    blocks = []
    if roles.numeric:
        blocks.append(Block("numeric", _numbers(roles.numeric), FunctionTransformer()))
    few = tuple(c for c in roles.categorical if train[c].nunique() <= MAX_CODES)
    many = tuple(c for c in roles.categorical if c not in few)
    if few:
        coder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
        blocks.append(Block("categorical", _names(few), coder, codes=True))
    if many:
        blocks.append(Block("target means of categories", _names(many), _TargetMeans(random)))
    blocks += [Block(f"SVD of {c}", _texts(c), _TextSvd(svd_components, random)) for c in roles.text]
    if roles.references:
        blocks.append(Block("comparison with references", _derived(encoder), FunctionTransformer()))
    blocks += [Block(n, r, FunctionTransformer()) for n, r in _shapes(roles, encoder)]
    return Features(_some(blocks), sparse=False)


def sparse_features(roles: ColumnRoles, encoder: Encoder, max_features: int) -> Features:
    """Return the features of a linear model: scaled numbers, one-hot categories, TF-IDF of words and word pairs."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    blocks = []
    if roles.numeric:
        blocks.append(Block("numeric", _numbers(roles.numeric), _scaled_gaps()))
    if roles.categorical:
        coder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES)
        blocks.append(Block("categorical", _names(roles.categorical), coder))
    for column in roles.text:
        words = TfidfVectorizer(
            sublinear_tf=True, ngram_range=(1, 2), max_features=max_features, token_pattern=WORD
        )
        blocks.append(Block(f"words of {column}", _texts(column), words))
    if roles.references:
        blocks.append(Block("comparison with references", _derived(encoder), _scaled_gaps()))
    blocks += [Block(n, r, StandardScaler()) for n, r in _shapes(roles, encoder)]
    return Features(_some(blocks), sparse=bool(roles.text or roles.categorical))


def _scaled_gaps() -> Any:
    """Return a transformer that fills gaps with the median, flags them, and scales."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    gaps = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return make_pipeline(gaps, StandardScaler())


class _TargetMeans:
    """Smoothed, cross-fitted target means (Micci-Barreca 2001), an encoder for each column of the truth.

    A training row's mean never contains its own truth, nor that of its fold: otherwise rare categories would
    give the label away in training and nothing afterwards.
    """

    def __init__(self, random: int) -> None:
        self.random = random
        self.encoders: list[Any] = []

    def fit_transform(self, names: NDArray[Any], truth: Array) -> Array:
        """Fit to categories (N, C) and truth (N, K), and return the same rows encoded out of fold, (N, K * C)."""
        from sklearn.model_selection import KFold
        from sklearn.preprocessing import TargetEncoder

        folds = KFold(min(FOLDS, len(names)), shuffle=True, random_state=self.random)
        self.encoders = [TargetEncoder(target_type="continuous", cv=folds) for _ in truth.T]
        columns = zip(self.encoders, truth.T, strict=True)
        return np.concatenate([encoder.fit_transform(names, column) for encoder, column in columns], axis=1)

    def transform(self, names: NDArray[Any]) -> Array:
        """Return further rows encoded; a category that training never saw gets the overall mean."""
        return np.concatenate([encoder.transform(names) for encoder in self.encoders], axis=1)


class _TextSvd:
    """TF-IDF, then truncated SVD to at most as many dimensions as the vocabulary turns out to allow (LSA)."""

    def __init__(self, components: int, random: int) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.components, self.random = components, random
        self.words = TfidfVectorizer(sublinear_tf=True, max_features=20_000, token_pattern=WORD)
        self.svd: Any = None

    def fit_transform(self, texts: list[str], _: Array) -> Any:
        """Fit vocabulary and components, and return the same texts encoded."""
        from sklearn.decomposition import TruncatedSVD

        weights = self.words.fit_transform(texts)
        wanted = max(1, min(self.components, weights.shape[1] - 1))
        self.svd = TruncatedSVD(n_components=wanted, random_state=self.random)
        return self.svd.fit_transform(weights)

    def transform(self, texts: list[str]) -> Any:
        """Return further texts encoded."""
        return self.svd.transform(self.words.transform(texts))


def _some(blocks: list[Block]) -> list[Block]:
    if not blocks:
        raise ValueError("the baseline found no input column; name inputs in data, or set baseline=none")
    return blocks


def _numbers(columns: tuple[str, ...]) -> Callable[[pd.DataFrame], Any]:
    return lambda frame: np.column_stack([to_numbers(frame[c], c) for c in columns])


def _derived(encoder: Encoder) -> Callable[[pd.DataFrame], Any]:
    """Return a reader of what the model's own encoder makes of texts and their references."""
    return lambda frame: encoder.derived_features(frame).to_numpy(np.float64)


def _names(columns: tuple[str, ...]) -> Callable[[pd.DataFrame], Any]:
    import pandas as pd

    def read(frame: pd.DataFrame) -> Any:
        named = np.column_stack([to_categories(frame[c]) for c in columns])
        return np.where(pd.isna(named), MISSING, named)

    return read


def _texts(column: str) -> Callable[[pd.DataFrame], Any]:
    return lambda frame: to_texts(frame[column])


def _shapes(roles: ColumnRoles, encoder: Encoder) -> Iterator[tuple[str, Callable[[pd.DataFrame], Any]]]:
    if roles.image is not None:
        yield "image", _decoded(encoder, "image", image_features)
    if roles.signal is not None:
        yield "signal", _decoded(encoder, "signal", signal_features)


def _decoded(
    encoder: Encoder, name: str, features: Callable[[NDArray[Any]], NDArray[np.float32]]
) -> Callable[[pd.DataFrame], Any]:
    def read(frame: pd.DataFrame) -> Any:
        pieces = [frame.iloc[start : start + BATCH_ROWS] for start in range(0, len(frame), BATCH_ROWS)]
        return np.concatenate([features(encoder.transform(piece)[name].numpy()) for piece in pieces])

    return read
