"""Bootstrap intervals by row or by unit, thousands of resamples at once.

A resample is a row of counts: how often each row of the part was drawn. A figure that can be computed from
counts (see ``Statistic``) takes a whole block of resamples in a few array operations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from core.config import derive_seed
from core.evaluation.types import Array, Json, Statistic
from core.targets.types import Metric, Predictions

CELLS = 400_000
"""Weights held at once: a block's arrays stay in the processor's cache."""


def resampled_weights(
    n: int, units: NDArray[np.str_] | None, resamples: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Yield blocks (r, n) of bootstrap counts, ``resamples`` rows in all.

    With units, whole units are drawn with replacement (the cluster bootstrap: Field and Welsh 2007), so that
    the rows of one patient stay together. The same arguments give the same counts: pairs can be compared.
    """
    rng = np.random.default_rng(derive_seed(seed, "bootstrap"))
    code = np.arange(n) if units is None else np.unique(units, return_inverse=True)[1]
    drawn = int(code.max()) + 1 if n else 0
    block = max(1, CELLS // max(n, 1))
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        weights_RN = np.empty((count, n))
        for r in range(count):
            weights_RN[r] = np.bincount(rng.integers(drawn, size=drawn), minlength=drawn)[code]
        yield weights_RN


def point(statistics: Sequence[Statistic], predictions: Predictions) -> dict[str, float]:
    """Give each figure of the rows as they are."""
    ones = np.ones((1, len(predictions)))
    figures: dict[str, float] = {}
    for statistic in statistics:
        values = statistic.prepare(predictions)(ones)[0]
        figures.update(zip(statistic.names, (float(v) for v in values), strict=True))
    return figures


def resample(
    statistics: Sequence[Statistic], predictions: Predictions, resamples: int, seed: int
) -> dict[str, Array]:
    """Give each figure on every resample, (R,); NaN where a resample leaves it undefined."""
    prepared = [statistic.prepare(predictions) for statistic in statistics]
    blocks: list[list[Array]] = [[] for _ in statistics]
    for weights_RN in resampled_weights(len(predictions), predictions.units, resamples, seed):
        for kept, weighted in zip(blocks, prepared, strict=True):
            kept.append(weighted(weights_RN))
    samples: dict[str, Array] = {}
    for statistic, kept in zip(statistics, blocks, strict=True):
        values_RK = np.concatenate(kept) if kept else np.empty((0, len(statistic.names)))
        samples.update({name: values_RK[:, k] for k, name in enumerate(statistic.names)})
    return samples


def resample_metrics(
    metrics: Mapping[str, Metric], predictions: Predictions, resamples: int, seed: int
) -> dict[str, Array]:
    """The same for metrics that only take predictions: rows are repeated as often as they were drawn."""
    samples: dict[str, list[float]] = {name: [] for name in metrics}
    if metrics:
        for weights_RN in resampled_weights(len(predictions), predictions.units, resamples, seed):
            for weights in weights_RN:
                drawn = predictions.take(np.repeat(np.arange(len(weights)), weights.astype(np.int64)))
                for name, metric in metrics.items():
                    samples[name].append(metric(drawn))
    return {name: np.asarray(values, np.float64) for name, values in samples.items()}


def interval(value: float, samples: Array, confidence: float) -> dict[str, Json]:
    """Percentile interval (Efron and Tibshirani 1993, chapter 13) of a figure, ready for JSON.

    Undefined resamples are left out and counted; with more than half undefined there is no interval.
    """
    undefined = int(np.isnan(samples).sum())
    low = high = None
    if len(samples) and undefined <= len(samples) / 2 and np.isfinite(value):
        tail = 100 * (1 - confidence) / 2
        low, high = (float(v) for v in np.nanpercentile(samples, [tail, 100 - tail]))
    return {
        "value": float(value) if np.isfinite(value) else None,
        "low": low,
        "high": high,
        "resamples": len(samples),
        "undefined": undefined,
    }


def without_interval(value: float) -> dict[str, Json]:
    """A figure for which no interval was made."""
    return {"value": float(value) if np.isfinite(value) else None, "low": None, "high": None}
