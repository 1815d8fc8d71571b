"""Numbers: scaled, missing ones flagged, and the quantiles that a piecewise-linear encoding needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from core.data.coercion import to_numbers
from core.data.encoders.storage import DenseRows, Storage
from core.data.types import Layout

if TYPE_CHECKING:
    from core.data.encoder_config import ColumnsEncoderConfig
    from core.data.types import Json

_REFERENCES = 1000
"""Quantiles of the map to a normal distribution (scikit-learn's default)."""
_LEAST_WIDTH = 1e-5
"""Narrowest bin, in standard deviations."""
_EDGE = 1e-7
"""The normal map ends at this probability, as in scikit-learn's QuantileTransformer."""


@dataclass
class NumericColumns:
    """The numeric columns together. n columns."""

    columns: tuple[str, ...]
    scaling: str
    clip_std: float
    bins: int
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    references: list[list[float]]
    edges: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(
        cls, config: ColumnsEncoderConfig, columns: tuple[str, ...], frame: pd.DataFrame
    ) -> NumericColumns:
        """Fit means, deviations (of the population, as StandardScaler does) and quantiles to training rows."""
        values = _read(frame, columns)
        known = ~np.isnan(values)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, values, 0.0).sum(0) / count
        scale = np.sqrt((np.where(known, values - mean, 0.0) ** 2).sum(0) / count)
        scale[scale <= 1e-12 * np.maximum(np.abs(mean), 1.0)] = 1.0
        references: list[list[float]] = []
        if config.numeric == "quantile":
            references = [_references(values[known[:, i], i]) for i in range(len(columns))]
        if config.numeric == "none":
            mean, scale = np.zeros(len(columns)), np.ones(len(columns))
        fitted = cls(columns, config.numeric, config.clip_std, config.bins, mean, scale, references, ())
        scaled = fitted._scaled(values)
        fitted.edges = tuple(_edges(scaled[known[:, i], i], config.bins) for i in range(len(columns)))
        return fitted

    def encode(self, frame: pd.DataFrame) -> dict[str, Storage]:
        """Return ``numeric`` and ``missing``, each (N, n) float32."""
        values = _read(frame, self.columns)
        gone = np.isnan(values)
        scaled = np.where(gone, 0.0, self._scaled(values)).astype(np.float32)
        return {
            "numeric": DenseRows(torch.from_numpy(scaled)),
            "missing": DenseRows(torch.from_numpy(gone.astype(np.uint8)), torch.float32),
        }

    def _scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.scaling == "quantile" and self.references:
            scaled = np.column_stack([_to_normal(values[:, i], r) for i, r in enumerate(self.references)])
        else:
            scaled = (values - self.mean) / self.scale
        return (
            np.clip(scaled, -self.clip_std, self.clip_std)
            if self.clip_std and self.scaling != "none"
            else scaled
        )

    def layout(self, layout: Layout) -> Layout:
        """Add the columns and their bin edges to the layout."""
        return replace(layout, numeric=self.columns, bin_edges=self.edges)

    def state(self) -> dict[str, Json]:
        """Return what ``restore`` needs, as JSON."""
        return {
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "references": self.references,
            "edges": [list(e) for e in self.edges],
        }

    @classmethod
    def restore(
        cls, config: ColumnsEncoderConfig, columns: tuple[str, ...], state: Mapping[str, Json]
    ) -> NumericColumns:
        """Rebuild from ``state()``."""
        return cls(
            columns,
            config.numeric,
            config.clip_std,
            config.bins,
            np.array(state["mean"], dtype=np.float64),
            np.array(state["scale"], dtype=np.float64),
            [list(r) for r in state["references"]],
            tuple(tuple(e) for e in state["edges"]),
        )


def _read(frame: pd.DataFrame, columns: tuple[str, ...]) -> NDArray[np.float64]:
    if not columns:
        return np.zeros((len(frame), 0))
    return np.column_stack([to_numbers(frame[c], c) for c in columns])


def _references(values: NDArray[np.float64]) -> list[float]:
    if not len(values):
        return [0.0, 1.0]
    return [float(q) for q in np.quantile(values, np.linspace(0, 1, min(_REFERENCES, max(len(values), 2))))]


def _edges(scaled: NDArray[np.float64], bins: int) -> tuple[float, ...]:
    """Return distinct quantile edges, at least two, rising."""
    if not len(scaled):
        return (-1.0, 1.0)
    edges = np.unique(np.quantile(scaled, np.linspace(0, 1, bins + 1)))
    # Values that differ by rounding alone are one edge: between them a piece would have no width in float32.
    edges = edges[np.append(True, np.diff(edges) > _LEAST_WIDTH)]
    if len(edges) == 1:
        edges = np.array([edges[0], edges[0] + 1.0])
    return tuple(edges.tolist())


def _to_normal(values: NDArray[np.float64], references: list[float]) -> NDArray[np.float64]:
    """Map values to a standard normal by their quantiles; ties go to the middle of their step."""
    reference = np.array(references)
    at = np.linspace(0, 1, len(reference))
    up = np.interp(values, reference, at)
    down = -np.interp(-values, -reference[::-1], -at[::-1])
    share = np.clip(0.5 * (up + down), _EDGE, 1 - _EDGE)
    return np.asarray(torch.special.ndtri(torch.from_numpy(share)).numpy(), dtype=np.float64)
