"""The encoder of a frame: each column by the part it plays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import torch

from core.data.config import FieldsConfig
from core.data.encoders.bag import Bag
from core.data.encoders.categories import Categories
from core.data.encoders.events import Events
from core.data.encoders.images import Images
from core.data.encoders.numbers import Numbers
from core.data.encoders.signals import Signals
from core.data.encoders.stores import PreparedRows, Store
from core.data.encoders.tokens import Tokens
from core.data.types import Fields, Layout

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from core.data.types import Json

Piece = Numbers | Categories | Tokens | Bag | Images | Signals
VERSION = 1


class FieldsEncoder:
    """Turns raw rows into the tensors that ``Layout`` describes; fitted on the training part only."""

    def __init__(self, config: FieldsConfig, columns: Fields) -> None:
        self.config = config
        self.fields = columns
        self._pieces: dict[str, Piece] = {}
        self._events: Events | None = None

    def fit(self, frame: pd.DataFrame) -> None:
        """Learn scales, categories, vocabularies and sizes from training rows."""
        config, columns = self.config, self.fields
        if not columns.inputs():
            raise ValueError("the data names no input columns")
        self._require(frame)
        pieces: dict[str, Piece] = {}
        if columns.numeric:
            pieces["numeric"] = Numbers.fit(config, columns.numeric, frame)
        if columns.categorical:
            pieces["categorical"] = Categories.fit(config, columns.categorical, frame)
        if columns.text and config.tokens:
            pieces["tokens"] = Tokens.fit(config, columns.text, frame)
        if columns.text and config.bag:
            pieces["bag"] = Bag.fit(config, columns.text, frame)
        if columns.text and not config.tokens and not config.bag:
            raise ValueError("encoder.tokens=false and encoder.bag=0: texts would not be seen; turn one on")
        if columns.image is not None:
            pieces["image"] = Images.fit(config, columns.image, frame)
        if columns.signal is not None:
            pieces["signal"] = Signals.fit(config, columns.signal, frame)
        if config.history:
            if columns.unit is None or columns.time is None:
                raise ValueError(f"encoder.history={config.history}: events need data.unit and data.time")
            empty = Numbers.fit(config, (), frame), Categories.fit(config, (), frame)
            pieces = {"numeric": empty[0], "categorical": empty[1], **pieces}
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
        stores: dict[str, Store] = {}
        for piece in self._pieces.values():
            stores |= piece.stores(frame)
        if self._events is not None:
            stores |= self._events.stores(frame, frame if history is None else history)
        image = self._pieces.get("image")
        size = image.size if isinstance(image, Images) else None
        tokens = self._pieces.get("tokens")
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
        names = {"numeric": list(self.fields.numeric), "categorical": list(self.fields.categorical)}
        bag = self._pieces.get("bag")
        if isinstance(bag, Bag):
            names["bag"] = bag.names()
        return {name: found for name, found in names.items() if found}

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
        pieces: dict[str, Piece] = {}
        if "numeric" in saved:
            pieces["numeric"] = Numbers.restore(config, columns.numeric, saved["numeric"])
        if "categorical" in saved:
            pieces["categorical"] = Categories.restore(config, columns.categorical, saved["categorical"])
        if "tokens" in saved:
            pieces["tokens"] = Tokens.restore(config, columns.text, saved["tokens"])
        if "bag" in saved:
            pieces["bag"] = Bag.restore(config, columns.text, saved["bag"])
        if columns.image is not None:
            pieces["image"] = Images.restore(config, columns.image, saved["image"])
        if columns.signal is not None:
            pieces["signal"] = Signals.restore(config, columns.signal, saved["signal"])
        made._settle(pieces)
        return made
