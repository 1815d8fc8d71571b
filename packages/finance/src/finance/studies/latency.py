"""Latency of a prediction, from the raw values of a row to its score."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from core.evaluation.bootstrap import estimate
from core.evaluation.study import StudyResult

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext

ROWS = 100
WARM_UP = 5
"""Rows whose time is not counted."""


def latency(context: EvaluationContext) -> StudyResult:
    """Score rows of the test set one at a time, each with its unit's history, and return milliseconds."""
    frame, unit, whole = context.frames["test"], context.dataset.roles.unit, context.dataset.frame
    rng = np.random.default_rng(context.seed)
    chosen = rng.permutation(len(frame))[: ROWS + WARM_UP]
    past = (
        dict(iter(whole[whole[unit].isin(frame[unit].iloc[chosen])].groupby(unit)))
        if unit is not None
        else {}
    )
    times = []
    for n in chosen:
        row = frame.iloc[[n]]
        history = past[row[unit].iloc[0]] if unit is not None else None
        start = time.perf_counter()
        context.scorer.scores(row, history)
        times.append(1000 * (time.perf_counter() - start))
    milliseconds = np.array(times[min(WARM_UP, len(times) - 1) :])
    p50, p99 = (float(p) for p in np.percentile(milliseconds, [50, 99]))
    metrics = {name: estimate(value) for name, value in (("p50_ms", p50), ("p99_ms", p99))}
    threads = torch.get_num_threads()
    return StudyResult(
        f"A prediction takes {p50:.1f} ms at the median and {p99:.1f} ms at the 99th percentile, on {threads} "
        f"thread{'s' if threads > 1 else ''}.",
        metrics,
        notes=[f"{len(milliseconds)} rows, one after another, from raw values to the recalibrated score."],
    )
