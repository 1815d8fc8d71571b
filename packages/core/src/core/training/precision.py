"""The number format of the forward pass, and how ``auto`` chooses it: once, by measuring, on record."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from core.atomic_io import write_atomically
from core.config import config_error
from core.training.config import BF16_MIN_SPEEDUP, BF16_MIN_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    from core.data.types import Batch
    from core.targets.types import Target
    from core.training.section import PrecisionReason

log = logging.getLogger(__name__)

PAIRS = 5
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class PrecisionDecision:
    """The chosen format and why."""

    precision: str
    """fp32, bf16 or fp16."""
    reason: PrecisionReason
    speedup: float | None = None
    """fp32's step time over bf16's, where it was measured."""


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Return a reusable context in which a forward pass computes in fp32, bf16 or fp16."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])


def native_bf16(device: torch.device) -> bool:
    """Return whether the processor or GPU multiplies bf16 in hardware, not by conversion."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return _cpu_flags() & {"amx_bf16", "avx512_bf16", "bf16"} != set()
    return False


def choose_precision(
    asked: str,
    model: nn.Module,
    target: Target,
    batch: Batch,
    steps: int,
    folder: Path | None,
    *,
    device: torch.device,
    cache: Path | None = None,
) -> PrecisionDecision:
    """Return the precision of a run, kept in ``folder/precision.json`` before its first step.

    ``auto`` takes bf16 only where the device has it natively and forward and backward of this model on this
    batch (of the size that is in memory at a time) are at least ``BF16_MIN_SPEEDUP`` times faster with it. The
    measurement is cached for this machine, so that two runs of the same shape choose alike. Measuring changes
    neither weights, buffers, gradients nor random states. Raises ValueError for what the device can't do.
    """
    if asked == "fp16" and device.type != "cuda":
        raise config_error(
            "training.precision", "fp16", f"needs a CUDA device, not {device.type}; choose bf16 or fp32"
        )
    if asked != "auto":
        return PrecisionDecision(asked, "requested")
    key = _key(model, batch, device)
    kept = None if folder is None else folder / "precision.json"
    if kept is not None and kept.exists() and (former := _read(kept))["key"] == key:
        return PrecisionDecision(**former["decision"])
    decision = _decide(key, model, target, batch, steps, device, cache or cache_file())
    if kept is not None:
        write_atomically(kept, json.dumps({"key": key, "decision": asdict(decision)}, indent=2).encode())
    return decision


def cache_file() -> Path:
    """Return where this machine's measurements are cached: under PLINTH_CACHE, XDG_CACHE_HOME or ~/.cache."""
    root = os.environ.get("PLINTH_CACHE")
    if root is not None:
        return Path(root, "precision.json")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "plinth", "precision.json")


def _decide(
    key: str,
    model: nn.Module,
    target: Target,
    batch: Batch,
    steps: int,
    device: torch.device,
    cache: Path,
) -> PrecisionDecision:
    if not native_bf16(device):
        return PrecisionDecision("fp32", "no_native_bf16")
    if steps < BF16_MIN_STEPS:
        return PrecisionDecision("fp32", "short_run")
    known: dict[str, float] = _read(cache) if cache.exists() else {}
    if key in known:
        return _by_speedup(known[key], "measured_before")
    speedup = measure_speedup(model, target, batch, device)
    try:
        write_atomically(cache, json.dumps(known | {key: speedup}, indent=1).encode())
    except OSError as error:
        log.warning(
            "the precision was measured for this run alone: %s can't be written: %s", cache, error.strerror
        )
    return _by_speedup(speedup, "measured")


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): delete it, and precision is measured anew") from error


def _by_speedup(speedup: float, reason: PrecisionReason) -> PrecisionDecision:
    return PrecisionDecision("bf16" if speedup >= BF16_MIN_SPEEDUP else "fp32", reason, speedup)


def measure_speedup(model: nn.Module, target: Target, batch: Batch, device: torch.device) -> float:
    """Return how many times faster bf16 is: the median ratio of forward and backward times, measured in turn."""
    weights = [p for p in model.parameters() if p.requires_grad]
    batch = batch.to(device)

    def seconds(precision: str) -> float:
        _wait(device)
        start = time.perf_counter()
        with autocast(precision, device):
            outputs = model(batch.inputs)
        loss = target.losses(outputs.float(), batch.targets).mean()
        torch.autograd.grad(loss, weights, allow_unused=True)  # unlike backward(), leaves .grad alone
        _wait(device)
        return time.perf_counter() - start

    with _unchanged(model, device):
        warm = seconds("fp32") + seconds("bf16")
        ratios = []
        for _ in range(PAIRS if warm < 10 else 2):
            full, half = seconds("fp32"), seconds("bf16")
            ratios.append(full / half)
    return statistics.median(ratios)


@contextlib.contextmanager
def _unchanged(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Restore what forward passes change: batch norm's running statistics and random states."""
    kept: dict[str, Tensor] = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            buffer.copy_(kept[name])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _key(model: nn.Module, batch: Batch, device: torch.device) -> str:
    shapes = {
        "model": str(model),
        "weights": [
            (n, list(p.shape), p.requires_grad, list(p.stride())) for n, p in model.named_parameters()
        ],
        "inputs": {n: (list(t.shape), str(t.dtype)) for n, t in sorted(batch.inputs.items())},
        "training": model.training,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }
    return hashlib.sha256(json.dumps(shapes).encode()).hexdigest()[:32]


def _cpu_line(*names: str) -> str:
    """Return one line of Linux's list of processors; empty on other systems."""
    listing = Path("/proc/cpuinfo")
    if not listing.exists():
        return ""
    lines = (line.partition(":") for line in listing.read_text().splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() in names), "")


def _cpu_flags() -> set[str]:
    return set(_cpu_line("flags", "Features").split())


def cpu_name() -> str:
    """Return the processor's name as the system reports it, such as its model."""
    return _cpu_line("model name") or platform.processor() or platform.machine()
