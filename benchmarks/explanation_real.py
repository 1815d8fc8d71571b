"""Explanations on real data: faithfulness against random orders, the test with permuted weights, stability.

  PLINTH_DATA=../shared/data python benchmarks/explanation_real.py [--only heart taiwan] [--json FILE]

Trains each experiment with the overrides below, which shorten it (or reads a finished run), and reads the record's
``explanation``. Short training changes how accurate a model is, not whether its explanations are faithful to it.
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
class DataSet:
    """A data set: the experiment that reads it, and what shortens it."""

    name: str
    domain: str
    overrides: tuple[str, ...]


SMALL = (
    "baseline=none",
    "evaluation.studies=false",
    "evaluation.resamples=100",
    "evaluation.resamples_slow=20",
)
FULL = ("explanation.compute_fraction=1.0",)
"""All rows and all methods: by default explaining may take a fraction of a whole training."""
DATA_SETS = (
    DataSet("heart", "healthcare", ("experiment=heart",)),
    DataSet("diabetes130", "healthcare", ("experiment=diabetes130", "training.epochs=1")),
    DataSet("mtsamples", "healthcare", ("experiment=mtsamples", "training.epochs=5")),
    DataSet("ham10000", "healthcare", ("experiment=ham10000", "training.epochs=3", "training.tta_views=1")),
    DataSet("mitbih", "healthcare", ("experiment=mitbih", "training.epochs=1")),
    DataSet("fdh_week", "finance", ("experiment=fdh_week", "training.epochs=1")),
    DataSet("taiwan", "finance", ("experiment=taiwan", "training.epochs=2")),
    DataSet("beetle", "education", ("experiment=beetle_unseen_answers", "training.epochs=4")),
    DataSet("gtsrb", "driving", ("experiment=gtsrb", "training.epochs=1")),
    DataSet("snips", "smarthome", ("experiment=snips", "training.epochs=2")),
    DataSet("occupancy", "smarthome", ("experiment=occupancy",)),
)


def measure(one: DataSet, runs: Path) -> dict[str, Any]:
    """Train (or read) one run and return what its record says of its explanations."""
    train = importlib.import_module(one.domain).train
    overrides = (*one.overrides, *SMALL, *FULL)
    run = train(*overrides, folder=runs / one.name)
    found = run.record.explanation
    assert found is not None, f"{runs / one.name}: the run has no explanation"
    kept = {
        "method", "rows", "feature_kind", "faithfulness", "sanity", "stability", "comparison", "by_group", "seconds"
    }  # fmt: skip
    return {
        "name": one.name,
        "command": " ".join([f"python -m {one.domain}.train", *overrides]),
        **found.model_dump(include=kept),
        "train_seconds": run.record.training.seconds,
    }


def main() -> None:
    """Measure the chosen data sets and print a line for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], choices=[one.name for one in DATA_SETS])
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark_explanation"))
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "explanation.json")
    given = parser.parse_args()
    for one in DATA_SETS:
        if given.only and one.name not in given.only:
            continue
        found = measure(one, given.runs)
        former = json.loads(given.json.read_text()) if given.json.exists() else []
        order = {s.name: n for n, s in enumerate(DATA_SETS)}
        both = sorted([*(r for r in former if r["name"] != one.name), found], key=lambda r: order[r["name"]])
        given.json.write_text(json.dumps(both, indent=1) + "\n")
        print(line(found), flush=True)
    sys.stdout.flush()


def line(found: dict[str, Any]) -> str:
    """Return a row as a line of text."""
    faith = found["faithfulness"]
    verdict = "above random" if faith["above_random"] else "NOT above random"
    areas = ", ".join(
        f"{name} {with_interval(faith[name] if faith[name]['value'] is not None else None)}"
        for name in ("deletion", "insertion")
    )
    sanity = found["sanity"]["value"]
    return (
        f"{found['name']:12} {found['method']:21} {found['rows']:4} rows  {verdict:17} {areas}"
        f"  permuted weights {'-' if sanity is None else f'{sanity:.2f}'}"
    )


if __name__ == "__main__":
    main()
