"""Held-out rows asked again with altered inputs, and figures of the answers with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from core.config import derive_seed
from core.targets.bootstrap_metrics import mean_defined, ratio
from core.evaluation.intervals import interval, resampled_weights
from core.evaluation.types import Array, Json
from core.targets.types import Predictions

if TYPE_CHECKING:
    from torch import Tensor

    from core.evaluation.study import EvaluationContext


@dataclass(frozen=True)
class Summed:
    """A figure that needs only the weighted sums of some columns of the predictions."""

    name: str
    words: str
    """The name for a reader."""
    columns: Callable[[Predictions], Array]
    """(N, C)"""
    combine: Callable[[Array], Array]
    """Sums (R, C) -> the figure (R,); NaN where it is undefined."""


def headline(kind: str) -> Summed:
    """Give the figure that a kind of answer is judged by here: mean IoU for masks, accuracy for classes.

    Raises ValueError for other kinds.
    """
    if kind == "mask":
        return Summed("miou", "mean IoU", lambda p: p.counts().reshape(len(p), -1).astype(np.float64), _miou)
    if kind in ("binary", "multiclass", "ordinal"):
        return Summed("accuracy", "accuracy", _right, lambda sums: ratio(sums[:, 0], sums[:, 1]))
    raise ValueError(f"a {kind} target has no accuracy to be spoilt; leave this study out")


def _right(p: Predictions) -> Array:
    return np.column_stack([np.asarray(p.labels == p.targets, np.float64), np.ones(len(p))])


def _miou(sums: Array) -> Array:
    size = round(sums.shape[1] ** 0.5)
    table = sums.reshape(-1, size, size)
    hit = np.diagonal(table, axis1=1, axis2=2)
    return mean_defined(ratio(hit, table.sum(axis=1) + table.sum(axis=2) - hit))


def sample(held: EvaluationContext, rows: int, use: str) -> NDArray[np.int64]:
    """Choose up to so many rows of the test part at random, in their order."""
    n = len(held.parts["test"])
    rng = np.random.default_rng(derive_seed(held.seed, use, "rows"))
    return np.sort(rng.permutation(n)[:rows])


def repredict(held: EvaluationContext, chosen: NDArray[np.int64], inputs: Mapping[str, Tensor]) -> Predictions:
    """Ask the model again about test rows, their inputs altered."""
    found = held.scorer.scores(dict(inputs))
    part = held.parts["test"].take(chosen)
    kept = found.mean(axis=(2, 3)) if part.kind == "mask" else found
    return replace(part, scores=kept, labels=held.scorer.labels(found, part.groups))


def rows_at_once(chosen: NDArray[np.int64], held: EvaluationContext) -> Iterator[NDArray[np.int64]]:
    """Cut chosen rows into pieces whose inputs fit memory: masks are large."""
    size = 16 if held.target.kind == "mask" else 512
    for start in range(0, len(chosen), size):
        yield chosen[start : start + size]


def bootstrap_weights(held: EvaluationContext, part: Predictions) -> Array:
    """Give bootstrap counts (R, N) of a part's rows, resampled by unit where it has units."""
    return np.concatenate(
        list(resampled_weights(len(part), part.units, held.resamples, derive_seed(held.seed, "studies")))
    )


def confidence_interval(held: EvaluationContext, value: Array, samples: Array) -> dict[str, Json]:
    """Write a figure with its percentile interval."""
    return interval(float(value.item()), samples, held.confidence)


def generator(held: EvaluationContext, *use: str | int) -> torch.Generator:
    """Give a stream of random numbers of its own for one use."""
    return torch.Generator().manual_seed(derive_seed(held.seed, *use))
