"""The trained model as studies, explanations and the verbs of a domain see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from core.data.types import Layout
    from core.targets.types import Array, Labels


class Scorer(Protocol):
    """Rows in, recalibrated scores out, exactly as serving returns them."""

    def encode(self, frame: pd.DataFrame, history: pd.DataFrame | None = None) -> dict[str, Tensor]:
        """Return raw rows encoded as the model reads them; ``history``: rows that events may look back to."""

    def layout(self) -> Layout:
        """Return the layout of the encoded inputs."""

    def column_positions(self) -> dict[str, dict[str, list[int] | None]]:
        """Return where each column stands in them: see ``Encoder.column_positions``."""

    def scores(self, rows: pd.DataFrame | dict[str, Tensor], history: pd.DataFrame | None = None) -> Array:
        """Return the recalibrated scores (N, K) of raw or encoded rows, raising ValueError for none."""

    def labels(self, scores: Array, groups: Mapping[str, NDArray[np.str_]] | None = None) -> Labels:
        """Decide from scores (N, K) by the run's own thresholds; ``groups`` of the rows for those of single groups."""

    def outputs(self, rows: pd.DataFrame | dict[str, Tensor], history: pd.DataFrame | None = None) -> Array:
        """Return the head's outputs (N, width), of masks (N, width, h, w), before they become probabilities."""

    def features(self, rows: pd.DataFrame | dict[str, Tensor], history: pd.DataFrame | None = None) -> Array:
        """Return the pooled features (N, D) that the head reads."""
