"""Latency of one prediction, at a fixed input."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from core.evaluation.bootstrap import estimate
from core.evaluation.study import Study, StudyResult

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from core.evaluation.study import EvaluationContext
    from core.targets.scorer import Scorer
    from core.targets.types import Array

WARMUP_CALLS = 10


def time_calls(
    scorer: Scorer, rows: pd.DataFrame | dict[str, Tensor], calls: int, warmup: int = WARMUP_CALLS
) -> Array:
    """Return the seconds of ``calls`` predictions of the same rows, after ``warmup`` that are not counted."""
    for _ in range(warmup):
        scorer.scores(rows)
    found = []
    for _ in range(calls):
        begun = time.perf_counter()
        scorer.scores(rows)
        found.append(time.perf_counter() - begun)
    return np.asarray(found)


def latency(calls: int = 200) -> Study:
    """Return the study: median and 99th percentile of the time from encoded row to scores, one row at a time."""

    def study(context: EvaluationContext) -> StudyResult:
        import torch

        row = context.frames["test"].iloc[:1]
        inputs = context.scorer.encode(row)
        spent = {
            "model": 1e3 * time_calls(context.scorer, inputs, calls),
            "with_decoding": 1e3 * time_calls(context.scorer, row, max(calls // 4, 20), warmup=0),
        }
        metrics = {
            f"{name}_{word}_ms": estimate(np.quantile(took, share))
            for name, took in spent.items()
            for word, share in (("p50", 0.5), ("p99", 0.99))
        }
        shapes = ", ".join(f"{k} {' x '.join(map(str, v.shape[1:]))}" for k, v in inputs.items())
        return StudyResult(
            f"One prediction takes {metrics['model_p50_ms'].value:.1f} ms (median), "
            f"{metrics['model_p99_ms'].value:.1f} ms at the 99th percentile.",
            metrics,
            notes=[
                f"Input of fixed size ({shapes}), one row a call, {calls} calls after {WARMUP_CALLS} to warm up, "
                f"{torch.get_num_threads()} threads of this machine, whatever else it was doing.",
                "The model in the training framework, not an exported one.",
            ],
        )

    return study
