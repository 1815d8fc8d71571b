"""Models whose explanations are known, and scorers over them, for the tests of explanations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from core.data.config import FieldsConfig
from core.data.encoders.fields import FieldsEncoder
from core.data.types import Fields, Layout
from core.explanation.assign import Reading
from core.explanation.cases import Cases


@dataclass
class Asked:
    """A scorer without recalibration."""

    model: nn.Module
    encoder: FieldsEncoder
    calls: int = field(default=0)

    def encode(self, frame: pd.DataFrame, history: pd.DataFrame | None = None) -> dict[str, Tensor]:
        return self.encoder.prepare(frame, history).take(torch.arange(len(frame)))

    def layout(self) -> Layout:
        return self.encoder.layout()

    def places(self) -> dict[str, dict[str, list[int] | None]]:
        return self.encoder.places()

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


def fitted(frame: pd.DataFrame, fields: Fields, config: FieldsConfig | None = None) -> FieldsEncoder:
    encoder = (config or FieldsConfig()).build(fields)
    encoder.fit(frame)
    return encoder


def cut(model: nn.Module, encoder: FieldsEncoder, frame: pd.DataFrame, **changes: int) -> Cases:
    given = {"patches": 4, "stretches": 5, "references": 4} | changes
    return Cases.of(Asked(model, encoder), frame, encoder.fields.text, **given)  # type: ignore[arg-type]


def reading(encoder: FieldsEncoder) -> Reading:
    return Reading(encoder.spans, encoder.grams)
