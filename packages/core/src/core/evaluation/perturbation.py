"""Held-out rows predicted again with altered inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from core.config import derive_seed
from core.config.section import Estimate
from core.evaluation.bootstrap import interval_estimate
from core.evaluation.intervals import resampled_weights
from core.targets.types import Array, Predictions

if TYPE_CHECKING:
    from torch import Tensor

    from core.evaluation.study import EvaluationContext

BATCH_ROWS = 512
DENSE_BATCH_ROWS = 16
"""Rows predicted at once: maps are large."""


def sample_rows(context: EvaluationContext, rows: int, use: str) -> NDArray[np.int64]:
    """Choose up to so many rows of the test set at random, in their order."""
    n = len(context.parts["test"])
    rng = np.random.default_rng(derive_seed(context.seed, use, "rows"))
    return np.sort(rng.permutation(n)[:rows])


def repredict(
    context: EvaluationContext, chosen: NDArray[np.int64], inputs: Mapping[str, Tensor]
) -> Predictions:
    """Predict test rows again, their inputs altered."""
    scores = context.scorer.scores(dict(inputs))
    part = context.parts["test"].take(chosen)
    return replace(
        part, scores=part.type.kept_scores(scores), labels=context.scorer.labels(scores, part.groups)
    )


def row_batches(chosen: NDArray[np.int64], context: EvaluationContext) -> Iterator[NDArray[np.int64]]:
    """Yield chosen rows in batches whose inputs fit memory."""
    size = DENSE_BATCH_ROWS if context.target.dense else BATCH_ROWS
    for start in range(0, len(chosen), size):
        yield chosen[start : start + size]


def bootstrap_weights(context: EvaluationContext, part: Predictions) -> Array:
    """Return bootstrap counts (R, N) of rows, resampled by unit where they have units."""
    seed = derive_seed(context.seed, "studies")
    return np.concatenate(list(resampled_weights(len(part), part.units, context.resamples, seed)))


def confidence_interval(context: EvaluationContext, value: Array, samples: Array) -> Estimate:
    """Return a value (1,) with the percentile interval of its resamples (R,)."""
    return interval_estimate(context, float(value.item()), samples)


def generator(context: EvaluationContext, *use: str | int) -> torch.Generator:
    """Return a stream of random numbers of its own for one use."""
    return torch.Generator().manual_seed(derive_seed(context.seed, *use))
