"""Part of step 6: throughput, latency, memory and operations of the trained model."""

from __future__ import annotations

import resource
import sys

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from core.backbones.contexts import eval_mode
from core.energy.section import Latency, PerformanceSection
from core.evaluation.latency import time_calls
from core.run.state import ModelAndData, RunState

CALLS, WARM_UP = 30, 5
"""Single predictions that are timed, and those before them that are not counted."""


def benchmark(state: RunState) -> PerformanceSection:
    """Return the record's ``performance``: throughput, latency at batch size 1, peak memory, operations."""
    rows = sum(len(state.data.splits[name]) for name in ("validation", "test"))
    one = state.evaluated.scorer.encode(state.data.frames["test"].iloc[:1])
    milliseconds = 1e3 * time_calls(state.evaluated.scorer, one, CALLS, WARM_UP)
    timings = state.trained.timings
    device = state.design.device
    return PerformanceSection(
        train_rows_per_second=timings.examples_per_second,
        train_steps=timings.steps,
        predict_rows_per_second=rows / state.meter.phases["predict"].seconds,
        latency_ms=Latency(
            p50=float(np.quantile(milliseconds, 0.5)),
            p99=float(np.quantile(milliseconds, 0.99)),
            batch=1,
            calls=CALLS,
        ),
        flops_per_row=_flops(state.design, one),
        peak_memory_bytes=_peak_memory(),
        peak_device_memory_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        parameters=sum(p.numel() for p in state.design.model.parameters()),
        device=str(device),
        threads=torch.get_num_threads(),
    )


def _flops(designed: ModelAndData, one: dict[str, torch.Tensor]) -> int:
    """Count the floating-point operations of one row's forward pass."""
    inputs = {name: tensor.to(designed.device) for name, tensor in one.items()}
    # With gradients: without, the counter's hooks fail on a module that returns a weight itself, as a CRF's does.
    with eval_mode(designed.model), torch.enable_grad(), FlopCounterMode(display=False) as counter:
        designed.model(inputs)
    return int(counter.get_total_flops())


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)  # kilobytes but on macOS
