"""Part of step 6: throughput, latency, memory and operations of the trained model."""

from __future__ import annotations

import resource
import sys

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from core.backbones.contexts import eval_mode
from core.energy.meter import Meter
from core.energy.section import Latency, PerformanceSection
from core.evaluation.latency import time_calls
from core.steps.design import ModelAndData
from core.steps.evaluate import EvaluationResult
from core.steps.prepare import PreparedData
from core.training.trainer import TrainingResult

CALLS, WARM_UP = 30, 5
"""Single predictions that are timed, and those before them that are not counted."""


def benchmark(
    meter: Meter, prepared: PreparedData, designed: ModelAndData, trained: TrainingResult, judged: EvaluationResult
) -> PerformanceSection:
    """Return the record's ``performance``: throughput, latency at batch size 1, peak memory, operations."""
    rows = sum(len(prepared.parts[name]) for name in ("validation", "test"))
    one = judged.scorer.encode(prepared.frames["test"].iloc[:1])
    milliseconds = 1e3 * time_calls(judged.scorer, one, CALLS, WARM_UP)
    timings = trained.timings
    device = designed.device
    return PerformanceSection(
        train_rows_per_second=timings.examples_per_second,
        train_steps=timings.steps,
        predict_rows_per_second=rows / meter.phases["predict"].seconds,
        latency_ms=Latency(
            p50=float(np.quantile(milliseconds, 0.5)),
            p99=float(np.quantile(milliseconds, 0.99)),
            batch=1,
            calls=CALLS,
        ),
        flops_per_row=_flops(designed, one),
        peak_memory_bytes=_peak_memory(),
        peak_device_memory_bytes=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        parameters=sum(p.numel() for p in designed.model.parameters()),
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
