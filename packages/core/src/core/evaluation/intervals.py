"""Bootstrap intervals by row or by unit, thousands of resamples at once.

A resample is a row of counts: how often each row was drawn. A metric that can be computed from
counts (see ``Statistic``) takes a whole block of resamples in a few array operations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from core.config import derive_seed
from core.evaluation.section import MetricEstimate
from core.targets.types import Array, Metric, Predictions, Statistic

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
    """Compute each metric of the rows as they are."""
    ones = np.ones((1, len(predictions)))
    computed: dict[str, float] = {}
    for statistic in statistics:
        values = statistic.prepare(predictions)(ones)[0]
        computed.update(zip(statistic.names, (float(v) for v in values), strict=True))
    return computed


def resample(
    statistics: Sequence[Statistic], predictions: Predictions, resamples: int, seed: int
) -> dict[str, Array]:
    """Compute each metric on every resample, (R,); NaN where a resample leaves it undefined."""
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
    """Compute metrics that only take predictions on every resample: rows are repeated as often as they were drawn."""
    samples: dict[str, list[float]] = {name: [] for name in metrics}
    if metrics:
        for weights_RN in resampled_weights(len(predictions), predictions.units, resamples, seed):
            for weights in weights_RN:
                drawn = predictions.take(np.repeat(np.arange(len(weights)), weights.astype(np.int64)))
                for name, metric in metrics.items():
                    samples[name].append(metric(drawn))
    return {name: np.asarray(values, np.float64) for name, values in samples.items()}


def resample_rows(
    values: Callable[[NDArray[np.int64]], Mapping[str, float]],
    n: int,
    units: NDArray[np.str_] | None,
    resamples: int,
    seed: int,
) -> dict[str, Array]:
    """Compute named values of row numbers (repeats allowed) on every resample of n rows, (R,) each."""
    samples: dict[str, list[float]] = {}
    for weights_RN in resampled_weights(n, units, resamples, seed):
        for weights in weights_RN:
            for name, value in values(np.repeat(np.arange(n), weights.astype(np.int64))).items():
                samples.setdefault(name, []).append(value)
    return {name: np.asarray(each, np.float64) for name, each in samples.items()}


def interval(value: float, samples: Array, confidence: float) -> MetricEstimate:
    """Return a metric with its percentile interval (Efron and Tibshirani 1993, chapter 13).

    Undefined resamples are left out and counted; with more than half undefined there is no interval.

    >>> found = interval(0.5, np.linspace(0, 1, 101), 0.9)
    >>> round(found.low, 3), round(found.high, 3), found.resamples
    (0.05, 0.95, 101)
    """
    undefined = int(np.isnan(samples).sum())
    low = high = None
    if len(samples) and undefined <= len(samples) / 2 and np.isfinite(value):
        tail = 100 * (1 - confidence) / 2
        low, high = (float(v) for v in np.nanpercentile(samples, [tail, 100 - tail]))
    return MetricEstimate(
        value=float(value) if np.isfinite(value) else None,
        low=low,
        high=high,
        resamples=len(samples),
        undefined=undefined,
    )


def without_interval(value: float) -> MetricEstimate:
    """Return a metric for which no interval was computed."""
    return MetricEstimate(value=float(value) if np.isfinite(value) else None)


def binomial_interval(
    hits: int, n: int, confidence: float, method: Literal["exact", "wilson"] = "exact"
) -> tuple[float, float]:
    """Compute the interval of a share: exact (Clopper and Pearson 1934) or by the score test (Wilson 1927).

    >>> tuple(round(end, 4) for end in binomial_interval(8, 10, 0.95))
    (0.4439, 0.9748)
    """
    found = binomtest(hits, n).proportion_ci(confidence, method=method)
    return float(found.low), float(found.high)
