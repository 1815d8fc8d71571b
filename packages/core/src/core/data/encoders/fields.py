"""The encoder of a frame: each column by the part it plays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from core.config import config_error
from core.data.config import FieldsConfig
from core.data.encoders.bag import Bag
from core.data.encoders.categories import Categories
from core.data.encoders.events import Events
from core.data.encoders.examples import Examples
from core.data.encoders.images import Images
from core.data.encoders.numbers import Numbers
from core.data.encoders.pairs import COMPANIONS, Pairs
from core.data.encoders.signals import Signals
from core.data.encoders.stores import PreparedRows, Store
from core.data.encoders.tokens import Place, Tokens
from core.data.encoders.words import Words
from core.data.types import Fields, Layout

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.types import Json

Piece = Numbers | Categories | Tokens | Words | Bag | Images | Signals
VERSION = 1


class FieldsEncoder:
    """Turns raw rows into the tensors that ``Layout`` describes; fitted on the training part only."""

    def __init__(self, config: FieldsConfig, columns: Fields) -> None:
        self.config = config
        self.fields = columns
        self._pieces: dict[str, Piece] = {}
        self._events: Events | None = None
        self.pairs: Pairs | None = None
        """Compares the text with its references, where the data name some."""
        self.examples: Examples | None = None
        self._fitted: tuple[pd.DataFrame, pd.DataFrame] | None = None
        """Training rows and what comparing them gave, for the one time that they are prepared right after the fit."""

    def fit(self, frame: pd.DataFrame) -> None:
        """Learn scales, categories, vocabularies and sizes from training rows."""
        config, columns = self.config, self.fields
        if not columns.inputs():
            raise ValueError("the data names no input columns")
        self._require(frame)
        if columns.references:
            self.pairs = Pairs.fit(config, columns, frame)
        if config.examples:
            self.examples = Examples.fit(config.examples, columns, frame)
        given, numbers = frame, self.derived(frame)
        frame = self._with_derived(frame, numbers)
        pieces: dict[str, Piece] = {}
        if self._numeric():
            pieces["numeric"] = Numbers.fit(config, self._numeric(), frame)
        if columns.categorical:
            pieces["categorical"] = Categories.fit(config, columns.categorical, frame)
        if columns.text and config.tokens:
            pieces["tokens"] = Tokens.fit(config, self._texts(), frame)
        if columns.text and config.words:
            pieces["words"] = Words.fit(config, columns.text, frame)
        if columns.text and config.bag:
            pieces["bag"] = Bag.fit(config, columns.text, frame, columns.prompt)
        if columns.text and not (config.tokens or config.words or config.bag):
            raise ValueError(
                "encoder.tokens=false, words=false and bag=0: texts would not be seen; turn one on"
            )
        if columns.mask_classes and config.image_fit != "squash":
            raise config_error("encoder.image_fit", config.image_fit, "masks lie on whole images; use squash")
        if columns.image is not None:
            pieces["image"] = Images.fit(config, columns.image, frame)
        if columns.signal is not None:
            pieces["signal"] = Signals.fit(config, columns.signal, frame)
        if config.history:
            if columns.unit is None or columns.time is None:
                raise ValueError(f"encoder.history={config.history}: events need data.unit and data.time")
            empty = Numbers.fit(config, (), frame), Categories.fit(config, (), frame)
            pieces = {"numeric": empty[0], "categorical": empty[1], **pieces}
        self._fitted = (given, numbers)
        self._settle(pieces)

    def _settle(self, pieces: dict[str, Piece]) -> None:
        self._pieces = pieces
        if self.config.history:
            assert self.fields.unit is not None
            assert self.fields.time is not None
            self._events = Events.restore(self.config, self.fields.unit, self.fields.time, pieces)

    def prepare(self, frame: pd.DataFrame, history: pd.DataFrame | None = None) -> PreparedRows:
        """Encode rows once, for batches.

        ``history``: with ``encoder.history``, rows that may come before these (rows of both are known by their
        index). Raises ``ValueError`` with column and row for what can't be read.
        """
        assert self._pieces, "fit or restore the encoder first"
        self._require(frame)
        frame = self._with_derived(frame, self.derived(frame))
        stores: dict[str, Store] = {}
        for piece in self._pieces.values():
            stores |= piece.stores(frame)
        if self._events is not None:
            stores |= self._events.stores(frame, frame if history is None else history)
        image = self._pieces.get("image")
        size = image.size if isinstance(image, Images) else None
        tokens, words = self._pieces.get("tokens"), self._pieces.get("words")
        if isinstance(tokens, Tokens) and isinstance(words, Words):
            stores |= words.starts(frame, tokens.spans(frame))
        return PreparedRows(stores, len(frame), tokens.padding if isinstance(tokens, Tokens) else 0, size)

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
        names = {"numeric": list(self._numeric()), "categorical": list(self.fields.categorical)}
        bag = self._pieces.get("bag")
        if isinstance(bag, Bag):
            names["bag"] = bag.names()
        return {name: found for name, found in names.items() if found}

    def places(self) -> dict[str, dict[str, list[int] | None]]:
        """Say where each input column stands: column -> input -> places along its last dimension, None for all of it.

        In ``events`` these are the places of an event's own values; texts of several columns share their inputs.
        """
        at: dict[str, dict[str, list[int] | None]] = {}
        for i, column in enumerate(self.fields.numeric):
            at[column] = {"numeric": [i], "missing": [i]}
        for i, column in enumerate(self.fields.categorical):
            at[column] = {"categorical": [i]}
        if self._events is not None:
            for column, places in self._events.places().items():
                at[column]["events"] = [*places]
        seen = [name for name in ("tokens", "words", "bag") if name in self._pieces]
        at |= {column: dict.fromkeys(seen) for column in self.fields.text}
        for name, alone in (("image", self.fields.image), ("signal", self.fields.signal)):
            if alone is not None:
                at[alone] = {name: None}
        return at

    def spans(self, frame: pd.DataFrame) -> list[list[Place | None]]:
        """Say where in the texts each token of a row stands: (column, start, end), None for those of no text."""
        tokens = self._pieces["tokens"]
        assert isinstance(tokens, Tokens)
        return tokens.spans(self._with_derived(frame, self.derived(frame)))

    def grams(self, texts: Sequence[str]) -> Any:
        """Tell which features of the bag plain texts have, (n, V) CSR."""
        bag = self._pieces["bag"]
        assert isinstance(bag, Bag)
        return bag.grams(texts)

    def derived(self, frame: pd.DataFrame) -> pd.DataFrame:
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
        return (*self.fields.numeric, *(name for names in pieces for name in names))

    def _texts(self) -> tuple[str, ...]:
        paired = self.pairs is not None and self.config.companions
        return (*self.fields.text, COMPANIONS) if paired else self.fields.text

    def _require(self, frame: pd.DataFrame) -> None:
        needed = list(self.fields.inputs())
        if self.config.history:
            needed += [c for c in (self.fields.unit, self.fields.time) if c is not None]
        lost = [c for c in needed if c not in frame.columns]
        if lost:
            have = ", ".join(map(str, frame.columns[:40]))
            raise ValueError(f"the rows lack the columns {', '.join(map(repr, lost))}; they have {have}")

    def state(self) -> dict[str, Json]:
        """Give everything that ``restore`` needs, as JSON."""
        columns: dict[str, Any] = asdict(self.fields)
        return {
            "version": VERSION,
            "config": {f.name: getattr(self.config, f.name) for f in fields(FieldsConfig)},  # type: ignore[arg-type]
            "fields": {k: list(v) if isinstance(v, tuple) else v for k, v in columns.items()},
            "pieces": {name: piece.state() for name, piece in self._pieces.items()},
            "pairs": None if self.pairs is None else self.pairs.state(),
            "examples": None if self.examples is None else self.examples.state(),
        }

    @classmethod
    def restore(cls, state: Mapping[str, Json]) -> FieldsEncoder:
        """Rebuild from ``state()``, exactly."""
        if state.get("version") != VERSION:
            raise ValueError(
                f"the encoder was saved in version {state.get('version')!r}; this is version {VERSION}"
            )
        config = FieldsConfig(**state["config"])
        parts: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in state["fields"].items()
        }
        columns, saved = Fields(**parts), state["pieces"]
        made = cls(config, columns)
        if state.get("pairs") is not None:
            made.pairs = Pairs.restore(columns, state["pairs"])
        if state.get("examples") is not None:
            made.examples = Examples.restore(columns, state["examples"])
        pieces: dict[str, Piece] = {}
        if "numeric" in saved:
            pieces["numeric"] = Numbers.restore(config, made._numeric(), saved["numeric"])
        if "categorical" in saved:
            pieces["categorical"] = Categories.restore(config, columns.categorical, saved["categorical"])
        if "tokens" in saved:
            pieces["tokens"] = Tokens.restore(config, made._texts(), saved["tokens"])
        if "words" in saved:
            pieces["words"] = Words.restore(columns.text, saved["words"])
        if "bag" in saved:
            pieces["bag"] = Bag.restore(config, columns.text, saved["bag"], columns.prompt)
        if columns.image is not None:
            pieces["image"] = Images.restore(config, columns.image, saved["image"])
        if columns.signal is not None:
            pieces["signal"] = Signals.restore(config, columns.signal, saved["signal"])
        made._settle(pieces)
        return made
