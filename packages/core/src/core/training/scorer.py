"""A trained model as studies, explanations and serving see it: ``core.targets.scorer.Scorer``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from core.fairness.group_thresholds import decide_by_group
from core.training.prediction import decode_rows, outputs, pooled_features, scores

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from core.backbones.model import Model
    from core.data.types import EncodedRows, Encoder, Layout
    from core.fairness.section import GroupThresholds
    from core.targets.types import Array, Decoded, Labels, Target


@dataclass(frozen=True)
class ModelScorer:
    """A model with its encoder, its recalibration and its thresholds."""

    model: Model
    encoder: Encoder
    target: Target
    rescale: Callable[[Array], Array]
    """Raw scores (N, K) -> recalibrated ones."""
    decisions: dict[str, float] | None
    device: torch.device
    precision: str = "fp32"
    views: int = 1
    batch_size: int = 256
    history: pd.DataFrame | None = None
    """Rows that events may refer to where a call gives no history of its own."""
    by_group: GroupThresholds | None = None
    """Thresholds of single groups: see ``core.fairness.group_thresholds``."""

    def encode(self, frame: pd.DataFrame, history: pd.DataFrame | None = None) -> dict[str, Tensor]:
        """Encode raw rows as the model reads them, raising ValueError with column and row."""
        return self._encoded(frame, history).take(torch.arange(len(frame)))

    def layout(self) -> Layout:
        """Return the layout of the encoded inputs."""
        return self.encoder.layout()

    def column_positions(self) -> dict[str, dict[str, list[int] | None]]:
        """Return where each column stands in them."""
        return self.encoder.column_positions()

    def scores(self, rows: pd.DataFrame | dict[str, Tensor], history: pd.DataFrame | None = None) -> Array:
        """Return the recalibrated scores (N, K) of raw or encoded rows."""
        return self.rescale(self.raw_scores(rows, history))

    def raw_scores(
        self, rows: pd.DataFrame | dict[str, Tensor], history: pd.DataFrame | None = None
    ) -> Array:
        """Return the network's own scores (N, K) of raw or encoded rows."""
        return scores(
            self.model,
            self.target,
            self._rows(rows, history),
            batch_size=self.batch_size,
            device=self.device,
            precision=self.precision,
            views=self.views,
        )

    def decoded(
        self,
        rows: pd.DataFrame | dict[str, Tensor],
        history: pd.DataFrame | None = None,
        likely: Array | None = None,
    ) -> Decoded:
        """Return what predictions keep of the network's own scores, decided by the target's usual rule.

        ``likely`` (N or 1, K or 1): see ``core.training.prediction.decode_rows``.
        """
        return decode_rows(
            self.model,
            self.target,
            self._rows(rows, history),
            batch_size=self.batch_size,
            device=self.device,
            precision=self.precision,
            views=self.views,
            likely=likely,
        )

    def labels(self, scores: Array, groups: Mapping[str, NDArray[np.str_]] | None = None) -> Labels:
        """Decide from scores (N, K) by the run's own thresholds; without groups, by the common ones."""
        return decide_by_group(
            self.target, scores, self.decisions, None if groups is None else self.by_group, groups or {}
        )

    def outputs(self, rows: pd.DataFrame | dict[str, Tensor], history: pd.DataFrame | None = None) -> Array:
        """Return the head's outputs (N, width), of masks (N, width, h, w), before they become probabilities."""
        found = outputs(
            self.model,
            self._rows(rows, history),
            batch_size=self.batch_size,
            device=self.device,
            precision=self.precision,
        )
        return np.asarray(found.double().numpy())

    def features(self, rows: pd.DataFrame | dict[str, Tensor], history: pd.DataFrame | None = None) -> Array:
        """Return the pooled features (N, D) that the head reads."""
        return pooled_features(
            self.model,
            self._rows(rows, history),
            batch_size=self.batch_size,
            device=self.device,
            precision=self.precision,
        )

    def _rows(
        self, rows: pd.DataFrame | dict[str, Tensor], history: pd.DataFrame | None
    ) -> EncodedRows | dict[str, Tensor]:
        return rows if isinstance(rows, dict) else self._encoded(rows, history)

    def _encoded(self, frame: pd.DataFrame, history: pd.DataFrame | None) -> EncodedRows:
        return self.encoder.encode(frame, self.history if history is None else history)
