"""An encoder whose numeric columns first lose what correlates with the groups of an attribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.data.coercion import to_numbers

if TYPE_CHECKING:
    from torch import Tensor

    from core.data.encoders.columns import ColumnsEncoder
    from core.data.types import TokenOffsets
    from core.data.groups import Groups
    from core.data.types import Json, Layout, EncodedRows


class DecorrelatedEncoder:
    """x - strength * (s - mean s) slopes, for n numeric columns x and indicators s of the groups.

    It needs the attributes' columns in every table it encodes. Slopes are fitted by ``core.fairness.correlation_removal``.
    """

    def __init__(
        self,
        inner: ColumnsEncoder,
        columns: tuple[str, ...],
        attributes: tuple[str, ...],
        groups: Groups,
        taken: Mapping[str, Json],
        strength: float,
    ) -> None:
        """``taken``: names of the indicators, their means and slopes (indicators, n)."""
        self.inner, self.columns, self.attributes, self.groups = inner, columns, attributes, groups
        self.taken, self.strength = dict(taken), strength

    def indicators(self, frame: pd.DataFrame) -> tuple[NDArray[np.float64], list[str]]:
        """Give a 0/1 column for each group of each attribute, and their names; ValueError for a missing attribute."""
        missing = [name for name in self.attributes if name not in frame]
        if missing:
            raise ValueError(
                f"column {missing[0]!r}: not in the table; the run takes what correlates with it from its inputs "
                "(fairness=decorrelate), so it must be known of every row"
            )
        named = self.groups.names(frame)
        names = [(a, group) for a in self.attributes for group in self.groups.categories(a)]
        shown = np.column_stack([named[a] == group for a, group in names]).astype(np.float64)
        return shown, [f"{a}: {group}" for a, group in names]

    def removed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Give the rows with decorrelated numeric columns."""
        shown, _ = self.indicators(frame)
        centred = shown - np.array(self.taken["means"])
        values = read_numbers(frame, self.columns) - self.strength * (
            centred @ np.array(self.taken["slopes"])
        )
        return frame.assign(**{column: values[:, n] for n, column in enumerate(self.columns)})

    def fit(self, frame: pd.DataFrame) -> None:
        """Fit the encoder on training rows as it will see them."""
        self.inner.fit(self.removed(frame))

    def transform(self, frame: pd.DataFrame) -> dict[str, Tensor]:
        """Encode rows, raising ValueError that names column and row where a value can't be read."""
        return self.inner.transform(self.removed(frame))

    def encode(self, frame: pd.DataFrame, history: pd.DataFrame | None = None) -> EncodedRows:
        """Encode rows once; ``history``, too, is decorrelated."""
        return self.inner.prepare(self.removed(frame), None if history is None else self.removed(history))

    def layout(self) -> Layout:
        """Describe the tensors for a backbone."""
        return self.inner.layout()

    def derived_features(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Give the numbers made from texts, which are not changed."""
        return self.inner.derived_features(frame)

    def column_positions(self) -> dict[str, dict[str, list[int] | None]]:
        """Say where an input column stands."""
        return self.inner.column_positions()

    def token_offsets(self, frame: pd.DataFrame) -> list[list[TokenOffsets | None]]:
        """Say where in the texts each token of a row stands."""
        return self.inner.spans(frame)

    def tfidf_matrix(self, texts: Sequence[str]) -> Any:
        """Tell which features of the bag plain texts have."""
        return self.inner.tfidf_matrix(texts)

    def state(self) -> dict[str, Json]:
        """Give everything that ``core.data.encoders.restore`` needs, as JSON."""
        return {
            "decorrelated": {
                "columns": list(self.columns),
                "attributes": list(self.attributes),
                "groups": self.groups.state(),
                "taken": self.taken,
                "strength": self.strength,
            },
            "encoder": self.inner.state(),
        }


def read_numbers(frame: pd.DataFrame, columns: tuple[str, ...]) -> NDArray[np.float64]:
    """Read numeric columns, (N, n); NaN where missing."""
    return np.column_stack([to_numbers(frame[c], c) for c in columns])
