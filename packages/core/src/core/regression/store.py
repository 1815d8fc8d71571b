"""The kept baselines of a domain: ``baseline.json``, which a person reviews, and the held-out predictions beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.atomic_io import write_atomically
from core.data.readers.files import sha256
from core.regression.measurement import Measurement, rounded

if TYPE_CHECKING:
    from core.targets.types import Predictions

FILE, FOLDER = "baseline.json", "predictions"
ROW_FACT = "gate:"
"""Prefix of the columns that hold ``Measurement.rows``."""


@dataclass
class Baseline:
    """What is kept of a domain."""

    reason: str
    versions: dict[str, str]
    tasks: dict[str, list[Measurement]]
    """Task -> one measurement a seed."""


def write_baseline(folder: Path, baseline: Baseline) -> Path:
    """Write ``baseline.json`` (sorted, rounded) and a Parquet file of predictions for each run; return its path."""
    kept = folder / FOLDER
    kept.mkdir(parents=True, exist_ok=True)
    tasks: dict[str, Any] = {}
    written = set()
    for name, runs in baseline.tasks.items():
        tasks[name] = {}
        for run in runs:
            entry: dict[str, Any] = {
                "simulated": run.simulated,
                "values": {key: rounded(value) for key, value in run.values.items()},
            }
            if run.predictions is not None:
                path = kept / f"{name}-{run.seed}.parquet"
                _write_predictions(run.predictions, run.rows, path)
                entry["predictions"] = sha256(path)
                written.add(path.name)
            tasks[name][f"seed {run.seed}"] = entry
    content = {"reason": baseline.reason, "versions": baseline.versions, "tasks": tasks}
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    write_atomically(folder / FILE, text)
    for path in kept.glob("*.parquet"):
        if path.name not in written:
            path.unlink()
    return folder / FILE


def read_baseline(folder: Path) -> Baseline:
    """Read what ``write_baseline`` wrote.

    Raises ValueError where there is none, where it is not readable, or where a file of predictions is another one.
    """
    path = folder / FILE
    if not path.is_file():
        raise ValueError(f"{path}: there is no baseline yet; write one with --renew --reason '...'")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        tasks = {
            str(name): sorted(
                (_run(folder, str(name), seed, entry) for seed, entry in runs.items()),
                key=lambda run: run.seed,
            )
            for name, runs in content["tasks"].items()
        }
        return Baseline(str(content["reason"]), dict(content["versions"]), tasks)
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not a baseline of the gate ({error}); restore it, or renew it") from error


def read_if_any(folder: Path) -> Baseline | None:
    """Return the baseline in a folder; None where there is none yet, or none that can be read."""
    try:
        return read_baseline(folder)
    except ValueError:
        return None


def _run(folder: Path, name: str, seed: str, entry: Mapping[str, Any]) -> Measurement:
    number = int(seed.removeprefix("seed "))
    values = {str(key): float(value) for key, value in entry["values"].items()}
    found = Measurement(number, values, simulated=bool(entry["simulated"]))
    if "predictions" in entry:
        path = folder / FOLDER / f"{name}-{number}.parquet"
        if not path.is_file() or sha256(path) != entry["predictions"]:
            raise ValueError(
                f"{path}: missing, or another file than {FILE} was written with; restore both, or renew them"
            )
        found.predictions, found.rows = _read_predictions(path)
    return found


def _write_predictions(predictions: Predictions, rows: Mapping[str, Any], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from core.report.predictions import write_predictions

    write_predictions({"test": predictions}, path)
    table = pq.read_table(path)
    for name, values in sorted(rows.items()):
        table = table.append_column(ROW_FACT + name, pa.array(np.round(values, 4), pa.float32()))
    pq.write_table(table, path, compression="zstd", compression_level=19)


def _read_predictions(path: Path) -> tuple[Predictions, dict[str, Any]]:
    import pyarrow.parquet as pq

    from core.report.predictions import read_predictions

    table = pq.read_table(path)
    rows = {
        name.removeprefix(ROW_FACT): np.asarray(table.column(name).to_numpy(), np.float64)
        for name in table.column_names
        if name.startswith(ROW_FACT)
    }
    return read_predictions(path, "test"), rows


def changes(before: Baseline | None, after: Baseline) -> list[str]:
    """Return what a renewal changes, a line a value, for the person who reviews it."""
    lines = []
    for name, runs in sorted(after.tasks.items()):
        old = {run.seed: run for run in before.tasks.get(name, [])} if before else {}
        for run in runs:
            former = old.pop(run.seed, None)
            lines += [f"{name}, seed {run.seed}: {line}" for line in _changed(former, run)]
        lines += [f"{name}, seed {seed}: left out" for seed in old]
    gone = sorted(set(before.tasks) - set(after.tasks)) if before else []
    return [*lines, *(f"{name}: left out" for name in gone)]


def _changed(former: Measurement | None, run: Measurement) -> list[str]:
    if former is None:
        return ["new"]
    lines = []
    for key in sorted({*former.values, *run.values}):
        old, new = former.values.get(key), run.values.get(key)
        if old is None or new is None or rounded(old) != rounded(new):
            lines.append(f"{key} {_number(old)} -> {_number(new)}")
    if run.predictions is not None and former.predictions is not None:
        if len(run.predictions) != len(former.predictions):
            lines.append(f"{len(former.predictions)} -> {len(run.predictions)} test rows")
        else:
            same = np.all(
                np.isclose(run.predictions.scores, former.predictions.scores, atol=2e-4).reshape(
                    len(run.predictions), -1
                ),
                axis=1,
            )
            if not same.all():
                lines.append(f"predictions of {int((~same).sum())} of {len(same)} test rows")
    return lines


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{rounded(value):g}"


def merged(before: Baseline | None, fresh: Baseline, defined: Sequence[str]) -> Baseline:
    """Return the baseline after some tasks were measured anew: those of ``defined`` that were not are kept."""
    kept = {} if before is None else {n: r for n, r in before.tasks.items() if n in defined}
    return Baseline(fresh.reason, fresh.versions, {**kept, **fresh.tasks})
