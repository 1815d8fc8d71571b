"""The encoder of a frame: each column by the part it plays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from core.config import config_error
from core.data.config import ColumnsEncoderConfig
from core.data.encoders.tfidf import TfidfFeatures
from core.data.encoders.categorical import CategoricalColumns
from core.data.encoders.events import EventSequences
from core.data.encoders.knn_features import KnnFeatures
from core.data.encoders.images import ImageColumn
from core.data.encoders.numeric import NumericColumns
from core.data.encoders.text_pair_features import COMPANIONS, TextPairFeatures
from core.data.encoders.signals import SignalColumn
from core.data.encoders.storage import StoredRows, Storage
from core.data.encoders.tokens import TokenOffsets, TokenColumns
from core.data.encoders.word_features import WordFeatures
from core.data.types import ColumnRoles, Layout

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Json

Piece = NumericColumns | CategoricalColumns | TokenColumns | WordFeatures | TfidfFeatures | ImageColumn | SignalColumn
VERSION = 1


class ColumnsEncoder:
    """Turns raw rows into the tensors that ``Layout`` describes; fitted on the training part only."""

    def __init__(self, config: ColumnsEncoderConfig, columns: ColumnRoles) -> None:
        self.config = config
        self.roles = columns
        self._pieces: dict[str, Piece] = {}
        self._events: EventSequences | None = None
        self.pairs: TextPairFeatures | None = None
        """Compares the text with its references, where the data name some."""
        self.examples: KnnFeatures | None = None
        self._fitted: tuple[pd.DataFrame, pd.DataFrame] | None = None
        """Training rows and what comparing them gave, for the one time that they are prepared right after the fit."""

    def fit(self, frame: pd.DataFrame) -> None:
        """Learn scales, categories, vocabularies and sizes from training rows."""
        config, columns = self.config, self.roles
        if not columns.inputs():
            raise ValueError("the data names no input columns")
        self._require(frame)
        if columns.references:
            self.pairs = TextPairFeatures.fit(config, columns, frame)
        if config.examples:
            self.examples = KnnFeatures.fit(config.examples, columns, frame)
        given, numbers = frame, self.derived(frame)
        frame = self._with_derived(frame, numbers)
        pieces: dict[str, Piece] = {}
        if self._numeric():
            pieces["numeric"] = NumericColumns.fit(config, self._numeric(), frame)
        if columns.categorical:
            pieces["categorical"] = CategoricalColumns.fit(config, columns.categorical, frame)
        if columns.text and config.tokens:
            pieces["tokens"] = TokenColumns.fit(config, self._texts(), frame)
        if columns.text and config.words:
            pieces["words"] = WordFeatures.fit(config, columns.text, frame)
        if columns.text and config.bag:
            pieces["bag"] = TfidfFeatures.fit(config, columns.text, frame, columns.prompt)
        if columns.text and not (config.tokens or config.words or config.bag):
            raise ValueError(
                "encoder.text.tokens=false, words=false and bag=0: texts would not be seen; turn one on"
            )
        if columns.mask_classes and config.image_fit != "squash":
            raise config_error("encoder.image.resize_mode", config.image_fit, "masks lie on whole images; use squash")
        if columns.image is not None:
            pieces["image"] = ImageColumn.fit(config, columns.image, frame)
        if columns.signal is not None:
            pieces["signal"] = SignalColumn.fit(config, columns.signal, frame)
        if config.history:
            if columns.unit is None or columns.time is None:
                raise ValueError(f"encoder.max_events={config.history}: events need data.unit and data.time")
            empty = NumericColumns.fit(config, (), frame), CategoricalColumns.fit(config, (), frame)
            pieces = {"numeric": empty[0], "categorical": empty[1], **pieces}
        self._fitted = (given, numbers)
        self._settle(pieces)

    def _settle(self, pieces: dict[str, Piece]) -> None:
        self._pieces = pieces
        if self.config.history:
            assert self.roles.unit is not None
            assert self.roles.time is not None
            self._events = EventSequences.restore(self.config, self.roles.unit, self.roles.time, pieces)

    def encode(self, frame: pd.DataFrame, history: pd.DataFrame | None = None) -> StoredRows:
        """Encode rows once, for batches.

        ``history``: with ``encoder.max_events``, rows that may come before these (rows of both are known by their
        index). Raises ``ValueError`` with column and row for what can't be read.
        """
        assert self._pieces, "fit or restore the encoder first"
        self._require(frame)
        frame = self._with_derived(frame, self.derived(frame))
        stores: dict[str, Storage] = {}
        for piece in self._pieces.values():
            stores |= piece.stores(frame)
        if self._events is not None:
            stores |= self._events.stores(frame, frame if history is None else history)
        image = self._pieces.get("image")
        size = image.size if isinstance(image, ImageColumn) else None
        tokens, words = self._pieces.get("tokens"), self._pieces.get("words")
        if isinstance(tokens, TokenColumns) and isinstance(words, WordFeatures):
            stores |= words.starts(frame, tokens.token_offsets(frame))
        return StoredRows(stores, len(frame), tokens.padding if isinstance(tokens, TokenColumns) else 0, size)

    def transform(self, frame: pd.DataFrame) -> dict[str, Tensor]:
        """Encode rows, raising ``ValueError`` that names column and row where a value can't be read."""
        return self.prepare(frame).take(torch.arange(len(frame)))

    def layout(self) -> Layout:
        """Describe the tensors for a backbone."""
        assert self._pieces, "fit or restore the encoder first"
        layout = Layout()
        for piece in self._pieces.values():
            layout = piece.layout(layout)
        return layout if self._events is None else self._events.layout(layout)

    def feature_names(self) -> dict[str, list[str]]:
        """Name the features of each input that has named ones: numeric, categorical, bag."""
        names = {"numeric": list(self._numeric()), "categorical": list(self.roles.categorical)}
        bag = self._pieces.get("bag")
        if isinstance(bag, TfidfFeatures):
            names["bag"] = bag.names()
        return {name: found for name, found in names.items() if found}

    def column_positions(self) -> dict[str, dict[str, list[int] | None]]:
        """Say where each input column stands: column -> input -> places along its last dimension, None for all of it.

        In ``events`` these are the places of an event's own values; texts of several columns share their inputs.
        """
        at: dict[str, dict[str, list[int] | None]] = {}
        for i, column in enumerate(self.roles.numeric):
            at[column] = {"numeric": [i], "missing": [i]}
        for i, column in enumerate(self.roles.categorical):
            at[column] = {"categorical": [i]}
        if self._events is not None:
            for column, places in self._events.column_positions().items():
                at[column]["events"] = [*places]
        seen = [name for name in ("tokens", "words", "bag") if name in self._pieces]
        at |= {column: dict.fromkeys(seen) for column in self.roles.text}
        for name, alone in (("image", self.roles.image), ("signal", self.roles.signal)):
            if alone is not None:
                at[alone] = {name: None}
        return at

    def token_offsets(self, frame: pd.DataFrame) -> list[list[TokenOffsets | None]]:
        """Say where in the texts each token of a row stands: (column, start, end), None for those of no text."""
        tokens = self._pieces["tokens"]
        assert isinstance(tokens, TokenColumns)
        return tokens.token_offsets(self._with_derived(frame, self.derived(frame)))

    def tfidf_matrix(self, texts: Sequence[str]) -> Any:
        """Tell which features of the bag plain texts have, (n, V) CSR."""
        bag = self._pieces["bag"]
        assert isinstance(bag, TfidfFeatures)
        return bag.tfidf_matrix(texts)

    def derived_features(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Give the numbers made from texts: comparisons with references and with graded examples, (N, n)."""
        fitted, self._fitted = self._fitted, None
        if fitted is not None and fitted[0] is frame:
            return fitted[1]
        made = [piece.features(frame) for piece in (self.pairs, self.examples) if piece is not None]
        return pd.concat(made, axis=1) if made else pd.DataFrame(index=frame.index)

    def _with_derived(self, frame: pd.DataFrame, numbers: pd.DataFrame) -> pd.DataFrame:
        """Put beside the rows what their texts give: numbers, and the texts that tokens hold as a pair."""
        if self.pairs is None and self.examples is None:
            return frame
        if self.pairs is not None and self.config.companions:
            numbers = numbers.assign(**{COMPANIONS: self.pairs.companions(frame)})
        return pd.concat([frame, numbers], axis=1)

    def _numeric(self) -> tuple[str, ...]:
        pieces = [piece.names() for piece in (self.pairs, self.examples) if piece is not None]
        return (*self.roles.numeric, *(name for names in pieces for name in names))

    def _texts(self) -> tuple[str, ...]:
        paired = self.pairs is not None and self.config.companions
        return (*self.roles.text, COMPANIONS) if paired else self.roles.text

    def _require(self, frame: pd.DataFrame) -> None:
        needed = list(self.roles.inputs())
        if self.config.history:
            needed += [c for c in (self.roles.unit, self.roles.time) if c is not None]
        lost = [c for c in needed if c not in frame.columns]
        if lost:
            have = ", ".join(map(str, frame.columns[:40]))
            raise ValueError(f"the rows lack the columns {', '.join(map(repr, lost))}; they have {have}")

    def state(self) -> dict[str, Json]:
        """Give everything that ``restore`` needs, as JSON."""
        columns: dict[str, Any] = asdict(self.roles)
        return {
            "version": VERSION,
            "config": {f.name: getattr(self.config, f.name) for f in fields(ColumnsEncoderConfig)},  # type: ignore[arg-type]
            "fields": {k: list(v) if isinstance(v, tuple) else v for k, v in columns.items()},
            "pieces": {name: piece.state() for name, piece in self._pieces.items()},
            "pairs": None if self.pairs is None else self.pairs.state(),
            "examples": None if self.examples is None else self.examples.state(),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Json]) -> ColumnsEncoder:
        """Rebuild from ``state()``, exactly."""
        if state.get("version") != VERSION:
            raise ValueError(
                f"the encoder was saved in version {state.get('version')!r}; this is version {VERSION}"
            )
        config = ColumnsEncoderConfig(**state["config"])
        parts: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in state["fields"].items()
        }
        columns, saved = ColumnRoles(**parts), state["pieces"]
        made = cls(config, columns)
        if state.get("pairs") is not None:
            made.pairs = TextPairFeatures.restore(columns, state["pairs"])
        if state.get("examples") is not None:
            made.examples = KnnFeatures.restore(columns, state["examples"])
        pieces: dict[str, Piece] = {}
        if "numeric" in saved:
            pieces["numeric"] = NumericColumns.restore(config, made._numeric(), saved["numeric"])
        if "categorical" in saved:
            pieces["categorical"] = CategoricalColumns.restore(config, columns.categorical, saved["categorical"])
        if "tokens" in saved:
            pieces["tokens"] = TokenColumns.restore(config, made._texts(), saved["tokens"])
        if "words" in saved:
            pieces["words"] = WordFeatures.restore(columns.text, saved["words"])
        if "bag" in saved:
            pieces["bag"] = TfidfFeatures.restore(config, columns.text, saved["bag"], columns.prompt)
        if columns.image is not None:
            pieces["image"] = ImageColumn.restore(config, columns.image, saved["image"])
        if columns.signal is not None:
            pieces["signal"] = SignalColumn.restore(config, columns.signal, saved["signal"])
        made._settle(pieces)
        return made
