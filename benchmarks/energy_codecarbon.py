"""Energy by Plinth's meter and by CodeCarbon on the same work at the same time, and why they differ.

    python benchmarks/energy_codecarbon.py [--json FILE] [--seconds 8] [--repeats 3]

Work: training steps of a small Transformer in one thread; the same twice over; nothing at all (sleep). CodeCarbon
(pip install codecarbon) measures in both of its modes, process and machine. Printed for each case: joules of each by
component, and their ratio. Twice the work must be twice the energy, and doing nothing must cost this process nothing:
that distinguishes a meter of a run from one of a machine.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from core.energy.config import MeasuredEnergy
from core.energy.meter import JOULES_PER_WH, Meter

KWH = 1e3 * JOULES_PER_WH
MODES = ("process", "machine")


def network() -> Callable[[int], None]:
    """Return a training loop that spends energy."""
    torch.manual_seed(0)
    model = torch.nn.TransformerEncoder(
        torch.nn.TransformerEncoderLayer(128, 4, 256, batch_first=True, dropout=0.0), 2
    )
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    rows = torch.randn(32, 32, 128)

    def steps(count: int) -> None:
        for _ in range(count):
            model(rows).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    return steps


def both(work: Callable[[], None]) -> dict[str, Any]:
    """Do the work once under all meters; return the joules of each by component."""
    from codecarbon import (
        OfflineEmissionsTracker,  # here: --help needs no package that this project does not install
    )

    trackers = {
        mode: OfflineEmissionsTracker(
            country_iso_code="DEU",
            tracking_mode=mode,
            save_to_file=False,
            measure_power_secs=1,
            log_level="critical",
            allow_multiple_runs=True,
        )
        for mode in MODES
    }
    for tracker in trackers.values():
        tracker.start()
    meter = Meter.of_machine(MeasuredEnergy())
    with meter.phase("work"):
        work()
    for tracker in trackers.values():
        tracker.stop()
    ours = meter.phases["work"]
    found: dict[str, Any] = {
        "seconds": ours.seconds,
        "processor_seconds": ours.processor_seconds,
        "ours": {**ours.joules, "total": ours.total},
        "how": {source.component: {"method": source.method, **source.parameters} for source in meter.sources},
    }
    for mode, tracker in trackers.items():
        reading = tracker.final_emissions_data
        found[f"codecarbon {mode}"] = {
            "processor": reading.cpu_energy * KWH,
            "memory": reading.ram_energy * KWH,
            "total": reading.energy_consumed * KWH,
        }
    found["codecarbon how"] = {"processor": reading.cpu_model, "ram GB": reading.ram_total_size}
    return found


def main() -> None:
    """Measure the three cases in turn, several times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    steps = network()
    steps(20)
    start = time.process_time()
    steps(50)
    count = max(round(given.seconds / ((time.process_time() - start) / 50)), 1)
    cases: dict[str, Callable[[], None]] = {
        "work": lambda: steps(count),
        "twice the work": lambda: steps(2 * count),
        "nothing": lambda: time.sleep(given.seconds),
    }
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in cases}
    for _ in range(given.repeats):
        for name, work in cases.items():
            measured[name].append(both(work))
    rows = []
    for name, found in measured.items():
        row: dict[str, Any] = {"name": name, "repeats": given.repeats, "how": found[0]["how"]}
        row["codecarbon how"] = found[0]["codecarbon how"]
        for key in ("seconds", "processor_seconds"):
            row[key] = statistics.median(f[key] for f in found)
        for meter in ("ours", *(f"codecarbon {mode}" for mode in MODES)):
            parts = {c for f in found for c in f[meter]}
            row[meter] = {c: statistics.median(f[meter].get(c, 0.0) for f in found) for c in sorted(parts)}
            totals = [f[meter]["total"] for f in found]
            row[meter]["spread"] = (max(totals) - min(totals)) / statistics.median(totals)
        rows.append(row)
        print(f"{name}: {row['seconds']:.1f} s, {row['processor_seconds']:.1f} s of CPU time")
        for meter in ("ours", *(f"codecarbon {mode}" for mode in MODES)):
            of = row[meter]
            ratio = of["total"] / row["ours"]["total"]
            print(
                f"  {meter:20} {of['total']:8.1f} J (processor {of['processor']:.1f}, memory {of['memory']:.1f}), "
                f"{ratio:.2f} x ours, repeats within {of['spread']:.0%}"
            )
    for meter in ("ours", *(f"codecarbon {mode}" for mode in MODES)):
        print(f"twice the work / work, {meter}: {rows[1][meter]['total'] / rows[0][meter]['total']:.2f}")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
