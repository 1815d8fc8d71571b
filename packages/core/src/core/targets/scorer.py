"""The trained model as those see it who only ask it questions: studies, explanations, the verbs of a domain."""

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
    """Rows in, recalibrated scores out, exactly as serving gives them."""

    def encode(self, frame: pd.DataFrame, history: pd.DataFrame | None = None) -> dict[str, Tensor]:
        """Encode raw rows as the model reads them; ``history``: rows that events may look back to."""

    def layout(self) -> Layout:
        """Describe the encoded inputs."""

    def column_positions(self) -> dict[str, dict[str, list[int] | None]]:
        """Say where each column stands in them: see ``Encoder.places``."""

    def scores(self, rows: pd.DataFrame | dict[str, Tensor], history: pd.DataFrame | None = None) -> Array:
        """Give the recalibrated scores (N, K) of raw or encoded rows, raising ValueError for none."""

    def labels(self, scores: Array, groups: Mapping[str, NDArray[np.str_]] | None = None) -> Labels:
        """Decide from scores (N, K) by the run's own thresholds; ``groups`` of the rows for those of single groups."""

    def outputs(self, rows: pd.DataFrame | dict[str, Tensor], history: pd.DataFrame | None = None) -> Array:
        """Give the head's outputs (N, width), of masks (N, width, h, w), before they become probabilities."""

    def features(self, rows: pd.DataFrame | dict[str, Tensor], history: pd.DataFrame | None = None) -> Array:
        """Give the pooled features (N, D) that the head reads."""
