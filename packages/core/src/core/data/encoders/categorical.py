"""Categories: the frequent ones of the training set by name, the infrequent ones together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from core.data.coercion import to_categories
from core.data.encoders.storage import DenseRows, Storage
from core.data.types import Layout

if TYPE_CHECKING:
    from core.data.encoder_config import ColumnsEncoderConfig
    from core.data.types import Json


@dataclass
class CategoricalColumns:
    """The categorical columns together. m columns; codes 0 missing, 1 infrequent (where training had any), then the
    kept."""

    columns: tuple[str, ...]
    kept: list[list[str]]
    rare: list[bool]
    """Whether code 1 stands for infrequent categories; their names are not kept, for they may name a person."""

    @classmethod
    def fit(
        cls, config: ColumnsEncoderConfig, columns: tuple[str, ...], frame: pd.DataFrame
    ) -> CategoricalColumns:
        """Fit the names to training rows: most frequent first, equal counts by name."""
        kept, rare = [], []
        for column in columns:
            codes, found = pd.factorize(to_categories(frame[column]), use_na_sentinel=True)
            counts = np.bincount(codes[codes >= 0], minlength=len(found))
            order = sorted(
                zip(counts.tolist(), found, strict=True), key=lambda pair: (-pair[0], str(pair[1]))
            )
            names = [str(name) for count, name in order if count >= config.min_frequency][
                : config.max_categories
            ]
            kept.append(names)
            rare.append(len(names) < len(order))
        return cls(columns, kept, rare)

    def encode(self, frame: pd.DataFrame) -> dict[str, Storage]:
        """Return ``categorical`` (N, m) int64."""
        codes = np.zeros((len(frame), len(self.columns)), np.int32)
        for i, column in enumerate(self.columns):
            first = 1 + self.rare[i]
            at = {name: first + k for k, name in enumerate(self.kept[i])}
            found, uniques = pd.factorize(to_categories(frame[column]), use_na_sentinel=True)
            other = 1 if self.rare[i] else 0
            codes[:, i] = np.array([*(at.get(u, other) for u in uniques), 0], np.int32)[found]
        return {"categorical": DenseRows(torch.from_numpy(codes), torch.int64)}

    def layout(self, layout: Layout) -> Layout:
        """Add the columns and their cardinalities to the layout."""
        sizes = tuple(len(k) + 1 + r for k, r in zip(self.kept, self.rare, strict=True))
        return replace(layout, categorical=self.columns, cardinalities=sizes)

    def state(self) -> dict[str, Json]:
        """Return what ``restore`` needs, as JSON."""
        return {"kept": self.kept, "rare": self.rare}

    @classmethod
    def restore(cls, columns: tuple[str, ...], state: Mapping[str, Json]) -> CategoricalColumns:
        """Rebuild from ``state()``."""
        return cls(columns, [list(k) for k in state["kept"]], [bool(r) for r in state["rare"]])
