"""Sampled signals: one length, one scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from core.data.encoders.storage import DenseRows, Storage
from core.data.types import Layout

if TYPE_CHECKING:
    from core.data.encoder_config import SignalEncoding
    from core.data.types import Json


@dataclass
class SignalColumn:
    """The signal column. C channels, T samples."""

    column: str
    channels: int
    length: int
    length_mode: str
    scaling: str
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    """Each (C,), of all training samples; used with ``train`` scaling."""

    @classmethod
    def fit(cls, config: SignalEncoding, column: str, frame: pd.DataFrame) -> SignalColumn:
        """Fit length, channels, and each channel's mean and deviation to training rows."""
        arrays = [_array(v, row, column) for row, v in frame[column].items()]
        channels = arrays[0].shape[0]
        length = config.length or max(a.shape[1] for a in arrays)
        fitted = cls(
            column,
            channels,
            length,
            config.fit,
            config.scale,
            np.zeros(channels),
            np.ones(channels),
        )
        for row, array in zip(frame.index, arrays, strict=True):
            fitted._check_channels(array, row)
        samples = np.concatenate(arrays, axis=1)
        fitted.mean, deviation = samples.mean(1), samples.std(1)
        fitted.scale = np.where(deviation > 0, deviation, 1.0)
        return fitted

    def encode(self, frame: pd.DataFrame) -> dict[str, Storage]:
        """Return ``signal`` (N, C, T) float32."""
        rows = np.zeros((len(frame), self.channels, self.length), np.float32)
        for i, (row, value) in enumerate(frame[self.column].items()):
            array = _array(value, row, self.column)
            self._check_channels(array, row)
            if self.scaling == "train":
                array = (array - self.mean[:, None]) / self.scale[:, None]
            elif self.scaling == "row":
                deviation = array.std(1, keepdims=True)
                array = (array - array.mean(1, keepdims=True)) / np.where(deviation > 0, deviation, 1.0)
            if self.length_mode == "resample":
                array = _resampled(array, self.length)
            rows[i, :, : array.shape[1]] = array[:, : self.length]
        return {"signal": DenseRows(torch.from_numpy(rows))}

    def _check_channels(self, array: NDArray[np.float64], row: object) -> None:
        if array.shape[0] != self.channels:
            raise ValueError(
                f"column {self.column!r}, row {row}: {array.shape[0]} channels, but training had {self.channels}"
            )

    def layout(self, layout: Layout) -> Layout:
        """Add channels and samples to the layout."""
        return replace(layout, signal=(self.channels, self.length))

    def state(self) -> dict[str, Json]:
        """Return what ``restore`` needs, as JSON."""
        return {
            "channels": self.channels,
            "length": self.length,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def restore(cls, config: SignalEncoding, column: str, state: Mapping[str, Json]) -> SignalColumn:
        """Rebuild from ``state()``."""
        return cls(
            column,
            state["channels"],
            state["length"],
            config.fit,
            config.scale,
            np.array(state["mean"], dtype=np.float64),
            np.array(state["scale"], dtype=np.float64),
        )


def _array(value: object, row: object, column: str) -> NDArray[np.float64]:
    """Read one signal as (C, T), from (T,) or (T, C)."""
    try:
        array = np.asarray(
            [np.asarray(v, dtype=np.float64) for v in value]
            if isinstance(value, np.ndarray) and value.dtype == object
            else value,
            dtype=np.float64,
        )
    except (ValueError, TypeError) as error:
        raise ValueError(f"column {column!r}, row {row}: not an array of numbers ({error})") from error
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(
            f"column {column!r}, row {row}: a signal has shape (T,) or (T, C), this one {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"column {column!r}, row {row}: a sample is infinite or not a number")
    return array[None] if array.ndim == 1 else array.T


def _resampled(array: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Interpolate linearly to a length, first and last sample kept."""
    if array.shape[1] == length:
        return array
    at = np.linspace(0, array.shape[1] - 1, length)
    return np.stack([np.interp(at, np.arange(array.shape[1]), channel) for channel in array])
