"""The encoder of a frame: each column by its role."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from core.config import config_error
from core.config.deprecated import upgraded_config
from core.data.encoder_config import ColumnsEncoderConfig, ImageEncoding, SignalEncoding, TextEncoding
from core.data.encoders.categorical import CategoricalColumns
from core.data.encoders.events import EventSequences
from core.data.encoders.images import ImageColumn
from core.data.encoders.knn_features import KnnFeatures
from core.data.encoders.numeric import NumericColumns
from core.data.encoders.signals import SignalColumn
from core.data.encoders.storage import Storage, StoredRows
from core.data.encoders.text_pair_features import PAIR_COLUMN, TextPairFeatures
from core.data.encoders.tfidf import TfidfFeatures
from core.data.encoders.tokens import TokenColumns
from core.data.encoders.word_features import WordFeatures
from core.data.types import ColumnRoles, Layout, TokenOffsets, restore_roles

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from torch import Tensor

    from core.data.types import Encoder, Json

VERSION = 2

InputEncoder = (
    NumericColumns
    | CategoricalColumns
    | TokenColumns
    | WordFeatures
    | TfidfFeatures
    | ImageColumn
    | SignalColumn
)


class ColumnsEncoder:
    """Turns raw rows into the tensors that ``Layout`` describes; fitted on the training set only.

    >>> roles = ColumnRoles(numeric=("age",), categorical=("ward",))
    >>> encoder = ColumnsEncoder(ColumnsEncoderConfig(min_frequency=1), roles)
    >>> frame = pd.DataFrame({"age": [40, 60], "ward": ["A", "B"]})
    >>> encoder.fit(frame)
    >>> {name: tensor.tolist() for name, tensor in encoder.transform(frame).items()}
    {'numeric': [[-1.0], [1.0]], 'missing': [[0.0], [0.0]], 'categorical': [[1], [2]]}
    """

    def __init__(self, config: ColumnsEncoderConfig, roles: ColumnRoles) -> None:
        self.config = config
        self.roles = roles
        self.numeric: NumericColumns | None = None
        self.categorical: CategoricalColumns | None = None
        self.tokens: TokenColumns | None = None
        self.words: WordFeatures | None = None
        self.tfidf: TfidfFeatures | None = None
        self.image: ImageColumn | None = None
        self.signal: SignalColumn | None = None
        self.events: EventSequences | None = None
        self.text_pairs: TextPairFeatures | None = None
        """Compares the text with its references, where the data name some."""
        self.knn: KnnFeatures | None = None
        """Compares the text with labeled training texts."""
        self._fitted: tuple[pd.DataFrame, pd.DataFrame] | None = None
        """Training rows and their derived features, for the one time that they are encoded right after the fit."""

    def fit(self, frame: pd.DataFrame) -> None:
        """Fit scales, categories, vocabularies and sizes to training rows."""
        config, roles, text = self.config, self.roles, self.config.text
        if not roles.inputs():
            raise ValueError("the data names no input columns")
        self._require(frame)
        if roles.references:
            self.text_pairs = TextPairFeatures.fit(text, roles, frame)
        if text.knn_examples_per_class:
            self.knn = KnnFeatures.fit(text.knn_examples_per_class, roles, frame)
        given, derived = frame, self.derived_features(frame)
        frame = self._with_derived(frame, derived)
        if self._numeric_columns() or config.max_events:
            self.numeric = NumericColumns.fit(config, self._numeric_columns(), frame)
        if roles.categorical or config.max_events:
            self.categorical = CategoricalColumns.fit(config, roles.categorical, frame)
        if roles.text and text.tokens:
            self.tokens = TokenColumns.fit(text, self._text_columns(), frame)
        if roles.text and text.word_features:
            self.words = WordFeatures.fit(text, roles.text, frame)
        if roles.text and text.tfidf_features:
            self.tfidf = TfidfFeatures.fit(text, roles.text, frame, roles.prompt)
        if roles.text and not (text.tokens or text.word_features or text.tfidf_features):
            raise ValueError(
                "encoder.text: tokens=false, word_features=false and tfidf_features=0: texts would not be encoded; "
                "turn one on"
            )
        if roles.mask_classes and config.image.resize_mode != "stretch":
            raise config_error(
                "encoder.image.resize_mode",
                config.image.resize_mode,
                "masks lie on whole images; use stretch",
            )
        if roles.image is not None:
            self.image = ImageColumn.fit(config.image, roles.image, frame)
        if roles.signal is not None:
            self.signal = SignalColumn.fit(config.signal, roles.signal, frame)
        self._add_events()
        self._fitted = (given, derived)

    def _add_events(self) -> None:
        if not self.config.max_events:
            return
        unit, time = self.roles.unit, self.roles.time
        if unit is None or time is None:
            raise ValueError(
                f"encoder.max_events={self.config.max_events}: events need data.unit and data.time"
            )
        assert self.numeric is not None
        assert self.categorical is not None
        self.events = EventSequences(unit, time, self.config.max_events, self.numeric, self.categorical)

    def _inputs(self) -> Iterator[tuple[str, InputEncoder]]:
        """Yield the fitted encoders of single inputs, in the order of a batch's inputs."""
        every = {
            "numeric": self.numeric,
            "categorical": self.categorical,
            "tokens": self.tokens,
            "words": self.words,
            "tfidf": self.tfidf,
            "image": self.image,
            "signal": self.signal,
        }
        assert any(one is not None for one in every.values()), "fit or restore the encoder first"
        yield from ((name, one) for name, one in every.items() if one is not None)

    def encode(self, frame: pd.DataFrame, history: pd.DataFrame | None = None) -> StoredRows:
        """Encode rows once, for batches.

        ``history``: with ``encoder.max_events``, rows that may come before these (rows of both are known by their
        index). Raises ``ValueError`` with column and row for what can't be read.
        """
        self._require(frame)
        frame = self._with_derived(frame, self.derived_features(frame))
        stored: dict[str, Storage] = {}
        for _, one in self._inputs():
            stored |= one.encode(frame)
        if self.events is not None:
            stored |= self.events.encode(frame, frame if history is None else history)
        if self.tokens is not None and self.words is not None:
            stored |= self.words.starts(frame, self.tokens.token_offsets(frame))
        pad_token_id = 0 if self.tokens is None else self.tokens.pad_token_id
        size = None if self.image is None else self.image.size
        return StoredRows(stored, len(frame), pad_token_id, size)

    def transform(self, frame: pd.DataFrame) -> dict[str, Tensor]:
        """Encode rows, raising ``ValueError`` that names column and row where a value can't be read."""
        return self.encode(frame).take(torch.arange(len(frame)))

    def layout(self) -> Layout:
        """Describe the tensors for a backbone."""
        layout = Layout()
        for _, one in self._inputs():
            layout = one.layout(layout)
        return layout if self.events is None else self.events.layout(layout)

    def column_positions(self) -> dict[str, dict[str, list[int] | None]]:
        """Return column -> input -> the column's indices along the input's last dimension, None for all of it.

        In ``events`` these are the indices of an event's own values; texts of several columns share their inputs.
        """
        at: dict[str, dict[str, list[int] | None]] = {}
        for i, column in enumerate(self.roles.numeric):
            at[column] = {"numeric": [i], "missing": [i]}
        for i, column in enumerate(self.roles.categorical):
            at[column] = {"categorical": [i]}
        if self.events is not None:
            for column, positions in self.events.column_positions().items():
                at[column]["events"] = [*positions]
        textual = [name for name, _ in self._inputs() if name in ("tokens", "words", "tfidf")]
        at |= {column: dict.fromkeys(textual) for column in self.roles.text}
        for name, alone in (("image", self.roles.image), ("signal", self.roles.signal)):
            if alone is not None:
                at[alone] = {name: None}
        return at

    def token_offsets(self, frame: pd.DataFrame) -> list[list[TokenOffsets | None]]:
        """Return the characters that each token of a row stands on, None for special tokens."""
        assert self.tokens is not None
        return self.tokens.token_offsets(self._with_derived(frame, self.derived_features(frame)))

    def tfidf_matrix(self, texts: Sequence[str]) -> csr_matrix:
        """Compute the TF-IDF features of plain texts, (n, V)."""
        assert self.tfidf is not None
        return self.tfidf.matrix(texts)

    def derived_features(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Compute the numbers derived from texts: comparisons with references and with labeled texts, (N, n)."""
        fitted, self._fitted = self._fitted, None
        if fitted is not None and fitted[0] is frame:
            return fitted[1]
        features = [one.features(frame) for one in (self.text_pairs, self.knn) if one is not None]
        return pd.concat(features, axis=1) if features else pd.DataFrame(index=frame.index)

    def _with_derived(self, frame: pd.DataFrame, derived: pd.DataFrame) -> pd.DataFrame:
        """Put beside the rows what is derived from their texts: numbers, and the texts that tokens hold as a pair."""
        if self.text_pairs is None and self.knn is None:
            return frame
        if self.text_pairs is not None and self.config.text.text_pair:
            derived = derived.assign(**{PAIR_COLUMN: self.text_pairs.pair_texts(frame)})
        return pd.concat([frame, derived], axis=1)

    def _numeric_columns(self) -> tuple[str, ...]:
        derived = [one.names() for one in (self.text_pairs, self.knn) if one is not None]
        return (*self.roles.numeric, *(name for names in derived for name in names))

    def _text_columns(self) -> tuple[str, ...]:
        paired = self.text_pairs is not None and self.config.text.text_pair
        return (*self.roles.text, PAIR_COLUMN) if paired else self.roles.text

    def _require(self, frame: pd.DataFrame) -> None:
        needed = list(self.roles.inputs())
        if self.config.max_events:
            needed += [c for c in (self.roles.unit, self.roles.time) if c is not None]
        lost = [c for c in needed if c not in frame.columns]
        if lost:
            have = ", ".join(map(str, frame.columns[:40]))
            raise ValueError(f"the rows lack the columns {', '.join(map(repr, lost))}; they have {have}")

    def state(self) -> dict[str, Json]:
        """Return everything that ``restore`` needs, as JSON."""
        return {
            "version": VERSION,
            "config": asdict(self.config),
            "roles": {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.roles).items()},
            "inputs": {name: one.state() for name, one in self._inputs()},
            "text_pairs": None if self.text_pairs is None else self.text_pairs.state(),
            "knn": None if self.knn is None else self.knn.state(),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Json]) -> ColumnsEncoder:
        """Rebuild from ``state()``, exactly; also from the states of version 1."""
        if state.get("version") == 1:
            state = _upgraded(state)
        if state.get("version") != VERSION:
            raise ValueError(
                f"the encoder was saved in version {state.get('version')!r}; this is version {VERSION}"
            )
        config, roles, saved = (
            _restore_config(state["config"]),
            restore_roles(state["roles"]),
            state["inputs"],
        )
        restored = cls(config, roles)
        if state["text_pairs"] is not None:
            restored.text_pairs = TextPairFeatures.restore(roles, state["text_pairs"])
        if state["knn"] is not None:
            restored.knn = KnnFeatures.restore(roles, state["knn"])
        if "numeric" in saved:
            restored.numeric = NumericColumns.restore(config, restored._numeric_columns(), saved["numeric"])
        if "categorical" in saved:
            restored.categorical = CategoricalColumns.restore(roles.categorical, saved["categorical"])
        if "tokens" in saved:
            restored.tokens = TokenColumns.restore(config.text, restored._text_columns(), saved["tokens"])
        if "words" in saved:
            restored.words = WordFeatures.restore(roles.text, saved["words"])
        if "tfidf" in saved:
            restored.tfidf = TfidfFeatures.restore(roles.text, saved["tfidf"], roles.prompt)
        if roles.image is not None:
            restored.image = ImageColumn.restore(config.image, roles.image, saved["image"])
        if roles.signal is not None:
            restored.signal = SignalColumn.restore(config.signal, roles.signal, saved["signal"])
        restored._add_events()
        return restored


def kept_categories(encoder: Encoder) -> dict[str, list[str]]:
    """Return column -> the categories that training kept by name, most frequent first; empty of other encoders."""
    inner = getattr(encoder, "inner", encoder)
    kept: CategoricalColumns | None = getattr(inner, "categorical", None)
    return {} if kept is None else dict(zip(kept.columns, kept.kept, strict=True))


def _restore_config(content: Mapping[str, Json]) -> ColumnsEncoderConfig:
    values: dict[str, Any] = dict(content)
    values["text"] = TextEncoding(**values.get("text", {}))
    values["image"] = ImageEncoding(**values.get("image", {}))
    values["signal"] = SignalEncoding(**values.get("signal", {}))
    return ColumnsEncoderConfig(**values)


def _upgraded(state: Mapping[str, Json]) -> dict[str, Json]:
    """Return a state of version 1, of runs written before 0.2.0, as one of version 2."""
    config = upgraded_config({"encoder": {"option": "fields", **state["config"]}})["encoder"]
    del config["option"]
    names = {"bag": "tfidf"}
    return {
        "version": VERSION,
        "config": config,
        "roles": state["fields"],
        "inputs": {names.get(name, name): one for name, one in state["pieces"].items()},
        "text_pairs": state.get("pairs"),
        "knn": state.get("examples"),
    }
