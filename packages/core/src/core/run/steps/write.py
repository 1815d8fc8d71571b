"""Then write: one folder with the record, the weights, the encoder, the predictions and the page."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch

from core.atomic_io import write_atomically
from core.backbones.model import save_weights, trainable_parameters
from core.data.contract import DataContract
from core.data.readers.files import sha256
from core.data.section import data_section
from core.evaluation.section import GateSection, StudySection
from core.privacy.rng_key import destroy_key
from core.report.documents import write_documents
from core.report.predictions import write_predictions
from core.report.record import Record, plain, sealed, write_record
from core.report.run import SEALED, SEALED_SINCE, Run
from core.run.state import RunState
from core.training.precision import cpu_name
from core.training.section import TrainingSection
from core.training.torchrun_env import launch_command


def write(state: RunState) -> Run:
    """Write everything, record.json last: a folder that has one is a finished run, with all its documents."""
    evaluation = state.evaluated.evaluation
    save_weights(state.design.model, state.directory.path / "model.safetensors")
    kept = {
        "encoder": state.data.encoder.state(),
        "target": state.data.target.state(),
        "groups": state.data.groups.state(),
        "fields": asdict(state.data.dataset.roles),
        "unit_name": state.data.dataset.unit_name,
        "architecture": state.design.model.backbone.architecture,
    }
    write_atomically(state.directory.path / "encoder.json", json.dumps(plain(kept), ensure_ascii=False))
    contract = DataContract.fit(state.data.dataset)
    content = json.dumps(plain(contract.state()), ensure_ascii=False, indent=1)
    write_atomically(state.directory.path / "contract.json", content + "\n")
    write_predictions(evaluation.parts, state.directory.path / "predictions.parquet")
    record = Record.model_validate(
        plain(
            {
                "run": _run(state),
                "data": data_section(state.data.dataset, state.data.splits, state.data.findings),
                "model": _model(state),
                "training": _training(state),
                **evaluation.sections(),
                "studies": _studies(state),
                "baseline": None
                if state.evaluated.comparison is None
                else state.evaluated.comparison.section,
                "privacy": state.impact.privacy,
                "fairness": state.impact.fairness,
                "energy": state.footprint.energy,
                "performance": state.footprint.performance,
                "explanation": state.impact.explanation,
                "uncertainty": state.impact.uncertainty,
                "oversight": state.impact.oversight,
                "environment": environment(),
                "files": {
                    name: sha256(state.directory.path / name)
                    for name in (*SEALED, *SEALED_SINCE, "config.yaml")
                },
            }
        )
    )
    record = sealed(record)
    write_documents(record, state.directory.path)
    write_record(record, state.directory.path)
    destroy_key(state.directory.checkpoints)
    return Run(state.directory.path)


def _studies(state: RunState) -> dict[str, StudySection]:
    """Write the tables that studies leave as files, and return the rest for the record."""
    sections: dict[str, StudySection] = {}
    for name, (found, seconds) in state.evaluated.studies.items():
        for file, table in found.files.items():
            write_atomically(state.directory.path / "studies" / file, table.to_csv(index=False))
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


def _run(state: RunState) -> dict[str, Any]:
    return {
        "domain": state.directory.domain.name,
        "title": state.directory.domain.title,
        "task": state.task.name,
        "purpose": state.task.purpose,
        "started": state.directory.started,
        "finished": datetime.now(UTC),
        "command": launch_command(),
        "seed": state.config.seed,
        "status": "finished",
        "simulated": state.data.dataset.simulated,
        "config": state.directory.content,
    }


def _model(state: RunState) -> dict[str, Any]:
    return {
        "backbone": state.directory.content["backbone"]["option"],
        "adapter": state.directory.content["adapter"]["option"],
        "parameters": sum(p.numel() for p in state.design.model.parameters()),
        "trainable": trainable_parameters(state.design.model),
    }


def _training(state: RunState) -> TrainingSection:
    setup, precision = state.design.setup, state.design.setup.precision
    return TrainingSection(
        epochs=state.trained.steps / setup.epoch_steps,
        steps=state.trained.steps,
        planned_steps=setup.batches.steps,
        stopped_early=state.trained.steps < setup.batches.steps,
        stop_reason=state.trained.stop_reason,
        weights=state.trained.weights,
        best=state.trained.best,
        precision=precision.precision,
        precision_reason=precision.reason,
        bf16_speedup=precision.speedup,
        time_limit_minutes=state.training.max_minutes or None,
        seconds=state.footprint.phases["train"].seconds,
        device=str(state.design.device),
        processes=state.trained.processes,
        unsynchronized_batch_norm=state.trained.unsynchronized_batch_norm,
        feature_cache=state.design.feature_cache,
        linear_probe=state.design.linear_probe,
        warnings=state.trained.warnings,
        history=state.trained.history,
        step_timings=state.trained.timings,
        phases=state.footprint.phases,
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
