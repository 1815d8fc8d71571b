"""What the gate runs: a domain's ``regression/gate.yaml``, read and checked. Imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from core.config.validate import config_error
from core.domain import Domain

GROUP = "plinth.domains"
"""Entry points by which installed domain packages are found."""
ALPHA = 0.01
"""Chance that a call fails although nothing got worse, over all its comparisons together."""
COMMON = (
    "training.progress=none",
    "explanation=none",
    "baseline=none",
    "privacy.attack=none",
    "evaluation.studies=false",
    "evaluation.resamples=20",
    "evaluation.resamples_slow=20",
    "threads=1",
)
"""Overrides of every run: what the gate measures itself, or does not need."""
MARGINS: dict[str, float] = {
    "auroc": 0.01,
    "auprc": 0.02,
    "macro_auroc": 0.01,
    "accuracy": 0.015,
    "balanced_accuracy": 0.02,
    "macro_f1": 0.02,
    "micro_f1": 0.015,
    "log_loss": 0.03,
    "brier": 0.01,
    "ece": 0.02,
    "calibration_slope": 0.1,
    "calibration_intercept": 0.2,
    "qwk": 0.02,
    "rmse": 0.1,
    "mae": 0.1,
    "miou": 0.02,
    "pixel_accuracy": 0.015,
    "intent_accuracy": 0.015,
    "slot_f1": 0.015,
    "exact_match": 0.02,
    "group": 0.06,
    "rows decided rightly": 0.015,
    "prediction sets cover": 0.03,
    "size of prediction sets": 0.1,
    "rows referred to a human": 0.05,
    "threshold": 0.03,
    "floating-point operations a row": 0.01,
    "trainable parameters": 0.0,
    "bytes of the weights": 0.01,
    "step over a bare loop": 0.15,
    "energy of a step over a bare loop": 0.25,
    "latency over a bare forward pass": 0.35,
    "modules imported by --help": 0.05,
    "time of --help over a reference": 0.25,
}
"""Quantity -> drop that is let pass. Those of compute are fractions of the former value."""


@dataclass(frozen=True)
class TaskSpec:
    """A run of the gate: overrides, seeds, and what it may lose."""

    name: str
    overrides: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    needs: str = ""
    """Folder below PLINTH_DATA without which the task is left out."""
    margins: dict[str, float] = field(default_factory=dict)
    bars: dict[str, float] = field(default_factory=dict)
    """Pointer into the record (``metrics.auroc.value``) -> value that must be reached whatever the baseline says."""
    probe: bool = False
    """Also measure compute, serving parity and splits on it."""


@dataclass(frozen=True)
class GateConfig:
    """The gate of one domain."""

    domain: Domain
    folder: Path
    tasks: tuple[TaskSpec, ...]
    help_verbs: tuple[str, ...] = ("train",)


def installed_domains() -> dict[str, Domain]:
    """Return the domains whose packages are installed here: name -> Domain.

    Raises ValueError where there is none.
    """
    found = {entry.name: entry.load() for entry in entry_points(group=GROUP)}
    if not found:
        raise ValueError(
            "no domain package is installed here: install one, for example pip install plinth-finance"
        )
    return dict(sorted(found.items()))


def read_gate(domain: Domain, tasks: Sequence[str] = ()) -> GateConfig:
    """Return a domain's gate, all of it or the tasks named.

    Raises ValueError for a package without ``regression/gate.yaml``, an unknown task, or a key that is none.
    """
    folder = Path(str(files(domain.name))) / "regression"
    path = folder / "gate.yaml"
    if not path.is_file():
        raise ValueError(f"{path}: not there; a domain's gate is a file of tasks, seeds and margins")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    specs = tuple(_task(path, name, entry or {}) for name, entry in content.pop("tasks").items())
    margins = content.pop("margins", {})
    if content:
        raise ValueError(f"{path}: {', '.join(content)}: no such key; there are tasks and margins")
    specs = tuple(_with_margins(spec, margins) for spec in specs)
    known = [spec.name for spec in specs]
    for name in tasks:
        if name not in known:
            raise config_error("--task", name, f"{domain.name} has {', '.join(known)}")
    return GateConfig(domain, folder, tuple(spec for spec in specs if not tasks or spec.name in tasks))


def _task(path: Path, name: str, entry: dict[str, Any]) -> TaskSpec:
    entry = dict(entry)
    overrides = tuple(str(o) for o in entry.pop("overrides", [f"task={name}"]))
    seeds = tuple(int(s) for s in entry.pop("seeds", [0]))
    spec = TaskSpec(
        name,
        overrides,
        seeds,
        str(entry.pop("needs", "")),
        {str(k): float(v) for k, v in entry.pop("margins", {}).items()},
        {str(k): float(v) for k, v in entry.pop("bars", {}).items()},
        bool(entry.pop("probe", False)),
    )
    if entry:
        raise ValueError(f"{path}: tasks.{name}.{next(iter(entry))}: no such key")
    return spec


def _with_margins(spec: TaskSpec, margins: dict[str, float]) -> TaskSpec:
    return TaskSpec(
        spec.name,
        spec.overrides,
        spec.seeds,
        spec.needs,
        {**MARGINS, **margins, **spec.margins},
        spec.bars,
        spec.probe,
    )


def application(domain: Domain, verb: str) -> Any:
    """Return a verb of a domain as its package offers it."""
    return getattr(importlib.import_module(domain.name), verb)
