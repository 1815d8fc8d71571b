"""Repeated runs on real data: a domain's model and its classical baseline on the same splits, over seeds."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scipy.stats import t as student
from table import with_interval


@dataclass(frozen=True)
class Row:
    """One line of the table: an experiment, its repetitions and its metrics."""

    name: str
    experiment: str
    metrics: tuple[str, ...]
    """Of the record's metrics; a name with a dot is ``study.metric``."""
    overrides: tuple[str, ...] = ()
    repeats: list[tuple[str, ...]] = field(default_factory=lambda: [(f"seed={s}",) for s in range(3)])
    group: int = 1
    """Runs that are averaged before the interval is computed (the folds of one partition)."""


def interval(values: list[float]) -> dict[str, float | None]:
    """Return the mean and its 95 % Student interval over repetitions."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return {"value": mean, "low": None, "high": None}
    half = float(student.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return {"value": mean, "low": mean - half, "high": mean + half}


def grouped(values: list[float], size: int) -> list[float]:
    """Return the means of consecutive values, such as the folds of one partition."""
    return [statistics.fmean(values[i : i + size]) for i in range(0, len(values), size)]


def measure(domain: str, row: Row, runs: Path) -> dict[str, Any]:
    """Run (or read) every repetition of a row and return its results."""
    ours: dict[str, list[float]] = {m: [] for m in row.metrics}
    theirs: dict[str, list[float]] = {m: [] for m in row.metrics}
    seconds, baseline = [], None
    for repeat in row.repeats:
        kind = "_".join([row.experiment, *row.overrides]).replace("/", "-")
        folder = runs / kind / "_".join(part.replace("data.", "") for part in repeat)
        train = importlib.import_module(domain).train
        run = train(f"experiment={row.experiment}", *row.overrides, *repeat, folder=folder)
        seconds.append(run.record.training.seconds or 0.0)
        for metric in row.metrics:
            study, dot, name = metric.partition(".")
            value = (run.record.studies[study].metrics[name] if dot else run.metrics[metric]).value
            assert value is not None, f"{folder}: {metric} is undefined"
            ours[metric].append(value)
            if run.record.baseline is not None and metric in run.record.baseline.metrics:
                other = run.record.baseline.metrics[metric].value
                assert other is not None, f"{folder}: the baseline's {metric} is undefined"
                theirs[metric].append(other)
        baseline = run.record.baseline.name if run.record.baseline else None
    return {
        "name": row.name,
        "command": " ".join([f"python -m {domain}.train experiment={row.experiment}", *row.overrides]),
        "repeats": len(row.repeats),
        "train_seconds": statistics.median(seconds),
        "metrics": {m: interval(grouped(v, row.group)) for m, v in ours.items()},
        "baseline": baseline,
        "baseline_metrics": {m: interval(grouped(v, row.group)) for m, v in theirs.items() if v},
    }


def main(domain: str, rows: Sequence[Row], text: str) -> None:
    """Measure the chosen rows of a domain, reading finished runs; ``text`` is the script's own --help."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], choices=[r.experiment for r in rows])
    parser.add_argument("--runs", type=Path, default=Path(f"runs/benchmark_{domain}"))
    parser.add_argument("--seeds", type=int, help="only the first repetitions (of folds: whole partitions)")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    measured = []
    for row in rows:
        if given.only and row.experiment not in given.only:
            continue
        if given.seeds:
            row = replace(row, repeats=row.repeats[: given.seeds * row.group])
        measured.append(measure(domain, row, given.runs))
        print(json.dumps(measured[-1]), file=sys.stderr)
        if given.json:
            former = json.loads(given.json.read_text()) if given.json.exists() else []
            kept = [r for r in former if r["name"] != measured[-1]["name"]]
            order = {r.name: n for n, r in enumerate(rows)}
            both = sorted([*kept, measured[-1]], key=lambda r: order.get(r["name"], len(order)))
            given.json.write_text(json.dumps(both, indent=1) + "\n")
    for found in measured:
        for metric, estimate in found["metrics"].items():
            other = found["baseline_metrics"].get(metric)
            beside = f"{found['baseline']} {with_interval(other)}" if other else ""
            print(f"{found['name']:44} {metric:18} {with_interval(estimate):28} {beside}")
