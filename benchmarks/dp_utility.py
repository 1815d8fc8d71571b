"""Utility cost of differential privacy: healthcare on real data at epsilon 1, 3, 8 and without, over seeds.

PLINTH_DATA=... python benchmarks/dp_utility.py --runs FOLDER [--json FILE] [--seeds 3] [--only NAME] [--threads 2]

A finished run in FOLDER is read, not repeated; one that was interrupted resumes from its checkpoint.
Rows: ``name``, ``epsilon`` (null without), ``seed``, ``metric``, ``value``, ``low``, ``high``, ``difference`` (from the
run without privacy of the same seed), ``seconds`` (training). The first line says how long the rest takes.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import healthcare
from core.privacy.section import DPSection

EPSILONS = (None, 8.0, 3.0, 1.0)
BARE = (
    "baseline=none", "evaluation.studies=false", "fairness=none", "explanation=none", "oversight=none", "energy=none",
    "training.progress=none",
)  # fmt: skip
"""Assessments switched off."""


@dataclass(frozen=True)
class Case:
    """A data set: how it is trained without and with privacy, and the metric that is compared."""

    name: str
    non_private: tuple[str, ...]
    private: tuple[str, ...]
    metric: str
    minutes: tuple[float, float]
    """Expected minutes of a run without and with privacy, on two idle cores."""


CASES = (
    Case("diabetes130", ("experiment=diabetes130",), ("experiment=diabetes130_dp",), "auroc", (1.5, 2.5)),
    Case("ham10000", ("experiment=ham10000",), ("experiment=ham10000_dp",), "macro_auroc", (15, 1)),
)


def folder_of(runs: Path, case: Case, epsilon: float | None, seed: int) -> Path:
    """Return the folder of a run."""
    return runs / f"{case.name}-{'none' if epsilon is None else f'epsilon{epsilon:g}'}-seed{seed}"


def row(case: Case, epsilon: float | None, seed: int, runs: Path, threads: int) -> dict[str, Any]:
    """Train (or read) one run and return its row."""
    chosen = case.non_private if epsilon is None else (*case.private, f"privacy.epsilon={epsilon:g}")
    run = healthcare.train(
        *chosen, *BARE, f"seed={seed}", f"threads={threads}", folder=folder_of(runs, case, epsilon, seed),
    )  # fmt: skip
    record = run.record
    metric = record.metrics[case.metric]
    privacy = record.privacy if isinstance(record.privacy, DPSection) else None
    return {
        "name": case.name,
        "epsilon": epsilon,
        "spent": None if privacy is None else privacy.epsilon,
        "delta": None if privacy is None else privacy.delta,
        "noise_multiplier": None if privacy is None else privacy.noise_multiplier,
        "seed": seed,
        "metric": case.metric,
        "value": metric.value,
        "low": metric.low,
        "high": metric.high,
        "seconds": record.training.seconds,
    }


def main() -> int:
    """Measure the chosen data sets and budgets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--json", type=Path, help="write the rows here, after each run")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="names of the data sets")
    parser.add_argument("--epsilons", nargs="*", help="some of none, 8, 3, 1")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    wanted = [
        e
        for e in EPSILONS
        if options.epsilons is None or ("none" if e is None else f"{e:g}") in options.epsilons
    ]
    todo = [
        (case, seed, epsilon)
        for case in CASES
        if not options.only or case.name in options.only
        for seed in range(options.seeds)
        for epsilon in wanted
    ]
    left = sum(
        case.minutes[epsilon is not None]
        for case, seed, epsilon in todo
        if not (folder_of(options.runs, case, epsilon, seed) / "record.json").exists()
    )
    print(f"{len(todo)} runs, about {left:.0f} minutes left on two idle cores", flush=True)
    rows: list[dict[str, Any]] = []
    for case, seed, epsilon in todo:
        found = row(case, epsilon, seed, options.runs, options.threads)
        none = next(
            (r["value"] for r in rows if (r["name"], r["seed"], r["epsilon"]) == (case.name, seed, None)),
            None,
        )
        found["difference"] = None if none is None else found["value"] - none
        rows.append(found)
        print(
            f"{found['name']:12} epsilon {found['epsilon'] or 'none':>4}  seed {seed}  {found['metric']} "
            f"{found['value']:.4f} ({found['low']:.4f} to {found['high']:.4f})",
            flush=True,
        )
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
