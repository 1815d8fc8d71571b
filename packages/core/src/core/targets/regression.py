"""A number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from core.targets import metrics as m
from core.targets.labels import refuse_unlabelled, require_columns, single_column

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from core.data.types import ColumnRoles, Json
    from core.targets.config import RegressionOption
    from core.targets.types import Labels, Metric


@dataclass
class RegressionTarget:
    """A number, learnt on a scale of mean 0 and deviation 1 and given back in its own units."""

    column: str
    mean: float = 0.0
    deviation: float = 1.0
    log: bool = False
    loss: str = "squared"
    select: str | None = None
    explanation: str = ""
    kind: str = "regression"
    reads: str = "pooled"

    @property
    def width(self) -> int:
        """One output."""
        return 1

    classes: tuple[str, ...] = ()

    @classmethod
    def fit(cls, frame: pd.DataFrame, roles: ColumnRoles, settings: RegressionOption) -> RegressionTarget:
        """Read the scale from training rows, raising ValueError for texts, constants, or negatives on a log scale."""
        column = single_column(frame, roles, "regression")
        values = _numbers(frame.dropna(subset=[column]), column)
        if len(values) < 2 or values.min() == values.max():
            raise ValueError(
                f"target column {column!r} is constant in the training rows; there is nothing to learn"
            )
        log = settings.scale == "log"
        if log and values.min() < 0:
            raise ValueError(f"target.scale='log': column {column!r} has negative values; use standard")
        scaled = np.log1p(values) if log else values
        kept = settings.scale == "none"
        target = cls(
            column,
            0.0 if kept else float(scaled.mean()),
            1.0 if kept else float(scaled.std()),
            log,
            settings.loss,
            settings.select,
            f"Column {column!r} runs from {values.min():g} to {values.max():g} in the training rows.",
        )
        target.metrics()
        return target

    def encode(self, frame: pd.DataFrame) -> Tensor:
        """Read each row's number in its own units, float32 (B,); ValueError names column, row and value."""
        require_columns(frame, (self.column,))
        refuse_unlabelled(frame, self.column, frame[self.column].isna().to_numpy())
        return torch.from_numpy(_numbers(frame, self.column).astype(np.float32))

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give each example's loss (B,) on the learnt scale; squared is halved, so that Huber joins it near 0."""
        raw_B = torch.log1p(targets) if self.log else targets
        truth_B = (raw_B - self.mean) / self.deviation
        outputs_B = outputs.float().squeeze(-1)
        if self.loss == "absolute":
            return functional.l1_loss(outputs_B, truth_B, reduction="none")
        if self.loss == "huber":
            return functional.huber_loss(outputs_B, truth_B, reduction="none")
        return 0.5 * functional.mse_loss(outputs_B, truth_B, reduction="none")

    def scores(self, outputs: Tensor) -> Tensor:
        """Turn outputs (B, 1) into numbers in the answer's units (B, 1)."""
        values_B1 = outputs.float() * self.deviation + self.mean
        return torch.expm1(values_B1) if self.log else values_B1

    def labels(self, scores: NDArray[np.float64], thresholds: Mapping[str, float] | None = None) -> Labels:
        """Give the numbers (N,); a regression has no thresholds."""
        assert not thresholds, "a regression has no thresholds"
        return scores[:, 0]

    def truth(self, targets: Tensor) -> Labels:
        """Bring encoded answers into the shape of ``labels``, (N,) float64."""
        return targets.cpu().numpy().astype(np.float64)

    def metrics(self) -> dict[str, Metric]:
        """Name the figures; the first selects models."""
        return m.selected_first({"rmse": m.rmse, "mae": m.mae, "r2": m.r2}, self.select)

    def state(self) -> dict[str, Json]:
        """Give all that ``core.targets.restore`` needs, as JSON."""
        return {**asdict(self), "classes": []}

    @classmethod
    def from_state(cls, state: dict[str, Json]) -> RegressionTarget:
        """Make the target again from its state."""
        return cls(**state | {"classes": ()})


def _numbers(frame: pd.DataFrame, column: str) -> NDArray[np.float64]:
    read = pd.to_numeric(frame[column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    bad = ~np.isfinite(read)
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"column {column!r}, row {frame.index[row]}: {str(frame[column].iloc[row])!r} is no finite "
            "number; a regression needs numbers"
        )
    return read
