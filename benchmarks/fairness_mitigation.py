"""Mitigation on real data: the widest gap before and after each option, and its price in utility, over seeds.

PLINTH_DATA=... python benchmarks/fairness_mitigation.py [--only taiwan ...] [--options threshold ...] [--seeds 3]
    [--runs FOLDER] [--json FILE]
Each option is set beside the run with the audit alone on the same split (fairness.reference_run), so that its price is
paired. The gap is that of equalised odds, the wider of the differences of true and of false positive rates between the
groups of the attribute; a gap and a price are means over seeds with 95 % Student intervals. A run that is finished in
FOLDER is read, not repeated.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repeated_runs import interval

BARE = (
    "evaluation.studies=false", "evaluation.resamples_slow=50", "baseline=none", "explanation=none",
    "oversight=none", "energy=none", "privacy.attack=none", "training.progress=none",
)  # fmt: skip
"""What the comparison does not need."""


@dataclass(frozen=True)
class Case:
    """A real set and the attribute whose groups are compared."""

    domain: str
    experiment: str
    attribute: str
    metric: str
    """The figure the price is paid in."""


CASES = {
    "taiwan": Case("finance", "taiwan", "SEX", "auroc"),
    "diabetes130": Case("healthcare", "diabetes130", "race", "auroc"),
}
OPTIONS: dict[str, tuple[str, ...]] = {
    "reweight": (),
    "dro": (),
    "penalty": (),
    "threshold": (),
    "decorrelate": (),
}
"""Option of ``fairness=`` -> further settings."""


def gap(record: Any, attribute: str) -> float:
    """Give the widest difference of true or of false positive rates between the attribute's large groups."""
    rates = record.fairness["by_group"][attribute]
    return max(
        float(rates[name]["widest difference"]) for name in ("true positive rate", "false positive rate")
    )


def measure(name: str, options: list[str], seeds: int, runs: Path) -> list[dict[str, Any]]:
    """Carry out (or read) the audit and every option over seeds, and give a row for each option."""
    case = CASES[name]
    train = importlib.import_module(case.domain).train
    common = (f"experiment={case.experiment}", *BARE)
    found: dict[str, list[dict[str, Any]]] = {option: [] for option in options}
    for seed in range(seeds):
        plain_folder = runs / name / f"audit_{seed}"
        plain = train(*common, f"seed={seed}", folder=plain_folder).record
        for option in options:
            mended = train(
                *common, f"seed={seed}", f"fairness={option}", f"fairness.attribute={case.attribute}",
                *OPTIONS[option], f"fairness.reference_run={plain_folder}", folder=runs / name / f"{option}_{seed}",
            ).record  # fmt: skip
            beside = mended.fairness["reference_run"]
            found[option].append(
                {
                    "seed": seed,
                    "gap_before": gap(plain, case.attribute),
                    "gap_after": gap(mended, case.attribute),
                    "price": beside["price"]["value"],
                    "balanced_accuracy": beside["further_prices"][0]["value"],
                    "changed": sum(line["found"] for line in beside["comparisons"]),
                    "seconds": mended.training.seconds,
                }
            )
            print(f"{name} {option} {json.dumps(found[option][-1])}", file=sys.stderr)
    figures = ("gap_before", "gap_after", "price", "balanced_accuracy")
    return [
        {
            "set": name,
            "option": option,
            "attribute": case.attribute,
            "metric": case.metric,
            "command": " ".join(
                [f"python -m {case.domain}.train experiment={case.experiment}", f"fairness={option}",
                 f"fairness.attribute={case.attribute}", *OPTIONS[option]]
            ),
            "seeds": seeds,
            **{figure: interval([one[figure] for one in rows]) for figure in figures},
            "narrowed": interval([one["gap_before"] - one["gap_after"] for one in rows]),
            "runs": rows,
        }
        for option, rows in found.items()
    ]  # fmt: skip


def main() -> None:
    """Measure the chosen sets and options and print a line for each."""
    assert __doc__
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], choices=list(CASES))
    parser.add_argument("--options", nargs="*", default=[], choices=list(OPTIONS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark_mitigation"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    options = given.options or list(OPTIONS)
    for name in given.only or CASES:
        rows = measure(name, options, given.seeds, given.runs)
        if given.json:
            former = json.loads(given.json.read_text()) if given.json.exists() else []
            new = {(row["set"], row["option"]) for row in rows}
            both = [*(row for row in former if (row["set"], row["option"]) not in new), *rows]
            places = [(s, o) for s in CASES for o in OPTIONS]
            both.sort(key=lambda row: places.index((row["set"], row["option"])))
            given.json.write_text(json.dumps(both, indent=1) + "\n")
        for row in rows:
            shown = {k: row[k]["value"] for k in ("gap_before", "gap_after", "price", "balanced_accuracy")}
            print(
                f"{name:12} {row['option']:12} {row['attribute']:6} gap {shown['gap_before']:.3f} to "
                f"{shown['gap_after']:.3f}   {row['metric']} {shown['price']:+.4f}   balanced accuracy "
                f"{shown['balanced_accuracy']:+.4f}"
            )


if __name__ == "__main__":
    main()
