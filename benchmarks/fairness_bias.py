"""The fairness audit against ground truth: is a planted bias detected, and is there no false alarm without one?

python benchmarks/fairness_bias.py [--only healthcare ...] [--first 3] [--seeds 20] [--runs FOLDER] [--json FILE]
One training of each domain's default task for each seed (of the data and of the run), with the planted bias and with
task.simulated_bias=0. Detected: the interval of a comparison that involves the disadvantaged group excludes 0. False
alarm: any comparison of that attribute does where nothing was planted; intersections with other attributes are left
out, as these may differ. Intervals are simultaneous at 95 %, so one run in twenty may raise a false alarm. Seeds begin
at 3 (education was measured from 20 on): rows and epochs were chosen on earlier ones. A finished run in FOLDER is read,
not repeated.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from scipy.stats import binom

DOMAINS: dict[str, tuple[str, ...]] = {
    "healthcare": ("task=records", "data.rows=12000"),
    "finance": ("task=fraud", "data.rows=12000", "training.epochs=3"),
    "education": ("task=answers", "data.rows=12000", "training.epochs=1"),
    "driving": ("task=signs", "data.rows=8000", "training.epochs=1"),
    "smarthome": ("task=commands",),
}
"""Domain -> its default task, with more rows where the default's test set has too little power (4000 rows in all: 800
patients, 80 customers), and for fewer epochs, so that a run takes half a minute and night signs keep some errors."""
BARE = (
    "evaluation.studies=false", "evaluation.resamples_slow=20", "baseline=none", "explanation=none",
    "oversight=none", "energy=none", "privacy.attack=none", "training.progress=none",
)  # fmt: skip
"""Assessments switched off."""
LEVEL = 0.05


def audited(domain: str, overrides: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Train (or read) a run and return what its audit found in the planted attribute."""
    start = time.perf_counter()
    run = importlib.import_module(domain).train(*overrides, *BARE, folder=folder)
    section, bias = run.record.fairness, run.record.data.ground_truth["bias"]
    assert section is not None
    own = [line for line in section.comparisons if line.attribute == bias["attribute"]]
    flagged = [line for line in own if line.found]
    hits = [line for line in flagged if bias["against"] in (line.group, line.against)]
    largest = max(own, key=lambda line: abs(line.difference.value or 0.0), default=None)
    return {
        "attribute": bias["attribute"],
        "against": bias["against"],
        "found": bool(hits),
        "alarm": bool(flagged),
        "comparisons": len(section.comparisons),
        "metrics": sorted({line.metric for line in flagged}),
        "largest": None
        if largest is None
        else {
            "metric": largest.metric,
            "difference": largest.difference.value,
            "low": largest.difference.low,
            "high": largest.difference.high,
        },
        "seconds": time.perf_counter() - start,
    }


def measure(domain: str, start: int, seeds: int, runs: Path) -> dict[str, Any]:
    """Audit a domain over seeds, with and without the planted bias."""
    task = DOMAINS[domain]
    found: dict[str, list[dict[str, Any]]] = {"planted": [], "unbiased": []}
    for seed in range(start, start + seeds):
        for name, overrides in (("planted", ()), ("unbiased", ("task.simulated_bias=0.0",))):
            folder = runs / domain / f"{name}_{seed}"
            found[name].append(audited(domain, (*task, *overrides, f"seed={seed}"), folder))
            print(f"{domain} {name} {seed}: {json.dumps(found[name][-1])}", file=sys.stderr)
    alarms = sum(one["alarm"] for one in found["unbiased"])
    first = found["planted"][0]
    return {
        "domain": domain,
        "command": " ".join([f"python -m {domain}.train", *task, *BARE]),
        "attribute": first["attribute"],
        "against": first["against"],
        "first_seed": start,
        "seeds": seeds,
        "found": sum(one["found"] for one in found["planted"]),
        "alarms": alarms,
        "level": LEVEL,
        "chance_of_so_many_alarms": float(binom.sf(alarms - 1, seeds, LEVEL)),
        "runs": found,
    }


def main() -> None:
    """Measure the chosen domains and print a line for each."""
    assert __doc__
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], choices=list(DOMAINS))
    parser.add_argument("--first", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark_fairness"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    measured = []
    for domain in given.only or DOMAINS:
        found = measure(domain, given.first, given.seeds, given.runs)
        measured.append(found)
        if given.json:
            former = json.loads(given.json.read_text()) if given.json.exists() else []
            kept = [row for row in former if row["domain"] != domain]
            order = list(DOMAINS)
            both = sorted([*kept, found], key=lambda row: order.index(row["domain"]))
            given.json.write_text(json.dumps(both, indent=1) + "\n")
    for found in measured:
        print(
            f"{found['domain']:12} {found['attribute']}: {found['against']:24} detected {found['found']} of "
            f"{found['seeds']}   false alarms {found['alarms']} of {found['seeds']}"
        )


if __name__ == "__main__":
    main()
