"""Then write: one folder with the record, the weights, the encoder, the predictions and the page."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch

from core.backbones.model import save_weights, trainable_parameters
from core.config import RunConfig
from core.data.readers.files import sha256
from core.data.section import data_section
from core.run.directory import RunDirectory
from core.evaluation.section import GateSection, StudySection
from core.privacy.rng_key import destroy_key
from core.report.documents import write_documents
from core.report.record import Record, plain, sealed, write_record
from core.report.run import SEALED, Run
from core.report.predictions import write_predictions
from core.steps.assess import ImpactReport
from core.steps.design import ModelAndData
from core.steps.evaluate import EvaluationResult
from core.steps.footprint import Footprint
from core.steps.prepare import PreparedData
from core.atomic_io import write_atomically
from core.training.torchrun_env import launch_command
from core.training.precision import cpu_name
from core.training.config import standard
from core.training.section import TrainingSection
from core.training.trainer import TrainingResult


def write(
    folder: RunDirectory,
    config: RunConfig,
    prepared: PreparedData,
    designed: ModelAndData,
    trained: TrainingResult,
    judged: EvaluationResult,
    impact: ImpactReport,
    footprint: Footprint,
) -> Run:
    """Write everything, record.json last: a folder that has one is a finished run, with all its documents."""
    evaluation = judged.evaluation
    save_weights(designed.model, folder.path / "model.safetensors")
    state = {
        "encoder": prepared.encoder.state(),
        "target": prepared.target.state(),
        "groups": prepared.groups.state(),
        "fields": asdict(prepared.dataset.roles),
        "unit_name": prepared.dataset.unit_name,
        "architecture": designed.model.backbone.architecture,
    }
    write_atomically(folder.path / "encoder.json", json.dumps(plain(state), ensure_ascii=False))
    write_predictions(evaluation.parts, folder.path / "predictions.parquet")
    record = Record.model_validate(
        plain(
            {
                "run": _run(folder, config, prepared),
                "data": data_section(prepared.dataset, prepared.parts, prepared.findings),
                "model": _model(folder, designed),
                "training": _training(config, designed, trained, footprint),
                **evaluation.sections(),
                "studies": _studies(folder, judged),
                "baseline": None if judged.comparison is None else judged.comparison.section,
                "privacy": impact.privacy,
                "fairness": impact.fairness,
                "energy": footprint.energy,
                "performance": footprint.performance,
                "explanation": impact.explanation,
                "uncertainty": impact.uncertainty,
                "oversight": impact.oversight,
                "environment": environment(),
                "files": {name: sha256(folder.path / name) for name in (*SEALED, "config.yaml")},
            }
        )
    )
    record = sealed(record)
    write_documents(record, folder.path)
    write_record(record, folder.path)
    destroy_key(folder.checkpoints)
    return folder.tell()


def _studies(folder: RunDirectory, judged: EvaluationResult) -> dict[str, StudySection]:
    """Write the tables that studies leave as files, and return the rest for the record."""
    sections: dict[str, StudySection] = {}
    for name, (found, seconds) in judged.studies.items():
        for file, table in found.files.items():
            write_atomically(folder.path / "studies" / file, table.to_csv(index=False))
        sections[name] = StudySection(
            summary=found.summary,
            seconds=seconds,
            metrics=found.metrics,
            tables=plain(found.tables),
            gates=[GateSection(**asdict(gate)) for gate in found.gates],
            notes=found.notes,
            files=[f"studies/{file}" for file in found.files],
        )
    return sections


def _run(folder: RunDirectory, config: RunConfig, prepared: PreparedData) -> dict[str, Any]:
    return {
        "domain": folder.domain.name,
        "title": folder.domain.title,
        "task": config.task.name,
        "purpose": config.task.purpose,
        "started": folder.started,
        "finished": datetime.now(UTC),
        "command": launch_command(),
        "seed": config.seed,
        "status": "finished",
        "simulated": prepared.dataset.simulated,
        "config": folder.content,
    }


def _model(folder: RunDirectory, designed: ModelAndData) -> dict[str, Any]:
    return {
        "backbone": folder.content["backbone"]["option"],
        "adapter": folder.content["adapter"]["option"],
        "parameters": sum(p.numel() for p in designed.model.parameters()),
        "trainable": trainable_parameters(designed.model),
    }


def _training(
    config: RunConfig, designed: ModelAndData, trained: TrainingResult, footprint: Footprint
) -> TrainingSection:
    setup, precision = designed.setup, designed.setup.precision
    return TrainingSection(
        epochs=trained.steps / setup.epoch_steps,
        steps=trained.steps,
        planned_steps=setup.batches.steps,
        stopped_early=trained.steps < setup.batches.steps,
        stop_reason=trained.stop_reason,
        weights=trained.weights,
        best=trained.best,
        precision=precision.precision,
        precision_reason=precision.reason,
        bf16_speedup=precision.speedup,
        time_limit_minutes=standard(config.training).max_minutes or None,
        seconds=footprint.phases["train"].seconds,
        device=str(designed.device),
        processes=trained.processes,
        unsynchronized_batch_norm=trained.unsynchronized_batch_norm,
        feature_cache=designed.feature_cache,
        linear_probe=designed.linear_probe,
        warnings=trained.warnings,
        history=trained.history,
        step_timings=trained.timings,
        phases=footprint.phases,
    )


def environment() -> dict[str, Any]:
    """Return where the run was carried out."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
