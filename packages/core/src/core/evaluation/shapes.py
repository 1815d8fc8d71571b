"""Hand-made features of images and signals, for classical models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]

CELLS, ANGLES = 8, 9
"""Cells a side, and unsigned directions a cell, of the gradient histograms."""
POINTS, BANDS = 64, 8
"""Points that a signal is resampled to, and frequency bands whose power is summed."""


def image_features(images_BCHW: NDArray[Any]) -> Features:
    """Describe images (B, C, H, W) in 0..255 by gradient histograms, colour histograms and a small picture.

    Histograms of oriented gradients (Dalal and Triggs 2005) on an 8 x 8 grid whatever the image's size, each
    cell normalised by its 3 x 3 neighbourhood; 16 brightness bins a channel; 8 x 8 mean colours and 4 x 4
    deviations. (B, D) float32.
    """
    x: NDArray[np.float32] = images_BCHW.astype(np.float32) / np.float32(255)
    b, c, _, _ = x.shape
    grey = x.mean(axis=1)
    blocks = [_gradients(grey)]
    level = np.clip((x * 16).astype(np.int64), 0, 15).reshape(b, c, -1)
    blocks.append(np.stack([(level == k).mean(axis=2) for k in range(16)], axis=2).reshape(b, -1))
    blocks.append(_pooled(x, CELLS).reshape(b, -1))
    coarse = _pooled(x * x, 4) - _pooled(x, 4) ** 2
    blocks.append(np.sqrt(np.maximum(coarse, 0)).reshape(b, -1))
    if c == 3:  # hue and saturation tell skin and signs apart better than three brightnesses
        blocks.append(_chroma(x))
    return np.concatenate(blocks, axis=1).astype(np.float32)


def _gradients(grey_BHW: NDArray[np.float32]) -> Features:
    down = np.gradient(grey_BHW, axis=1)
    across = np.gradient(grey_BHW, axis=2)
    size = np.hypot(down, across)
    place = (np.arctan2(down, across) % np.pi) * (ANGLES / np.pi)
    lower = np.floor(place)
    share = place - lower
    cells = []
    for k in range(ANGLES):  # each gradient is divided between the two directions nearest to it
        weight = np.where(lower % ANGLES == k, 1 - share, 0) + np.where((lower + 1) % ANGLES == k, share, 0)
        cells.append(_pooled((size * weight)[:, None], CELLS)[:, 0])
    histogram = np.stack(cells, axis=-1)
    energy = np.pad((histogram**2).sum(axis=-1), ((0, 0), (1, 1), (1, 1)))
    around = sum(energy[:, i : i + CELLS, j : j + CELLS] for i in range(3) for j in range(3))
    return np.asarray((histogram / np.sqrt(around + 1e-6)[..., None]).reshape(len(grey_BHW), -1), np.float32)


def _pooled(x_BCHW: NDArray[np.float32], cells: int) -> NDArray[np.float32]:
    """Average over a grid of cells x cells regions, (B, C, cells, cells), of any image at least that large."""
    h, w = x_BCHW.shape[2:]
    if min(h, w) < cells:
        repeat = -(-cells // min(h, w))
        x_BCHW = x_BCHW.repeat(repeat, axis=2).repeat(repeat, axis=3)
        h, w = x_BCHW.shape[2:]
    rows, columns = np.arange(cells) * h // cells, np.arange(cells) * w // cells
    total = np.add.reduceat(np.add.reduceat(x_BCHW, rows, axis=2), columns, axis=3)
    area = np.diff(np.append(rows, h))[:, None] * np.diff(np.append(columns, w))[None, :]
    return np.asarray(total / area, np.float32)


def _chroma(x_BCHW: NDArray[np.float32]) -> Features:
    """12 hue bins weighted by saturation, and 8 saturation bins."""
    red, green, blue = x_BCHW[:, 0], x_BCHW[:, 1], x_BCHW[:, 2]
    high, low = x_BCHW.max(axis=1), x_BCHW.min(axis=1)
    saturation = (high - low) / np.maximum(high, 1e-6)
    hue = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue) % (2 * np.pi)
    bins = np.clip((hue * (12 / (2 * np.pi))).astype(np.int64), 0, 11)
    level = np.clip((saturation * 8).astype(np.int64), 0, 7)
    hues = [((bins == k) * saturation).mean(axis=(1, 2)) for k in range(12)]
    return np.stack([*hues, *((level == k).mean(axis=(1, 2)) for k in range(8))], axis=1).astype(np.float32)


def signal_features(signals_BCT: NDArray[Any]) -> Features:
    """Describe signals (B, C, T) by their course, their distribution, their spectrum and their rhythm.

    64 points of the course; mean, deviation, extremes and where they lie, mean slope; log power in 8 bands;
    the lag of the highest autocorrelation after the first trough. (B, C * 79) float32, channels apart.
    """
    x = signals_BCT.astype(np.float64)
    b, c, t = x.shape
    at = np.linspace(0, t - 1, POINTS)
    left = np.floor(at).astype(np.int64)
    right = np.minimum(left + 1, t - 1)
    course = x[..., left] * (1 - (at - left)) + x[..., right] * (at - left)
    step = np.diff(x, axis=2) if t > 1 else np.zeros((b, c, 1))
    summary = [
        x.mean(2),
        x.std(2),
        x.max(2),
        x.min(2),
        x.argmax(2) / t,
        x.argmin(2) / t,
        np.abs(step).mean(2),
    ]
    power = np.abs(np.fft.rfft(x - x.mean(axis=2, keepdims=True), n=2 * t, axis=2)) ** 2
    bands = [np.log1p(band.sum(axis=2)) for band in np.array_split(power, BANDS, axis=2)]
    columns = [course, np.stack(summary, axis=2), np.stack(bands, axis=2), _lag(power, t)[..., None]]
    return np.concatenate(columns, axis=2).reshape(b, -1).astype(np.float32)


def _lag(power_BCF: NDArray[np.float64], t: int) -> NDArray[np.float64]:
    """Share of the length after which a signal is most like itself again (0 where it never dips)."""
    likeness = np.fft.irfft(power_BCF, axis=2)[..., :t]  # Wiener-Khinchin; zero-padded, so not circular
    dipped = np.maximum.accumulate(likeness < 0, axis=2)
    after = np.where(dipped, likeness, -np.inf)
    return np.where(dipped.any(axis=2), after.argmax(axis=2), 0) / t
