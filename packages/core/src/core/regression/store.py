"""The kept baselines of a domain: ``baseline.json``, which a person reviews, and the held-out predictions beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.atomic_io import write_atomically
from core.data.readers.files import sha256
from core.report.predictions import read_predictions, write_predictions

if TYPE_CHECKING:
    from core.targets.types import Predictions

DIGITS = 4
"""Significant digits of a kept value, and decimals of a kept probability: a diff shows changes, not rounding."""


@dataclass
class Measurement:
    """What one run of the gate gave."""

    seed: int
    values: dict[str, float] = field(default_factory=dict)
    """Quantity -> value, of what is not computed from predictions."""
    predictions: Predictions | None = None
    """Of the test set."""


@dataclass
class Baseline:
    """What is kept of a domain."""

    reason: str
    versions: dict[str, str]
    tasks: dict[str, list[Measurement]]


def rounded(value: float) -> float:
    """Return a value with four significant digits, whole numbers as they are.

    >>> rounded(0.840204), rounded(30483.0), rounded(123456.7)
    (0.8402, 30483.0, 123500.0)
    """
    if value == 0 or not np.isfinite(value) or float(value).is_integer():
        return float(value)
    return float(f"{value:.{DIGITS}g}")


def write_baseline(folder: Path, baseline: Baseline) -> Path:
    """Write ``baseline.json`` (sorted, rounded) and a Parquet file of predictions for each run; return its path."""
    kept = folder / "predictions"
    kept.mkdir(parents=True, exist_ok=True)
    tasks: dict[str, Any] = {}
    written = set()
    for name, runs in baseline.tasks.items():
        tasks[name] = {}
        for run in runs:
            entry: dict[str, Any] = {"values": {key: rounded(value) for key, value in run.values.items()}}
            if run.predictions is not None:
                path = kept / f"{name}-{run.seed}.parquet"
                scores = np.round(run.predictions.scores, DIGITS)
                write_predictions({"test": replace(run.predictions, scores=scores)}, path)
                entry["predictions"] = sha256(path)
                written.add(path.name)
            tasks[name][f"seed {run.seed}"] = entry
    for path in kept.glob("*.parquet"):
        if path.name not in written:
            path.unlink()
    content = {"reason": baseline.reason, "versions": baseline.versions, "tasks": tasks}
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_atomically(folder / "baseline.json", text)
    return folder / "baseline.json"


def read_baseline(folder: Path) -> Baseline:
    """Read what ``write_baseline`` wrote.

    Raises ValueError where there is none, where it is not readable, or where a file of predictions is another one.
    """
    path = folder / "baseline.json"
    if not path.is_file():
        raise ValueError(f"{path}: there is no baseline yet; write one with --renew --reason '...'")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        tasks = {
            name: [_run(folder, name, seed, entry) for seed, entry in runs.items()]
            for name, runs in content["tasks"].items()
        }
        return Baseline(str(content["reason"]), dict(content["versions"]), tasks)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a baseline of the gate ({error}); restore it, or renew it") from error


def _run(folder: Path, name: str, seed: str, entry: Mapping[str, Any]) -> Measurement:
    number = int(seed.removeprefix("seed "))
    found = Measurement(number, {key: float(value) for key, value in entry["values"].items()})
    if "predictions" in entry:
        path = folder / "predictions" / f"{name}-{number}.parquet"
        if not path.is_file() or sha256(path) != entry["predictions"]:
            raise ValueError(
                f"{path}: missing, or another file than baseline.json was written with; restore both, or renew them"
            )
        found.predictions = read_predictions(path, "test")
    return found


def changes(before: Baseline | None, after: Baseline) -> list[str]:
    """Return what a renewal changes, a line a value, for the person who reviews it."""
    lines = []
    for name, runs in after.tasks.items():
        old = {run.seed: run.values for run in before.tasks.get(name, [])} if before else {}
        for run in runs:
            for key, value in sorted(run.values.items()):
                former = old.get(run.seed, {}).get(key)
                if former is None or rounded(former) != rounded(value):
                    told = "new" if former is None else f"{former:g}"
                    lines.append(f"{name} (seed {run.seed}) {key}: {told} -> {rounded(value):g}")
    return lines
