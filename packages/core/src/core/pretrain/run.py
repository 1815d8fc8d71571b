"""One pretraining: data, plan of steps, the loop, looks at what is held out, record, weights and card."""

from __future__ import annotations

import copy
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.utils.flop_counter import FlopCounterMode

from core.atomic_io import write_atomically
from core.energy.carbon import Grid
from core.energy.config import MeasuredEnergy
from core.energy.meter import JOULES_PER_WH, Meter
from core.energy.training_energy import TrainingEnergy
from core.pretrain.config import name_of
from core.pretrain.page import write_page
from core.pretrain.ship import write_weights
from core.pretrain.watch import Looks
from core.training.callbacks import LearningCurve, StepTimer, progress
from core.training.checkpoint import Checkpoints
from core.training.device import resolve_device
from core.training.loop import fit
from core.training.precision import autocast, cpu_name, native_bf16
from core.training.step import ExampleLosses, MeanGradient, TrainStep

if TYPE_CHECKING:
    from core.pretrain.config import PretrainConfig
    from core.pretrain.job import Job, Stream
    from core.targets.types import Target

PEAKS = {"H100 PCIe": 756e12, "H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}
"""Dense bf16 operations a second of known GPUs, as their makers state them."""
TRIED = (3, 8)
"""Steps that warm up, and steps that are timed, for a plan by minutes."""


def pretrain(config: PretrainConfig, folder: Path) -> dict[str, Any]:
    """Train, or go on, in ``folder``; leave record.json, report.html, weights with their card; give the record.

    Raises ValueError for settings that can't be or data that is not there, and ``Stopped`` when interrupted.
    """
    config.check()
    if config.threads:
        torch.set_num_threads(config.threads)
    device = resolve_device(config.device)
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if native_bf16(device) else "fp32"
    energy = MeasuredEnergy(region=config.region)
    meter = Meter.of_machine(energy)
    files: dict[str, str] = {}
    with meter.phase("prepare"):
        job = _job(config, device, precision, files, folder)
        steps = _planned(config, job, device, precision, folder)
        stream = job.stream(steps)
        flops = _flops(job, stream)
    name = name_of(config.recipe)
    asked = {"recipe": name, **asdict(config.recipe)}
    update = _update(config, job, job.model, steps, precision)
    looks = Looks(job, update, steps)
    curve = LearningCurve(steps)
    watch = TrainingEnergy.of(energy, meter, steps)
    timer = StepTimer()
    parts: dict[str, Any] = {"update": update, "curve": curve, "looks": looks, "energy": watch}
    fingerprint = {
        "pretrain": asked,
        "seed": config.seed,
        "files": files,
        "steps": steps,
        "precision": precision,
    }
    checkpoints = Checkpoints(folder / "checkpoints", parts, fingerprint, minutes=config.checkpoint_minutes)
    start = checkpoints.resume()
    job.model.train()
    with meter.phase("train"), progress(config.progress, steps, start) as shown:
        reason = fit(
            update,
            stream,
            seed=config.seed,
            callbacks=[*shown, timer, curve, looks, watch],
            checkpoints=checkpoints,
            start=start,
        )
    if update.ema is not None:
        update.ema.copy_to_model()
    if job.settle is not None:
        job.settle()
    job.model.eval()
    used = watch.state_dict()
    joules = sum(used["joules"].values())
    seconds = looks.seconds
    record: dict[str, Any] = {
        "recipe": name,
        "settings": asdict(config.recipe),
        "seed": config.seed,
        "files": files,
        "data": job.data,
        "parameters": sum(p.numel() for p in job.model.parameters()),
        "steps": steps,
        "ended": reason,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "precision": precision,
        "compile": config.compile,
        "training_seconds": seconds,
        "unit": job.unit,
        "units_per_second": steps * job.units_per_step / seconds,
        "flops_per_step": flops,
        "mfu": mfu(flops * steps / seconds, device),
        "energy": {
            "wh": joules / JOULES_PER_WH,
            "grams_co2e": Grid.of(energy).emissions(joules),
            "joules": used["joules"],
            "sources": [
                {"component": s.component, "method": s.method, "parameters": s.parameters, "measured": s.measured}
                for s in meter.sources
            ],
        },
        "curve": [point.model_dump(include={"step", "loss", "lr"}) for point in curve.points],
        "looks": looks.points,
        "final": looks.points[-1],
        "times": timer.timings().model_dump(exclude_none=True),
        "messages": checkpoints.warnings,
    }
    if job.keep is not None:
        record["weights"] = write_weights(job, record, folder, config.ship)
    write_page(record, folder)
    write_atomically(folder / "record.json", json.dumps(record, indent=1))
    return record


def _job(
    config: PretrainConfig, device: torch.device, precision: str, files: dict[str, str], folder: Path
) -> Job:
    from core.pretrain.config import CifarRecipe, CnnRecipe

    recipe = config.recipe
    if isinstance(recipe, CnnRecipe):
        from core.pretrain.cnn import cnn

        return cnn(recipe, config.seed, device, precision, files)
    if isinstance(recipe, CifarRecipe):
        from core.pretrain.cnn import cifar10

        return cifar10(recipe, config.seed, device, precision, files)
    from core.pretrain.text import text

    return text(recipe, config.seed, device, precision, files, folder)


def _update(
    config: PretrainConfig, job: Job, model: torch.nn.Module, steps: int, precision: str
) -> TrainStep:
    losses = ExampleLosses(
        model,
        cast("Target", job.losses),  # of a target, a step reads the losses alone
        precision=precision,
        channels_last=job.unit == "pictures",
        compile=config.compile,
    )
    return TrainStep(
        MeanGradient(losses),
        job.optimizers(model),
        job.schedule(steps),
        max_grad_norm=job.max_grad_norm,
        ema=job.ema or None,
    )


def _planned(config: PretrainConfig, job: Job, device: torch.device, precision: str, folder: Path) -> int:
    """Count the steps of the run; by minutes: as the pace of a copy allows, kept for a resume."""
    minutes: float = config.recipe.minutes
    if not minutes:
        return job.steps
    kept = folder / "plan.json"
    if kept.is_file():
        plan = json.loads(kept.read_text())
        if plan["minutes"] == minutes:
            return int(plan["steps"])
    sample = job.stream(10_000)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        update = _update(config, job, copy.deepcopy(job.model).train(), 10_000, precision)
        seconds = 0.0
        for step in range(sum(TRIED)):
            before = time.perf_counter()
            # Half of the steps from the run's end, where they may be of another kind.
            update(sample.at(step if step % 2 else 9_999 - step))
            seconds += (time.perf_counter() - before) * (step >= TRIED[0])
    steps = max(round(minutes * 60 * TRIED[1] / seconds), 1)
    write_atomically(
        kept, json.dumps({"minutes": minutes, "steps": steps, "seconds_per_step": seconds / TRIED[1]})
    )
    return steps


def _flops(job: Job, stream: Stream) -> float:
    """Count the operations of a step's forward and backward pass (three times the forward's) on one batch."""
    batch = stream.at(0)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), torch.random.fork_rng(), counter, autocast("fp32", batch.targets.device):
        job.model(batch.inputs)
    return 3.0 * counter.get_total_flops()


def mfu(per_second: float, device: torch.device) -> dict[str, Any]:
    """Give the share of the processor's peak that the operations of the network make up."""
    if device.type != "cuda":
        return {"flops_per_second": per_second, "share": None, "why": "no stated peak of this processor"}
    name = torch.cuda.get_device_name(device)
    peak = next((value for key, value in PEAKS.items() if key in name), None)
    if peak is None:
        return {"flops_per_second": per_second, "share": None, "why": f"the peak of {name} is not known here"}
    return {"flops_per_second": per_second, "share": per_second / peak, "peak": peak}
