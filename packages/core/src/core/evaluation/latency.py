"""How long one answer takes, at a fixed input."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from core.evaluation.study import StudyResult, Study

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from core.evaluation.study import EvaluationContext
    from core.targets.scorer import Scorer
    from core.targets.types import Array

WARM = 10


def times(scorer: Scorer, rows: pd.DataFrame | dict[str, Tensor], calls: int, warm: int = WARM) -> Array:
    """Time ``calls`` answers to the same rows, in seconds, after ``warm`` that are not counted."""
    for _ in range(warm):
        scorer.scores(rows)
    found = []
    for _ in range(calls):
        begun = time.perf_counter()
        scorer.scores(rows)
        found.append(time.perf_counter() - begun)
    return np.asarray(found)


def latency(calls: int = 200) -> Study:
    """Make the study: median and 99th percentile of the time from encoded row to scores, one row at a time."""

    def study(held: EvaluationContext) -> StudyResult:
        import torch

        row = held.frames["test"].iloc[:1]
        inputs = held.scorer.encode(row)
        spent = {
            "model": 1e3 * times(held.scorer, inputs, calls),
            "with_decoding": 1e3 * times(held.scorer, row, max(calls // 4, 20), warm=0),
        }
        figures = {
            f"{name}_{word}_ms": {"value": float(np.quantile(took, share)), "low": None, "high": None}
            for name, took in spent.items()
            for word, share in (("p50", 0.5), ("p99", 0.99))
        }
        shapes = ", ".join(f"{k} {' x '.join(map(str, v.shape[1:]))}" for k, v in inputs.items())
        return StudyResult(
            f"One answer takes {figures['model_p50_ms']['value']:.1f} ms (median), "
            f"{figures['model_p99_ms']['value']:.1f} ms at the 99th percentile.",
            figures,
            notes=[
                f"Input of fixed size ({shapes}), one row a call, {calls} calls after {WARM} to warm up, "
                f"{torch.get_num_threads()} threads of this machine, whatever else it was doing.",
                "The model in the training framework, not an exported one.",
            ],
        )

    return study
