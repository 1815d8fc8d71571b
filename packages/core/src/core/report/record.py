"""The record of a run: its schema, how it is written, and how it is read and checked."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from core.atomic_io import write_atomically
from core.backbones.section import ModelSection
from core.config.section import Section
from core.data.section import DataSection
from core.energy.section import EnergySection, PerformanceSection
from core.evaluation.section import (
    BaselineSection,
    CalibrationSection,
    CurvesSection,
    DecisionCurveSection,
    GroupTableSection,
    IntervalsSection,
    Metrics,
    StudySection,
    ThresholdsSection,
)
from core.explanation.section import ExplanationSection
from core.fairness.section import FairnessSection
from core.oversight.section import OversightSection, UncertaintySection
from core.privacy.section import PrivacySection
from core.report.upgrade.record import upgrade_record
from core.training.section import TrainingSection

SCHEMA_VERSION = 2

Json = Any


class RunSection(Section):
    """Which run this is."""

    domain: str
    title: str | None = None
    """The domain's name for people."""
    task: str
    purpose: str | None = None
    """What the task is for, as its makers declare it."""
    started: str | None = None
    """ISO 8601 with offset."""
    finished: str | None = None
    command: str | None = None
    seed: int | None = None
    status: str = "finished"
    simulated: bool = False
    config: dict[str, Json] = Field(default_factory=dict)
    """The whole configuration, each group's option under ``option``: what the run is opened with again."""


class EnvironmentSection(Section):
    """Where the run was executed."""

    python: str | None = None
    torch: str | None = None
    platform: str | None = None
    cpu: str | None = None
    gpu: str | None = None
    threads: int | None = None
    git: str | None = None
    """Commit of the working tree."""


class Record(Section):
    """All that is known of one run. What a run has not measured is null."""

    schema_version: int = SCHEMA_VERSION
    """Version of this schema; records of earlier ones are converted when they are read."""
    run: RunSection
    data: DataSection
    model: ModelSection
    training: TrainingSection = Field(default_factory=TrainingSection)
    metrics: Metrics = Field(default_factory=dict)
    """Metric -> estimate on the test set; the first is the headline metric."""
    validation_metrics: Metrics = Field(default_factory=dict)
    """Metric -> estimate on the validation set."""
    intervals: IntervalsSection = Field(default_factory=IntervalsSection)
    thresholds: ThresholdsSection = Field(default_factory=ThresholdsSection)
    calibration: CalibrationSection = Field(default_factory=CalibrationSection)
    decision_curve: DecisionCurveSection | None = None
    curves: CurvesSection = Field(default_factory=CurvesSection)
    groups: dict[str, GroupTableSection] = Field(default_factory=dict)
    """Attribute, or a pair of them, -> metrics of its groups."""
    studies: dict[str, StudySection] = Field(default_factory=dict)
    """Study of the task -> what it found."""
    baseline: BaselineSection | None = None
    privacy: PrivacySection | None = None
    """The privacy statement and its audit, or the membership inference attack on a run without a guarantee."""
    fairness: FairnessSection | None = None
    energy: EnergySection | None = None
    performance: PerformanceSection | None = None
    explanation: ExplanationSection | None = None
    uncertainty: UncertaintySection | None = None
    oversight: OversightSection | None = None
    environment: EnvironmentSection = Field(default_factory=EnvironmentSection)
    files: dict[str, str] = Field(default_factory=dict)
    """File of the run folder -> sha256."""
    seal: str | None = None
    """sha256 of everything above, so that an altered record is noticed."""


def plain(value: Any) -> Json:
    """Turn numbers of numpy, paths, dates, dataclasses and models into JSON values; NaN and infinity into null.

    Raises ``TypeError`` for what has no JSON form, naming its type.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, BaseModel):
        return plain(value.model_dump())
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if hasattr(value, "tolist"):  # numpy scalars and arrays, torch tensors: no import needed
        return plain(value.tolist())
    raise TypeError(f"a {type(value).__name__} has no place in a record: {value!r}")


def sealed(record: Record) -> Record:
    """Return the record with the seal that ``write_record`` writes, for documents that quote it."""
    return record.model_copy(update={"seal": _seal(plain(record))})


def write_record(record: Record, folder: Path) -> Path:
    """Write ``record.json`` into the folder, sealed, atomically; return its path."""
    content = plain(sealed(record))
    path = folder / "record.json"
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def read_record(folder: Path) -> Record:
    """Read and validate ``record.json``; one of schema_version 1 is upgraded in memory and keeps its seal.

    Raises ``ValueError`` when it is missing, not JSON, of an unknown schema version, altered after it was
    written, or has a value that doesn't fit, saying which and what to do.
    """
    path = folder / "record.json"
    if not path.is_file():
        raise ValueError(f"{path}: not found; is {folder} the folder of a finished run?")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not readable as JSON ({error}); run the training again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__}, not a record; run the training again")
    version = content.get("schema_version")
    if version not in (1, SCHEMA_VERSION):
        raise ValueError(
            f"{path}: schema_version is {version!r}, this plinth-core reads {SCHEMA_VERSION} and 1; "
            "open the run with the plinth-core that wrote it, or train again with this one"
        )
    if content.get("seal") != _seal(content):
        raise ValueError(
            f"{path}: altered after the run wrote it (its seal doesn't fit); "
            "restore the original file, or train again"
        )
    if version == 1:
        content = upgrade_record(content)
    try:
        return Record.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{path}: {_explained(error)}; run the training again") from error


def _seal(content: Mapping[str, Json]) -> str:
    sealed = {key: value for key, value in content.items() if key != "seal"}
    text = json.dumps(sealed, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _explained(error: ValidationError) -> str:
    """Return the first few faults: where each is, what it holds and what is expected."""
    faults = [
        f"{'.'.join(str(step) for step in fault['loc'])}: {fault['msg'].lower()}"
        + ("" if fault["type"] == "missing" else f" (found {str(fault['input'])[:60]!r})")
        for fault in error.errors()[:5]
    ]
    more = error.error_count() - len(faults)
    return "; ".join(faults) + (f"; and {more} more" if more > 0 else "")
