"""How long one row takes from its raw values to its score."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from core.evaluation.study import StudyResult

if TYPE_CHECKING:
    from core.evaluation.study import EvaluationContext

ROWS = 100
WARM = 5
"""Rows whose time is not counted: the first ones set things up."""


def latency(held: EvaluationContext) -> StudyResult:
    """Score rows of the test part one at a time, each with its unit's past beside it, and give milliseconds."""
    frame, unit, whole = held.frames["test"], held.dataset.roles.unit, held.dataset.frame
    rng = np.random.default_rng(held.seed)
    chosen = rng.permutation(len(frame))[: ROWS + WARM]
    past = (
        dict(iter(whole[whole[unit].isin(frame[unit].iloc[chosen])].groupby(unit)))
        if unit is not None
        else {}
    )
    taken = []
    for n in chosen:
        row = frame.iloc[[n]]
        history = past[row[unit].iloc[0]] if unit is not None else None
        begun = time.perf_counter()
        held.scorer.scores(row, history)
        taken.append(1000 * (time.perf_counter() - begun))
    found = np.array(taken[min(WARM, len(taken) - 1) :])
    figures = {
        f"latency_p{p}_ms": {"value": float(np.percentile(found, p)), "low": None, "high": None}
        for p in (50, 99)
    }
    return StudyResult(
        f"One row takes {np.median(found):.1f} ms at the median and {np.percentile(found, 99):.1f} ms at the 99th "
        f"percentile, on {torch.get_num_threads()} thread{'s' if torch.get_num_threads() > 1 else ''}.",
        figures,
        notes=[f"{len(found)} rows, one after another, from raw values to the recalibrated score."],
    )
