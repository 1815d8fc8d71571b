"""Real data: are the explanations of each field's models above random? Faithfulness with intervals, sanity, stability.

  PLINTH_DATA=../shared/data python benchmarks/explanation_real.py [--only heart taiwan] [--json FILE]

Trains each experiment, shortened by the overrides below (or reads the run if its folder is finished), and reads the
record's ``explanation``. Short training changes how good a model is, not whether its explanations say what it does.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from table import with_interval


@dataclass(frozen=True)
class Set:
    """One real data set: the experiment that reads it, and what shortens it."""

    name: str
    domain: str
    overrides: tuple[str, ...]


SMALL = (
    "baseline=none",
    "evaluation.studies=false",
    "evaluation.resamples=100",
    "evaluation.resamples_slow=20",
)
FULL = ("explanation.share=1.0",)
"""All rows and all methods: the default share is a share of a whole training."""
SETS = (
    Set("heart", "healthcare", ("experiment=heart",)),
    Set("diabetes130", "healthcare", ("experiment=diabetes130", "training.epochs=1")),
    Set("mtsamples", "healthcare", ("experiment=mtsamples", "training.epochs=5")),
    Set("ham10000", "healthcare", ("experiment=ham10000", "training.epochs=3", "training.tta_views=1")),
    Set("mitbih", "healthcare", ("experiment=mitbih", "training.epochs=1")),
    Set("fdh_week", "finance", ("experiment=fdh_week", "training.epochs=1")),
    Set("taiwan", "finance", ("experiment=taiwan", "training.epochs=2")),
    Set("beetle", "education", ("experiment=beetle_unseen_answers", "training.epochs=4")),
    Set("gtsrb", "driving", ("experiment=gtsrb", "training.epochs=1")),
    Set("snips", "smarthome", ("experiment=snips", "training.epochs=2")),
    Set("occupancy", "smarthome", ("experiment=occupancy",)),
)


def measure(one: Set, runs: Path) -> dict[str, Any]:
    """Carry out (or read) one run and give what its record says of its explanations."""
    train = importlib.import_module(one.domain).train
    asked = (*one.overrides, *SMALL, *FULL)
    run = train(*asked, folder=runs / one.name)
    found = run.record.explanation
    assert found is not None, f"{runs / one.name}: the run has no explanation"
    kept = (
        "method",
        "rows",
        "unit",
        "headline",
        "detail",
        "faithfulness",
        "sanity",
        "stability",
        "comparison",
    )
    return {
        "name": one.name,
        "command": " ".join([f"python -m {one.domain}.train", *asked]),
        **{key: found[key] for key in (*kept, "by_group", "seconds")},
        "train_seconds": run.record.training.seconds,
    }


def main() -> None:
    """Measure the chosen sets and print a line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], choices=[one.name for one in SETS])
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark_explanation"))
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "explanation.json")
    given = parser.parse_args()
    for one in SETS:
        if given.only and one.name not in given.only:
            continue
        found = measure(one, given.runs)
        former = json.loads(given.json.read_text()) if given.json.exists() else []
        order = {s.name: n for n, s in enumerate(SETS)}
        both = sorted([*(r for r in former if r["name"] != one.name), found], key=lambda r: order[r["name"]])
        given.json.write_text(json.dumps(both, indent=1) + "\n")
        print(line(found), flush=True)
    sys.stdout.flush()


def line(found: dict[str, Any]) -> str:
    """Say in a line whether explanations are above random."""
    faith = found["faithfulness"]
    word = "above random" if faith["above_random"] else "NOT above random"
    figures = ", ".join(
        f"{name} {with_interval(faith[name] if faith[name]['value'] is not None else None)}"
        for name in ("deletion", "insertion")
    )
    sanity = found["sanity"]["value"]
    return (
        f"{found['name']:12} {found['method']:21} {found['rows']:4} rows  {word:17} {figures}"
        f"  permuted weights {'-' if sanity is None else f'{sanity:.2f}'}"
    )


if __name__ == "__main__":
    main()
