"""One pretraining: data, number of steps, the trainer, the record, weights and their card."""

from __future__ import annotations

import copy
import importlib
import json
import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.utils.flop_counter import FlopCounterMode

from core.atomic_io import write_atomically
from core.energy.carbon import Grid
from core.energy.config import MeasuredEnergy
from core.energy.meter import JOULES_PER_WH, EnergyUsage, Meter
from core.energy.training_energy import TrainingEnergy
from core.pretrain.config import BUILDS, PretrainConfig, recipe_name
from core.pretrain.export import write_weights
from core.pretrain.job import Context, Job, RandomBatches
from core.pretrain.page import write_page
from core.pretrain.record import PretrainingEnergy, PretrainingRecord, Utilization
from core.privacy.guarantee import NoGuarantee
from core.training.config import StandardTraining
from core.training.device import resolve_device
from core.training.precision import PrecisionDecision, autocast, cpu_name, native_bf16
from core.training.setup import TrainingSetup
from core.training.step import ExampleLosses, MeanGradient, TrainStep
from core.training.trainer import TrainingResult, train
from core.training.types import Callback
from core.training.validator import Validator

if TYPE_CHECKING:
    from core.targets.types import Target

log = logging.getLogger(__name__)

PEAKS = {"H100 PCIe": 756e12, "H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}
"""Dense bf16 operations a second of known GPUs, as their makers state them."""
WARMUP_STEPS, TIMED_STEPS = 3, 8
"""Steps of a trial for recipe.target_minutes."""
TRIAL = 10_000
"""Steps of the run that the trial is drawn from."""


class TrainingClock(Callback):
    """The seconds of training, earlier processes of the run included; validations do not count."""

    def __init__(self) -> None:
        """Start the clock."""
        self.seconds = 0.0
        self._since = time.perf_counter()

    def pause(self) -> None:
        """Add the seconds until now."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds += time.perf_counter() - self._since
        self._since = time.perf_counter()

    def resume(self) -> None:
        """Count from now on."""
        self._since = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds so far."""
        self.pause()
        return {"seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the seconds of an earlier process."""
        self.seconds = float(state["seconds"])
        self.resume()


def pretrain(config: PretrainConfig, folder: Path) -> PretrainingRecord:
    """Train, or resume, in ``folder``; write record.json, report.html, weights with their card; return the record.

    Raises ValueError for data that are missing or can't be used, and ``TrainingInterrupted`` when interrupted.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    device = resolve_device(config.device)
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if native_bf16(device) else "fp32"
    energy = MeasuredEnergy(region=config.region)
    meter = Meter.of_machine(energy)
    with meter.phase("prepare"):
        job = _job(config, Context(config.seed, device, precision, folder))
        steps = _planned_steps(config, job, device, precision, folder)
        batches = job.batches(steps)
        flops = _flops_per_step(job, batches)
    clock, usage = TrainingClock(), TrainingEnergy.of(energy, meter, steps)
    with meter.phase("train"):
        result = _train(config, job, batches, precision, clock, usage, folder)
    if job.export is not None and job.export.finalize is not None:
        job.export.finalize()
    job.model.eval()
    used = EnergyUsage(**usage.state_dict())
    validated = [point.validation for point in result.history if point.validation is not None]
    final = {name: float("nan") if value is None else value for name, value in validated[-1].items()}
    seconds = final["seconds"]
    record = PretrainingRecord(
        recipe=recipe_name(config.recipe),
        settings=asdict(config.recipe),
        seed=config.seed,
        files=job.files,
        data=job.sources,
        parameters=sum(p.numel() for p in job.model.parameters()),
        steps=steps,
        stop_reason=result.stop_reason,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        threads=torch.get_num_threads(),
        torch=str(torch.__version__),
        precision=precision,
        compile=config.compile,
        training_seconds=seconds,
        unit=job.unit,
        units_per_second=steps * job.units_per_step / seconds,
        flops_per_step=flops,
        utilization=utilization(flops * steps / seconds, device),
        energy=PretrainingEnergy(
            wh=used.total / JOULES_PER_WH,
            grams_co2e=Grid.of(energy).emissions(used.total),
            joules=used.joules,
            sources=meter.source_sections(),
        ),
        history=result.history,
        final=final,
        step_timings=result.timings,
        warnings=result.warnings,
    )
    if job.export is not None:
        record.weights = write_weights(job.export, record, folder, config.install)
    write_page(record, folder)
    write_atomically(folder / "record.json", record.model_dump_json(indent=1))
    return record


def _train(
    config: PretrainConfig,
    job: Job,
    batches: RandomBatches,
    precision: str,
    clock: TrainingClock,
    usage: TrainingEnergy,
    folder: Path,
) -> TrainingResult:
    """Train with the trainer of all runs; the validations select nothing, and the weights' average is kept."""
    step = _step(config, job, job.model, batches.steps, precision)

    def evaluate() -> dict[str, float]:
        clock.pause()
        metrics = job.evaluate()
        shown = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        log.info("step %d  %.0f s  %s", step.step, clock.seconds, shown)
        clock.resume()
        return {**metrics, "seconds": clock.seconds}

    validator = Validator(
        job.model,
        evaluate,
        job.monitor,
        every=job.validate_every,
        steps=batches.steps,
        keep_best=False,
        ema=step.ema,
    )
    setup = TrainingSetup(
        step, batches, PrecisionDecision(precision, "requested"), batches.steps, config.seed, NoGuarantee()
    )
    options = StandardTraining(
        checkpoint_every_minutes=config.checkpoint_every_minutes, progress=config.progress
    )
    fingerprint = {
        "pretrain": {"recipe": recipe_name(config.recipe), **asdict(config.recipe)},
        "seed": config.seed,
        "files": job.files,
        "steps": batches.steps,
        "precision": precision,
    }
    clock.resume()
    # Kernels that repeat bit for bit on a GPU are slower, and the speed is what recipe=cifar10 measures.
    return train(
        options,
        setup,
        validator,
        folder / "checkpoints",
        fingerprint,
        callbacks=[clock, usage],
        deterministic=False,
    )


def _job(config: PretrainConfig, context: Context) -> Job:
    """Import and call what the recipe builds."""
    module, _, function = BUILDS[type(config.recipe)].partition(":")
    job = getattr(importlib.import_module(module), function)(config.recipe, context)
    assert isinstance(job, Job)
    return job


def _step(config: PretrainConfig, job: Job, model: torch.nn.Module, steps: int, precision: str) -> TrainStep:
    losses = ExampleLosses(
        model,
        cast("Target", job.losses),  # of a target, a step reads the losses alone
        precision=precision,
        channels_last=job.unit == "images",
        compile=config.compile,
    )
    return TrainStep(
        MeanGradient(losses),
        job.optimizers(model),
        job.schedule(steps),
        max_grad_norm=job.max_grad_norm,
        ema=job.ema or None,
    )


def _planned_steps(
    config: PretrainConfig, job: Job, device: torch.device, precision: str, folder: Path
) -> int:
    """Return the steps of the run; with target_minutes as many as a copy's pace allows, kept for a resume."""
    minutes = config.recipe.target_minutes
    if not minutes:
        return job.steps
    kept = folder / "plan.json"
    if kept.is_file():
        plan = json.loads(kept.read_text())
        if plan["target_minutes"] == minutes:
            return int(plan["steps"])
    sample = job.batches(TRIAL)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        step = _step(config, job, copy.deepcopy(job.model).train(), TRIAL, precision)
        seconds = 0.0
        for n in range(WARMUP_STEPS + TIMED_STEPS):
            before = time.perf_counter()
            # Half of the steps from the run's end, where they may be of another kind.
            step(sample.at(n if n % 2 else TRIAL - 1 - n))
            seconds += (time.perf_counter() - before) * (n >= WARMUP_STEPS)
    steps = max(round(minutes * 60 * TIMED_STEPS / seconds), 1)
    plan = {"target_minutes": minutes, "steps": steps, "seconds_per_step": seconds / TIMED_STEPS}
    write_atomically(kept, json.dumps(plan))
    return steps


def _flops_per_step(job: Job, batches: RandomBatches) -> float:
    """Return the operations of a step's forward and backward pass (three times the forward's), from one batch."""
    batch = batches.at(0)
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), torch.random.fork_rng(), counter, autocast("fp32", batch.targets.device):
        job.model(batch.inputs)
    return 3.0 * counter.get_total_flops()


def utilization(flops_per_second: float, device: torch.device) -> Utilization:
    """Return the model FLOPs utilization; without a peak where the processor's is not known."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    peak = next((value for key, value in PEAKS.items() if name and key in name), None)
    return Utilization(
        flops_per_second=flops_per_second, peak=peak, mfu=None if peak is None else flops_per_second / peak
    )
