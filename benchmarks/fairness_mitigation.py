"""Bias mitigation on real data: disparity before and after each option of ``fairness=``, and its utility cost.

PLINTH_DATA=... python benchmarks/fairness_mitigation.py [--only taiwan ...] [--options threshold ...] [--seeds 3]
    [--runs FOLDER] [--json FILE]
Each option is compared with the run without mitigation on the same split (fairness.reference_run), so that its cost is
paired. The disparity is that of equalized odds (Hardt et al. 2016): the larger of the differences in true and in false
positive rates between the groups of the attribute. Disparities and costs are means over seeds with 95 % Student
intervals. A finished run in FOLDER is read, not repeated.
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

from core.report.record import Record

BARE = (
    "evaluation.studies=false", "evaluation.resamples_slow=50", "baseline=none", "explanation=none",
    "oversight=none", "energy=none", "privacy.attack=none", "training.progress=none",
)  # fmt: skip
"""Assessments switched off."""


@dataclass(frozen=True)
class Case:
    """A data set and the attribute whose groups are compared."""

    domain: str
    experiment: str
    attribute: str
    metric: str
    """What mitigation may cost."""


CASES = {
    "taiwan": Case("finance", "taiwan", "SEX", "auroc"),
    "diabetes130": Case("healthcare", "diabetes130", "race", "auroc"),
}
MITIGATIONS = ("reweight", "dro", "penalty", "threshold", "decorrelate")
"""Options of ``fairness=``."""

MEASURED = ("disparity_before", "disparity_after", "utility_cost", "balanced_accuracy")


def disparity(record: Record, attribute: str) -> float:
    """Return the disparity of equalized odds between the attribute's groups that are large enough."""
    assert record.fairness is not None
    rates = record.fairness.by_group[attribute]
    return max(
        rates[name].largest_difference or 0.0 for name in ("true positive rate", "false positive rate")
    )


def measure(name: str, options: list[str], seeds: int, runs: Path) -> list[dict[str, Any]]:
    """Train (or read) with and without every option over seeds; return a row for each option."""
    case = CASES[name]
    train = importlib.import_module(case.domain).train
    common = (f"experiment={case.experiment}", *BARE)
    found: dict[str, list[dict[str, Any]]] = {option: [] for option in options}
    for seed in range(seeds):
        reference = runs / name / f"unmitigated_{seed}"
        before = train(*common, f"seed={seed}", folder=reference).record
        for option in options:
            after = train(
                *common, f"seed={seed}", f"fairness={option}", f"fairness.attribute={case.attribute}",
                f"fairness.reference_run={reference}", folder=runs / name / f"{option}_{seed}",
            ).record  # fmt: skip
            assert after.fairness is not None
            assert after.fairness.reference_run is not None
            compared = after.fairness.reference_run
            cost, accuracy_cost = compared.utility_costs[:2]
            found[option].append(
                {
                    "seed": seed,
                    "disparity_before": disparity(before, case.attribute),
                    "disparity_after": disparity(after, case.attribute),
                    "utility_cost": cost.value,
                    "balanced_accuracy": accuracy_cost.value,
                    "changed_disparities": sum(line.found for line in compared.comparisons),
                    "seconds": after.training.seconds,
                }
            )
            print(f"{name} {option} {json.dumps(found[option][-1])}", file=sys.stderr)
    return [
        {
            "set": name,
            "option": option,
            "attribute": case.attribute,
            "metric": case.metric,
            "command": " ".join(
                [f"python -m {case.domain}.train experiment={case.experiment}", f"fairness={option}",
                 f"fairness.attribute={case.attribute}"]
            ),
            "seeds": seeds,
            **{key: interval([one[key] for one in rows]) for key in MEASURED},
            "reduction": interval([one["disparity_before"] - one["disparity_after"] for one in rows]),
            "runs": rows,
        }
        for option, rows in found.items()
    ]  # fmt: skip


def main() -> None:
    """Measure the chosen data sets and options and print a line for each."""
    assert __doc__
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], choices=list(CASES))
    parser.add_argument("--options", nargs="*", default=[], choices=MITIGATIONS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark_mitigation"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    options = given.options or list(MITIGATIONS)
    for name in given.only or CASES:
        rows = measure(name, options, given.seeds, given.runs)
        if given.json:
            former = json.loads(given.json.read_text()) if given.json.exists() else []
            new = {(row["set"], row["option"]) for row in rows}
            both = [*(row for row in former if (row["set"], row["option"]) not in new), *rows]
            order = [(s, o) for s in CASES for o in MITIGATIONS]
            both.sort(key=lambda row: order.index((row["set"], row["option"])))
            given.json.write_text(json.dumps(both, indent=1) + "\n")
        for row in rows:
            shown = {key: row[key]["value"] for key in MEASURED}
            print(
                f"{name:12} {row['option']:12} {row['attribute']:6} disparity {shown['disparity_before']:.3f} to "
                f"{shown['disparity_after']:.3f}   {row['metric']} {shown['utility_cost']:+.4f}   balanced accuracy "
                f"{shown['balanced_accuracy']:+.4f}"
            )


if __name__ == "__main__":
    main()
