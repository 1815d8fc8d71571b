"""Overhead of the energy meter: the same training loop with and without it, in turn.

    python benchmarks/energy_overhead.py [--json FILE] [--pairs 40]

With it, each step calls the callback that computes the forecast and the stopping criterion of the budget (one is set,
so that the counters are read twice a second). The result is the median of the pairs' ratios with the 95 % interval of a
bootstrap over pairs, of wall clock and of CPU time; the goal is at most 1.005.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from loop_overhead import SCHEDULE_STEPS, Case, PlinthLoop, cases, in_turn, prepared, ratio

from core.energy.config import MeasuredEnergy
from core.energy.meter import Meter
from core.energy.training_energy import TrainingEnergy

GOAL = 1.005


def measure(case: Case, pairs: int, folder: Path) -> dict[str, Any]:
    """Time the loop with and without the meter in turn."""
    part, target, network = prepared(case)
    option = MeasuredEnergy(budget_wh=1e6)
    energy = TrainingEnergy.of(option, Meter.of_machine(option), SCHEDULE_STEPS)
    metered = PlinthLoop(network(), part, target, case.batch_size, folder / "with", energy)
    unmetered = PlinthLoop(network(), part, target, case.batch_size, folder / "without")
    mine, theirs, steps = in_turn(metered, unmetered, pairs)
    (wall, processor), low, high = ratio(mine, theirs)
    return {
        "name": case.name,
        "with_over_without": float(wall),
        "low": float(low[0]),
        "high": float(high[0]),
        "processor_with_over_without": float(processor),
        "processor_low": float(low[1]),
        "processor_high": float(high[1]),
        "pairs": pairs,
        "steps_per_chunk": steps,
        "goal": GOAL,
    }


def main() -> None:
    """Measure all cases, print a line for each, and write JSON where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--pairs", type=int, default=40)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(cases()):
            rows.append(row := measure(case, given.pairs, Path(folder, str(number))))
            print(
                f"{row['name']:42} with / without {row['with_over_without']:.4f} "
                f"({row['low']:.4f} to {row['high']:.4f}), "
                f"of CPU time {row['processor_with_over_without']:.4f} ({row['processor_low']:.4f} to "
                f"{row['processor_high']:.4f}); goal {GOAL}"
            )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
