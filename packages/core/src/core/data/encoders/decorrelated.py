"""An encoder whose numeric columns are first decorrelated from the groups of an attribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.coercion import to_numbers
from core.data.encoders.columns import ColumnsEncoder
from core.data.groups import Groups

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from torch import Tensor

    from core.data.types import EncodedRows, Encoder, Json, Layout, TokenOffsets


class DecorrelatedEncoder:
    """x - weight * (s - mean s) slopes, for n numeric columns x and indicators s of the groups.

    It needs the attributes' columns in every table it encodes. ``core.fairness.correlation_removal`` fits the slopes.
    """

    def __init__(
        self,
        inner: Encoder,
        columns: tuple[str, ...],
        attributes: tuple[str, ...],
        groups: Groups,
        fitted: Mapping[str, Json],
        weight: float,
    ) -> None:
        """Wrap an encoder; ``fitted``: names of the indicators, their means and slopes (indicators, n)."""
        self.inner, self.columns, self.attributes, self.groups = inner, columns, attributes, groups
        self.fitted, self.weight = dict(fitted), weight

    def indicators(self, frame: pd.DataFrame) -> tuple[NDArray[np.float64], list[str]]:
        """Return a 0/1 column for each group of each attribute, and their names; ValueError for a missing attribute."""
        missing = [name for name in self.attributes if name not in frame]
        if missing:
            raise ValueError(
                f"column {missing[0]!r}: not in the table; the run removes what correlates with it from its inputs "
                "(fairness=decorrelate), so it must be known of every row"
            )
        named = self.groups.names(frame)
        names = [(a, group) for a in self.attributes for group in self.groups.categories(a)]
        shown = np.column_stack([named[a] == group for a, group in names]).astype(np.float64)
        return shown, [f"{a}: {group}" for a, group in names]

    def decorrelate(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows with decorrelated numeric columns."""
        shown, _ = self.indicators(frame)
        centered = shown - np.array(self.fitted["means"])
        values = read_numbers(frame, self.columns) - self.weight * (
            centered @ np.array(self.fitted["slopes"])
        )
        return frame.assign(**{column: values[:, n] for n, column in enumerate(self.columns)})

    def fit(self, frame: pd.DataFrame) -> None:
        """Fit the encoder to training rows as it will see them."""
        self.inner.fit(self.decorrelate(frame))

    def transform(self, frame: pd.DataFrame) -> dict[str, Tensor]:
        """Encode rows, raising ValueError that names column and row where a value can't be read."""
        return self.inner.transform(self.decorrelate(frame))

    def encode(self, frame: pd.DataFrame, history: pd.DataFrame | None = None) -> EncodedRows:
        """Encode rows once; ``history``, too, is decorrelated."""
        return self.inner.encode(
            self.decorrelate(frame), None if history is None else self.decorrelate(history)
        )

    def layout(self) -> Layout:
        """Describe the tensors for a backbone."""
        return self.inner.layout()

    def derived_features(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Compute the numbers derived from texts, which are not changed."""
        return self.inner.derived_features(frame)

    def column_positions(self) -> dict[str, dict[str, list[int] | None]]:
        """Return column -> input -> the column's indices along the input's last dimension."""
        return self.inner.column_positions()

    def token_offsets(self, frame: pd.DataFrame) -> list[list[TokenOffsets | None]]:
        """Return the characters that each token of a row stands on."""
        return self.inner.token_offsets(frame)

    def tfidf_matrix(self, texts: Sequence[str]) -> csr_matrix:
        """Compute the TF-IDF features of plain texts, (n, V)."""
        return self.inner.tfidf_matrix(texts)

    def state(self) -> dict[str, Json]:
        """Return everything that ``restore_encoder`` needs, as JSON."""
        return {
            "decorrelated": {
                "columns": list(self.columns),
                "attributes": list(self.attributes),
                "groups": self.groups.state(),
                "taken": self.fitted,
                "strength": self.weight,
            },
            "encoder": self.inner.state(),
        }


def restore_encoder(state: Mapping[str, Json]) -> Encoder:
    """Rebuild a fitted encoder, decorrelated or not, from its ``state()``; its tensors are bit-identical."""
    if "decorrelated" not in state:
        return ColumnsEncoder.restore(state)
    about = state["decorrelated"]
    return DecorrelatedEncoder(
        ColumnsEncoder.restore(state["encoder"]),
        tuple(about["columns"]),
        tuple(about["attributes"]),
        Groups.restore(about["groups"]),
        about["taken"],
        about["strength"],
    )


def read_numbers(frame: pd.DataFrame, columns: tuple[str, ...]) -> NDArray[np.float64]:
    """Read numeric columns, (N, n); NaN where missing."""
    return np.column_stack([to_numbers(frame[c], c) for c in columns])
