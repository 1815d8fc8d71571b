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


@dataclass
class Asked:
    """A scorer without recalibration."""

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


class Kind:
    """The target of a kind, as far as questions read it."""

    def __init__(self, kind: str, classes: tuple[str, ...]) -> None:
        self.kind, self.classes = kind, classes

    def scores(self, outputs: Tensor) -> Tensor:
        return outputs.float() if self.kind == "regression" else torch.softmax(outputs.float(), dim=1)


VALUE = Kind("regression", ())


def fitted(frame: pd.DataFrame, roles: ColumnRoles, config: ColumnsEncoderConfig | None = None) -> ColumnsEncoder:
    encoder = (config or ColumnsEncoderConfig()).build(roles)
    encoder.fit(frame)
    return encoder


def cut(model: nn.Module, encoder: ColumnsEncoder, frame: pd.DataFrame, **changes: int) -> Masker:
    given = {"patches": 4, "stretches": 5, "references": 4} | changes
    return Masker.of(Asked(model, encoder), frame, encoder.roles.text, **given)  # type: ignore[arg-type]


def reading(encoder: ColumnsEncoder) -> TextAlignment:
    return TextAlignment(encoder.token_offsets, encoder.tfidf_matrix)
