"""Models whose explanations are known, and scorers over them, for the tests of explanations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from core.data.config import ColumnsEncoderConfig
from core.data.encoders.columns import ColumnsEncoder
from core.data.types import ColumnRoles, Layout
from core.explanation.aggregate import TextAlignment
from core.explanation.masker import Masker
from core.targets.regression import RegressionTarget


@dataclass
class CountingScorer:
    """A scorer without recalibration, which counts the rows it was asked for."""

    model: nn.Module
    encoder: ColumnsEncoder
    calls: int = field(default=0)

    def encode(self, frame: pd.DataFrame, history: pd.DataFrame | None = None) -> dict[str, Tensor]:
        return self.encoder.encode(frame, history).take(torch.arange(len(frame)))

    def layout(self) -> Layout:
        return self.encoder.layout()

    def column_positions(self) -> dict[str, dict[str, list[int] | None]]:
        return self.encoder.column_positions()

    def outputs(self, rows: Any, history: Any = None) -> np.ndarray:
        self.calls += len(next(iter(rows.values())))
        with torch.no_grad():
            return np.asarray(self.model.eval()(rows).double().numpy())

    def scores(self, rows: Any, history: Any = None) -> np.ndarray:
        raise AssertionError("explanations ask for outputs")

    labels = features = scores


VALUE = RegressionTarget("y")
"""A target whose explained output is the model's output itself."""


def fitted(
    frame: pd.DataFrame, roles: ColumnRoles, config: ColumnsEncoderConfig | None = None
) -> ColumnsEncoder:
    encoder = ColumnsEncoder(config or ColumnsEncoderConfig(), roles)
    encoder.fit(frame)
    return encoder


def masker_of(model: nn.Module, encoder: ColumnsEncoder, frame: pd.DataFrame, **changes: int) -> Masker:
    given = {"patches": 4, "segments": 5, "num_references": 4} | changes
    return Masker.from_frame(CountingScorer(model, encoder), frame, encoder.roles.text, **given)  # type: ignore[arg-type]


def alignment_of(encoder: ColumnsEncoder) -> TextAlignment:
    return TextAlignment(encoder.token_offsets, encoder.tfidf_matrix)
