"""Handcrafted features of images and signals, for classical models."""

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
    """Describe images (B, C, H, W) in 0..255 by gradient histograms, color histograms and a thumbnail.

    Histograms of oriented gradients (Dalal and Triggs 2005) on an 8 x 8 grid whatever the image's size, each
    cell normalized by its 3 x 3 neighborhood; 8 x 8 mean colors and 4 x 4 deviations; the square roots (so
    that distances are Hellinger's) of 16 brightness bins a channel, and for color images of 12 hues by
    saturation and of 6 x 6 x 6 joint colors. (B, D) float32.
    """
    x: NDArray[np.float32] = images_BCHW.astype(np.float32) / np.float32(255)
    b, c, _, _ = x.shape
    level = np.minimum((x * 16).astype(np.int64), 15) + 16 * np.arange(c)[:, None, None]
    coarse = _pooled(x * x, 4) - _pooled(x, 4) ** 2
    blocks = [
        _gradients(x.mean(axis=1)),
        np.sqrt(_counted(level, 16 * c)),
        _pooled(x, CELLS).reshape(b, -1),
        np.sqrt(np.maximum(coarse, 0)).reshape(b, -1),
    ]
    if c == 3:  # hue and joint colors tell skin and signs apart better than three brightnesses
        blocks.append(np.sqrt(_hues(x)))
        joint = np.minimum((x * 6).astype(np.int64), 5)
        blocks.append(np.sqrt(_counted(joint[:, 0] * 36 + joint[:, 1] * 6 + joint[:, 2], 216)))
    return np.concatenate(blocks, axis=1).astype(np.float32)


def _counted(code: NDArray[np.int64], bins: int, weight: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """Histogram of each image's codes, (B, bins), as shares of its values (of its pixels, when weighted)."""
    b = len(code)
    flat = code.reshape(b, -1)
    place = (flat + bins * np.arange(b)[:, None]).ravel()
    weights = None if weight is None else weight.reshape(-1)
    return np.bincount(place, weights, bins * b).reshape(b, bins) / max(1, flat.shape[1])


def _gradients(gray_BHW: NDArray[np.float32]) -> Features:
    b, h, w = gray_BHW.shape
    down, across = np.gradient(gray_BHW, axis=1), np.gradient(gray_BHW, axis=2)
    size = np.hypot(down, across)
    place = np.arctan2(down, across) * (ANGLES / np.pi)
    lower = np.floor(place)
    share = place - lower
    below = lower.astype(np.int64) % ANGLES
    rows, columns = np.arange(h) * CELLS // h, np.arange(w) * CELLS // w
    cell = (rows[:, None] * CELLS + columns[None, :]) * ANGLES
    bins = CELLS * CELLS * ANGLES
    # each gradient is divided between the two directions nearest to it
    counted = _counted(cell + below, bins, size * (1 - share))
    counted += _counted(cell + (below + 1) % ANGLES, bins, size * share)
    histogram = counted.reshape(b, CELLS, CELLS, ANGLES)
    energy = np.pad((histogram**2).sum(axis=-1), ((0, 0), (1, 1), (1, 1)))
    around = sum(energy[:, i : i + CELLS, j : j + CELLS] for i in range(3) for j in range(3))
    normed = histogram / np.sqrt(around + 1e-12)[..., None]
    return normed.reshape(b, -1).astype(np.float32)


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


def _hues(x_BCHW: NDArray[np.float32]) -> NDArray[np.float64]:
    """12 hue bins, each pixel counting by its saturation."""
    red, green, blue = x_BCHW[:, 0], x_BCHW[:, 1], x_BCHW[:, 2]
    high, low = x_BCHW.max(axis=1), x_BCHW.min(axis=1)
    saturation = (high - low) / np.maximum(high, 1e-6)
    hue = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue) % (2 * np.pi)
    return _counted(np.minimum((hue * (12 / (2 * np.pi))).astype(np.int64), 11), 12, saturation)


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
