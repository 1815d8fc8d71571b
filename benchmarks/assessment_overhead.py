"""The overhead of assessment: fairness, explanation and oversight beside training, on the five default runs.

    python benchmarks/assessment_overhead.py [--only healthcare ...] [--runs FOLDER] [--json FILE]

CPU time by phase, from the run's own meter (the meter itself is measured by energy_overhead.py); the goal
is at most a tenth of training. A finished run in FOLDER is read, not repeated.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

DOMAINS = ("healthcare", "finance", "education", "driving", "smarthome")
PHASES = {"fairness": ("fairness",), "explanation": ("explain",), "oversight": ("conformal", "deferral")}
"""Column of the table -> phases of the meter."""
GOAL = 0.1


def measure(domain: str, runs: Path) -> dict[str, Any]:
    """Run (or read) a domain's default run and return the CPU time of assessment and training."""
    run = importlib.import_module(domain).train("threads=1", "training.progress=none", folder=runs / domain)
    phases = {name: used.processor_seconds for name, used in run.record.training.phases.items()}
    assessment = {name: sum(phases[phase] for phase in own) for name, own in PHASES.items()}
    return {
        "domain": domain,
        "task": run.record.run.task,
        "train": phases["train"],
        **assessment,
        "all_phases": sum(phases.values()),
        "fraction": sum(assessment.values()) / phases["train"],
        "goal": GOAL,
    }


def main() -> None:
    """Measure the chosen domains and print a line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], choices=DOMAINS)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark_assessment"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = [measure(domain, given.runs) for domain in given.only or DOMAINS]
    for row in rows:
        parts = ", ".join(f"{name} {row[name]:.2f}" for name in PHASES)
        print(f"{row['domain']:12} {parts} s beside {row['train']:.1f} s of training: {row['fraction']:.1%}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
