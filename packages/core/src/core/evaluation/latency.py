"""How long one answer takes, at a fixed input."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from core.evaluation.study import Findings, Study

if TYPE_CHECKING:
    from core.evaluation.study import Held

WARM = 10


def latency(calls: int = 200) -> Study:
    """Make the study: median and 99th percentile of the time from encoded row to scores, one row at a time."""

    def study(held: Held) -> Findings:
        import torch

        row = held.frames["test"].iloc[:1]
        inputs = held.scorer.encode(row)
        for _ in range(WARM):
            held.scorer.scores(inputs)
        times: dict[str, list[float]] = {"model": [], "with_decoding": []}
        for name, rows, count in (("model", inputs, calls), ("with_decoding", row, max(calls // 4, 20))):
            for _ in range(count):
                begun = time.perf_counter()
                held.scorer.scores(rows)
                times[name].append((time.perf_counter() - begun) * 1e3)
        figures = {
            f"{name}_{word}_ms": {"value": float(np.quantile(spent, share)), "low": None, "high": None}
            for name, spent in times.items()
            for word, share in (("p50", 0.5), ("p99", 0.99))
        }
        shapes = ", ".join(f"{k} {' x '.join(map(str, v.shape[1:]))}" for k, v in inputs.items())
        return Findings(
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
