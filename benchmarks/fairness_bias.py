"""The audit on data with a known truth: is a planted bias found, and is there no alarm where none was planted?

python benchmarks/fairness_bias.py [--only healthcare ...] [--first 3] [--seeds 20] [--runs FOLDER] [--json FILE]
One training of each domain's default task for each seed (of the data and of the run), with the bias as planted and
with task.bias=0. Found: a comparison of the planted attribute, the disadvantaged group on either side, whose interval
leaves out zero. False alarm: any comparison of that attribute found where nothing was planted; pairs of attributes are
left out, whose other half may truly differ. Intervals hold for all comparisons of a run at once at 95 %, so at most one
run in twenty may raise an alarm. Seeds begin at 3 (education was measured from 20 on): rows and epochs were settled on
earlier ones. A run that is finished in FOLDER is read, not repeated.
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
"""Domain -> its default task, with more rows where the default's test part is too small to tell (4000 rows in all: 800
patients, 80 customers), and for fewer epochs, so that a run takes half a minute and night signs are not all learnt."""
BARE = (
    "evaluation.studies=false", "evaluation.resamples_slow=20", "baseline=none", "explanation=none",
    "oversight=none", "energy=none", "privacy.attack=none", "training.progress=none",
)  # fmt: skip
"""What the audit does not need."""
LEVEL = 0.05


def audited(domain: str, overrides: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Carry out (or read) a run and tell what its audit says of the planted attribute."""
    begun = time.perf_counter()
    run = importlib.import_module(domain).train(*overrides, *BARE, folder=folder)
    section, bias = run.record.fairness, run.record.data.model_extra["truth"]["bias"]
    own = [line for line in section["comparisons"] if line["attribute"] == bias["attribute"]]
    flagged = [line for line in own if line["found"]]
    hits = [line for line in flagged if bias["against"] in (line["group"], line["against"])]
    widest = max(own, key=lambda line: abs(line["difference"]), default=None)
    return {
        "attribute": bias["attribute"],
        "against": bias["against"],
        "found": bool(hits),
        "alarm": bool(flagged),
        "notions": sorted({line["notion"] for line in flagged}),
        "comparisons": len(section["comparisons"]),
        "widest": None if widest is None else {k: widest[k] for k in ("notion", "difference", "low", "high")},
        "seconds": time.perf_counter() - begun,
    }


def measure(domain: str, start: int, seeds: int, runs: Path) -> dict[str, Any]:
    """Judge a domain over seeds, with and without the bias."""
    task = DOMAINS[domain]
    told: dict[str, list[dict[str, Any]]] = {"planted": [], "unbiased": []}
    for seed in range(start, start + seeds):
        for name, overrides in (("planted", ()), ("unbiased", ("task.bias=0.0",))):
            folder = runs / domain / f"{name}_{seed}"
            told[name].append(audited(domain, (*task, *overrides, f"seed={seed}"), folder))
            print(f"{domain} {name} {seed}: {json.dumps(told[name][-1])}", file=sys.stderr)
    alarms = sum(one["alarm"] for one in told["unbiased"])
    first = told["planted"][0]
    return {
        "domain": domain,
        "command": " ".join([f"python -m {domain}.train", *task, *BARE]),
        "attribute": first["attribute"],
        "against": first["against"],
        "first_seed": start,
        "seeds": seeds,
        "found": sum(one["found"] for one in told["planted"]),
        "alarms": alarms,
        "level": LEVEL,
        "chance_of_so_many_alarms": float(binom.sf(alarms - 1, seeds, LEVEL)),
        "runs": told,
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
            f"{found['domain']:12} {found['attribute']}: {found['against']:24} found {found['found']} of "
            f"{found['seeds']}   alarms without bias {found['alarms']} of {found['seeds']}"
        )


if __name__ == "__main__":
    main()
