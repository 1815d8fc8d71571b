"""Part of step 6: how fast the model trains and answers, and what it needs."""

from __future__ import annotations

import resource
import sys
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from core.backbones.contexts import eval_mode
from core.energy.meter import Meter
from core.evaluation.latency import times
from core.report.formatting import format_si
from core.steps.design import Designed
from core.steps.evaluate import Judged
from core.steps.prepare import Prepared
from core.training.trainer import Trained

CALLS, WARM = 30, 5
"""Answers that are timed one by one, and those before them that are not counted."""


def perform(
    meter: Meter, prepared: Prepared, designed: Designed, trained: Trained, judged: Judged
) -> dict[str, Any]:
    """Give the record's ``performance`` section: throughput, latency at one row a call, memory, operations."""
    rows = sum(len(prepared.parts[name]) for name in ("validation", "test"))
    predicted = meter.phases["predict"].seconds
    one = judged.scorer.encode(prepared.frames["test"].iloc[:1])
    took = 1e3 * times(judged.scorer, one, CALLS, WARM)
    p50, p99 = float(np.quantile(took, 0.5)), float(np.quantile(took, 0.99))
    trains: float | None = trained.findings.get("times", {}).get("examples_per_second")
    speed = (
        ""
        if trained.findings.get("times", {}).get("steps", 0) == 0 or trains is None
        else (f"Training saw {trains:,.0f} rows a second. ")
    )
    return {
        "headline": f"{format_si(p50 / 1e3, 's')} an answer",
        "detail": (
            f"{speed}Held-out rows were predicted at {rows / predicted:,.0f} a second, one at a time in "
            f"{format_si(p50 / 1e3, 's')} (median; {format_si(p99 / 1e3, 's')} at the 99th percentile of {CALLS} calls)."
        ),
        "train_rows_per_second": trains,
        "predict_rows_per_second": rows / predicted,
        "latency_ms": {"p50": p50, "p99": p99, "batch": 1, "calls": CALLS},
        "operations_per_row": _operations(designed, one),
        "peak_memory_bytes": _peak_memory(),
        "peak_device_memory_bytes": (
            torch.cuda.max_memory_allocated(designed.device) if designed.device.type == "cuda" else None
        ),
        "parameters": sum(p.numel() for p in designed.model.parameters()),
        "device": str(designed.device),
        "threads": torch.get_num_threads(),
        "method": (
            "throughput of training from the loop's own clock (null where it would tell batch sizes that are private); "
            "latency from encoded row to recalibrated scores in the training framework, whatever else the machine was "
            "doing; operations: multiplications and additions of matrix products and convolutions, counted by torch; "
            "memory: most that the process held"
        ),
    }


def _operations(designed: Designed, one: dict[str, torch.Tensor]) -> int:
    """Count the floating-point operations of one row's forward pass."""
    inputs = {name: tensor.to(designed.device) for name, tensor in one.items()}
    # With gradients: without, the counter's hooks fail on a module that gives back a weight itself, as a chain's does.
    with eval_mode(designed.model), torch.enable_grad(), FlopCounterMode(display=False) as counter:
        designed.model(inputs)
    return int(counter.get_total_flops())


def _peak_memory() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(most if sys.platform == "darwin" else most * 1024)  # kilobytes but on macOS
