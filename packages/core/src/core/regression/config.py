"""What the gate runs: a domain's ``regression/gate.yaml``, read and checked. Imports no torch."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from core.config.validate import config_error
from core.domain import Domain

ENTRY_POINTS = "plinth.domains"
"""Group of entry points by which installed domain packages are found."""
HELP_TASK = "help"
"""Name under which the cost of ``--help`` stands beside a domain's tasks."""
ALPHA = 0.01
"""Chance that a call fails although nothing got worse, over all its comparisons together."""
COMMON = (
    "training.precision=fp32",
    "training.progress=none",
    "explanation=none",
    "baseline=none",
    "evaluation.studies=false",
    "evaluation.resamples=20",
    "evaluation.resamples_slow=20",
    "device=cpu",
)
"""Overrides of every run: what can't be repeated (a precision that is timed), or what the gate measures itself."""


@dataclass(frozen=True)
class TaskSpec:
    """One task of the gate: its runs, and what they may lose."""

    name: str
    overrides: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    needs: str = ""
    """Folder below PLINTH_DATA without which the task is left out."""
    margins: Mapping[str, float] = field(default_factory=dict)
    """Quantity -> drop that is let pass: ``margins.yaml`` with the domain's and the task's own."""
    bars: Mapping[str, float] = field(default_factory=dict)
    """Pointer into the record (``metrics.auroc.value``) -> value that the first seed must reach."""

    @property
    def available(self) -> bool:
        """Return whether the data that the task needs are here."""
        if not self.needs:
            return True
        root = os.environ.get("PLINTH_DATA")
        return bool(root) and (Path(str(root)) / self.needs).exists()


@dataclass(frozen=True)
class GateConfig:
    """The gate of one domain."""

    domain: Domain
    folder: Path
    """Of gate.yaml and of the baseline that the package ships."""
    tasks: tuple[TaskSpec, ...]
    defined: tuple[str, ...]
    """Names of all its tasks, those that this call leaves out included."""

    def spec(self, task: str) -> TaskSpec:
        """Return one task."""
        return next(spec for spec in self.tasks if spec.name == task)


def installed_domains() -> dict[str, Domain]:
    """Return the domains whose packages are installed here: name -> Domain.

    Raises ValueError where there is none.
    """
    found = {entry.name: entry.load() for entry in entry_points(group=ENTRY_POINTS)}
    if not found:
        raise ValueError(
            "no domain package is installed here: install one, for example pip install plinth-finance"
        )
    return dict(sorted(found.items()))


def chosen_domains(names: Sequence[str]) -> list[Domain]:
    """Return the domains named, or all that are installed; raises ValueError for a name that is none."""
    known = installed_domains()
    for name in names:
        if name not in known:
            raise config_error("--domain", name, f"installed here: {', '.join(known)}")
    return [domain for name, domain in known.items() if not names or name in names]


@cache
def common_margins() -> dict[str, float]:
    """Return the margins of ``margins.yaml``."""
    text = files("core.regression").joinpath("margins.yaml").read_text(encoding="utf-8")
    return {str(name): float(value) for name, value in yaml.safe_load(text).items()}


def read_gate(domain: Domain) -> GateConfig:
    """Return a domain's gate.

    Raises ValueError for a package without ``regression/gate.yaml``, and for a key or a value that is none.
    """
    folder = Path(str(files(domain.name))) / "regression"
    path = folder / "gate.yaml"
    if not path.is_file():
        raise ValueError(f"{path}: not there; a domain's gate is a file of tasks, seeds and margins")
    try:
        content = _mapping(path, "the file", yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a YAML file: {error}") from error
    unknown = [key for key in content if key not in ("tasks", "margins")]
    if unknown:
        raise ValueError(f"{path}: {unknown[0]}: no such key; there are tasks and margins")
    margins = {**common_margins(), **_margins(path, "margins", content.get("margins"))}
    tasks = _mapping(path, "tasks", content.get("tasks"))
    specs = tuple(_task(path, str(name), entry, margins) for name, entry in tasks.items())
    return GateConfig(domain, folder, specs, tuple(spec.name for spec in specs))


def chosen_gates(domains: Sequence[str], tasks: Sequence[str]) -> list[GateConfig]:
    """Return the gates of the domains named with the tasks named; none named means all.

    Raises ValueError for a domain that is not installed, and for a task that none of them has.
    """
    gates = [read_gate(domain) for domain in chosen_domains(domains)]
    known = [name for gate in gates for name in gate.defined]
    for name in tasks:
        if name not in (*known, HELP_TASK):
            raise config_error("--task", name, f"there are {', '.join(known)} and {HELP_TASK}")
    kept = [
        GateConfig(
            gate.domain,
            gate.folder,
            tuple(spec for spec in gate.tasks if not tasks or spec.name in tasks),
            gate.defined,
        )
        for gate in gates
    ]
    return [gate for gate in kept if gate.tasks or HELP_TASK in tasks]


def _task(path: Path, name: str, entry: Any, margins: Mapping[str, float]) -> TaskSpec:
    where = f"tasks.{name}"
    if name == HELP_TASK:
        raise ValueError(f"{path}: {where}: a name that is taken, by the cost of --help")
    content = dict(_mapping(path, where, entry or {}))
    overrides = content.pop("overrides", [f"task={name}"])
    seeds = content.pop("seeds", [0])
    if not isinstance(overrides, list) or not all(isinstance(each, str) for each in overrides):
        raise ValueError(f"{path}: {where}.overrides: a list of texts, such as [task={name}]")
    if not isinstance(seeds, list) or not seeds or not all(type(each) is int for each in seeds):
        raise ValueError(f"{path}: {where}.seeds: a list of whole numbers, such as [0, 1]")
    spec = TaskSpec(
        name,
        tuple(overrides),
        tuple(seeds),
        str(content.pop("needs", "")),
        {**margins, **_margins(path, f"{where}.margins", content.pop("margins", {}))},
        _numbers(path, f"{where}.bars", content.pop("bars", {})),
    )
    if content:
        known = "overrides, seeds, needs, margins and bars"
        raise ValueError(f"{path}: {where}.{next(iter(content))}: no such key; there are {known}")
    return spec


def _margins(path: Path, where: str, value: Any) -> dict[str, float]:
    found = _numbers(path, where, value)
    for name, margin in found.items():
        if not margin >= 0:
            raise ValueError(f"{path}: {where}.{name}={margin:g}: 0 or more is needed")
    return found


def _mapping(path: Path, where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{path}: {where}: names with values are needed")
    return value


def _numbers(path: Path, where: str, value: Any) -> dict[str, float]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{path}: {where}: names with numbers are needed")
    for key, number in value.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"{path}: {where}.{key}={number!r}: a number is needed")
    return {str(key): float(number) for key, number in value.items()}


def application(domain: Domain, verb: str) -> Any:
    """Return a verb of a domain as its package offers it."""
    return getattr(importlib.import_module(domain.name), verb)
