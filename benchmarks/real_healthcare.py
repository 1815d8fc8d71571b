"""Healthcare on real data: the model and its classical challenger on the same splits, over seeds.

PLINTH_DATA=... python benchmarks/real_healthcare.py [--only heart ...] [--runs FOLDER] [--json FILE]
A run that is finished in FOLDER is read, not repeated.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scipy.stats import t as student
from table import shown

import healthcare


@dataclass(frozen=True)
class Row:
    """One line of the table: an experiment, its repetitions and the figures that count."""

    name: str
    experiment: str
    metrics: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    repeats: list[tuple[str, ...]] = field(default_factory=lambda: [(f"seed={s}",) for s in range(3)])
    group: int = 1
    """Runs that are averaged before the interval is made (the folds of one partition)."""


FOLDS = [(f"data.repeat={r}", f"data.fold={f}", f"seed={r}") for r in range(5) for f in range(5)]
ROWS = [
    Row("diabetes130, readmission within 30 days", "diabetes130", ("auroc", "auprc")),
    Row("uci_heart Cleveland, 5 x 5 folds", "heart", ("auroc",), repeats=FOLDS, group=5),
    Row("mtsamples, all specialties of a note", "mtsamples", ("macro_f1", "micro_f1")),
    Row("mtsamples, rarest specialty", "mtsamples_rarest", ("macro_f1", "accuracy")),
    Row("ham10000, seven skin lesions", "ham10000", ("macro_auroc", "balanced_accuracy", "auroc_mel")),
    Row(
        "ham10000, timm ResNet-18 in the same time",
        "ham10000_resnet18",
        ("macro_auroc", "balanced_accuracy", "auroc_mel"),
    ),
    Row("mitbih, beats between patients", "mitbih", ("macro_f1", "balanced_accuracy")),
]


def interval(values: list[float]) -> dict[str, float | None]:
    """Give the mean and its 95 % Student interval over repetitions."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return {"value": mean, "low": None, "high": None}
    half = float(student.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
    return {"value": mean, "low": mean - half, "high": mean + half}


def grouped(values: list[float], size: int) -> list[float]:
    """Average neighbours, such as the folds of one partition."""
    return [statistics.fmean(values[i : i + size]) for i in range(0, len(values), size)]


def measure(row: Row, runs: Path) -> dict[str, Any]:
    """Carry out (or read) every repetition of a row."""
    ours: dict[str, list[float]] = {m: [] for m in row.metrics}
    theirs: dict[str, list[float]] = {m: [] for m in row.metrics}
    seconds, challenger = [], None
    for repeat in row.repeats:
        folder = runs / row.experiment / "_".join(part.replace("data.", "") for part in repeat)
        run = healthcare.train(f"experiment={row.experiment}", *row.overrides, *repeat, folder=folder)
        seconds.append(run.record.training.seconds or 0.0)
        for metric in row.metrics:
            value = run.metrics[metric].value
            assert value is not None, f"{folder}: {metric} is undefined"
            ours[metric].append(value)
            if run.record.challenger is not None:
                other = run.record.challenger.metrics[metric].value
                assert other is not None
                theirs[metric].append(other)
        challenger = run.record.challenger.name if run.record.challenger else None
    return {
        "name": row.name,
        "command": f"python -m healthcare.train experiment={row.experiment}",
        "repeats": len(row.repeats),
        "train_seconds": statistics.median(seconds),
        "metrics": {m: interval(grouped(v, row.group)) for m, v in ours.items()},
        "challenger": challenger,
        "challenger_metrics": {m: interval(grouped(v, row.group)) for m, v in theirs.items() if v},
    }


def main() -> None:
    """Measure the chosen rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], choices=[r.experiment for r in ROWS])
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark_healthcare"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = []
    for row in ROWS:
        if given.only and row.experiment not in given.only:
            continue
        rows.append(measure(row, given.runs))
        print(json.dumps(rows[-1]), file=sys.stderr)
        if given.json:
            former = json.loads(given.json.read_text()) if given.json.exists() else []
            kept = [r for r in former if r["name"] != rows[-1]["name"]]
            order = {r.name: n for n, r in enumerate(ROWS)}
            both = sorted([*kept, rows[-1]], key=lambda r: order[r["name"]])
            given.json.write_text(json.dumps(both, indent=1) + "\n")
    for found in rows:
        for metric, figure in found["metrics"].items():
            other = found["challenger_metrics"].get(metric)
            beside = f"{found['challenger']} {shown(other)}" if other else ""
            print(f"{found['name']:44} {metric:18} {shown(figure):28} {beside}")


if __name__ == "__main__":
    main()
