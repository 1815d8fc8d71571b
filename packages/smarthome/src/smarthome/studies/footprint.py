"""Study ``footprint``: model size, memory, latency and energy of one command on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np

from core.evaluation.bootstrap import estimate
from core.evaluation.study import EvaluationContext, StudyResult

WARM_UP, TIMED = 20, 200
"""Warm-up commands, and those that are timed, one at a time."""


def footprint(watts: float, cores: int) -> Callable[[EvaluationContext], StudyResult]:
    """Return the study for a processor package of ``watts`` and ``cores``: joules = CPU seconds * watts / cores."""

    def measure(context: EvaluationContext) -> StudyResult:
        frame = context.frames["test"]
        times, processor = [], []
        for n in range(WARM_UP + TIMED):
            row = frame.iloc[[n % len(frame)]]
            wall, used = time.perf_counter(), time.process_time()
            context.scorer.labels(context.scorer.scores(row))
            times.append(time.perf_counter() - wall)
            processor.append(time.process_time() - used)
        milliseconds = 1000 * np.array(times[WARM_UP:])
        joules = float(np.mean(processor[WARM_UP:])) * watts / cores
        weights, numbers = _weights(context)
        p50, p95, p99 = (float(np.percentile(milliseconds, p)) for p in (50, 95, 99))
        memory = _resident()
        metrics = {
            "p50_ms": estimate(p50),
            "p95_ms": estimate(p95),
            "p99_ms": estimate(p99),
            "joules_per_command": estimate(joules),
            "model_mb": estimate(weights / 1e6),
            "parameters": estimate(float(numbers)),
            "resident_mb": estimate(memory),
        }
        return StudyResult(
            f"One command takes {p95:.1f} ms at the 95th percentile and about {joules:.3f} J; the weights are "
            f"{weights / 1e6:.1f} MB.",
            metrics,
            notes=[
                f"{TIMED} test commands, one at a time, from text to decision, on {os.cpu_count()} cores.",
                f"Energy is modeled, not measured: CPU seconds x {watts:g} W / {cores} cores (task.watts, "
                "task.cores).",
                "Resident memory is the whole process's, training included; a server without training needs less.",
            ],
        )

    return measure


def _weights(context: EvaluationContext) -> tuple[int, int]:
    """Return bytes and number of the model's parameters."""
    model = getattr(context.scorer, "model", None)
    if model is None:
        return 0, 0
    parameters = list(model.parameters())
    return sum(p.numel() * p.element_size() for p in parameters), sum(p.numel() for p in parameters)


def _resident() -> float:
    """Return the resident memory of this process in MB; NaN where the system does not report it."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return float("nan")
