"""Conformal coverage on real data: does the guarantee hold on the test set, overall and by group?

python benchmarks/conformal_real.py --runs FOLDER [--only healthcare/ham10000 ...] [--alpha 0.1] [--json FILE]

Reads the finished runs below FOLDER (<domain>/<experiment>/.../record.json, as real_<domain>.py leaves them) and
trains nothing: conformal quantiles from each run's validation predictions, coverage on its test predictions. For masks
the model scores the pixels of some images again, which needs the data (PLINTH_DATA). "Within": 1 - alpha lies in the
95 % interval of the coverage by the quantiles alone, which counts the chance of both sets; "holds": the sets as they
are served do not fall short of it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import core
from core.config import build, derive_seed, from_dict
from core.evaluation.config import StandardEvaluation
from core.evaluation.conformal import PixelScores, calibrate, score_pixels
from core.evaluation.uncertainty import measure, terms
from core.oversight.config import StandardOversight, conformal_method, mondrian
from core.oversight.decision_rule import DecisionRule
from core.report.run import Run

SETTINGS = StandardEvaluation(resamples=300, resamples_slow=100)


def pixel_scores(run: Run, options: StandardOversight, seed: int) -> dict[str, PixelScores]:
    """Score the pixels of some held-out images again, for both sets of a run of segmentation."""
    loaded = core.load(run.path)
    for module in importlib.import_module(run.record.run.domain).DOMAIN.modules:
        importlib.import_module(module)  # registers its data sources
    config = run.record.run.config
    task = from_dict("task", config["task"])
    frame = build(from_dict("data", config["data"]), task, config["seed"]).frame
    found = {}
    for name in ("validation", "test"):
        part = run.predictions(name)
        rows = frame.iloc[part.index]
        found[name] = score_pixels(loaded.scorer(16), rows, part, options.mask_images, seed, name)
    return found


def measured(run: Run, options: StandardOversight) -> dict[str, Any]:
    """Calibrate on a run's validation set and measure on its test set."""
    validation, test = (run.predictions(name) for name in ("validation", "test"))
    state = json.loads((run.path / "encoder.json").read_text())
    seed = derive_seed(run.record.run.config["seed"], "oversight")
    kind = test.kind
    pixels = pixel_scores(run, options, seed) if test.type.dense else {}
    rule = DecisionRule(
        kind,
        test.classes,
        False,
        method=conformal_method(options, test.type),
        log=bool(state["target"].get("log")),
    )
    if test.type.dense:  # predictions keep no image's confidence; nothing is deferred here
        validation.sure = test.sure = test.scores.max(axis=1)
    calibration = calibrate(
        rule, validation, options.alpha, mondrian(options, test.type), options.min_group_units, seed,
        pixels.get("validation"),
    )  # fmt: skip
    against = terms(calibration, options.alpha, options.cost_of_deferral, test.type.error_unit(validation))
    found = measure(calibration.rule, test, against, SETTINGS, seed, pixels.get("test"))
    groups = [
        {"group": f"{attribute} {name}", "rows": own.rows, **own.coverage.model_dump(), "holds": own.guarantee.holds,
         "within": own.guarantee.within}
        for attribute, each in found.by_group.items() for name, own in each.items()
    ]  # fmt: skip
    return {
        "kind": kind,
        "method": rule.method,
        "calibration": {"rows": calibration.rows, "units": calibration.units, "unit": state["unit_name"]},
        "coverage": found.coverage.model_dump(),
        "guarantee": found.guarantee.model_dump(),
        "size": found.size.value,
        "groups": groups,
        "by_class": {name: own.model_dump() for name, own in found.by_class.items()},
        "too_few_units": calibration.too_few_units,
        "common_quantile": calibration.common_quantile,
    }


def main() -> None:
    """Measure and print one line for each experiment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[], help="substrings of <domain>/<experiment>")
    parser.add_argument("--alpha", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, help="only the first runs of each experiment")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    options = StandardOversight(alpha=given.alpha)
    experiments: dict[str, list[Path]] = {}
    for record in sorted(given.runs.glob("*/*/**/record.json")):
        name = "/".join(record.relative_to(given.runs).parts[:2])
        if not given.only or any(part in name for part in given.only):
            experiments.setdefault(name, []).append(record.parent)
    results = []
    for name, folders in experiments.items():
        start, found = time.perf_counter(), []
        for folder in folders[: given.seeds]:
            run = Run(folder)
            assert not run.record.data.simulated, f"{folder}: simulated data"
            found.append({"run": "/".join(folder.relative_to(given.runs).parts), **measured(run, options)})
        results.append({"name": name, "seconds": time.perf_counter() - start, "runs": found})
        print(line(name, found), flush=True)
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n")
    falling_short = [r["run"] for result in results for r in result["runs"] if not r["guarantee"]["holds"]]
    print(f"falls short: {', '.join(falling_short) or 'none'}", file=sys.stderr)


def line(name: str, found: list[dict[str, Any]]) -> str:
    """Return an experiment as a line: coverage as served and by the quantiles alone, verdicts overall and by group."""
    groups = [group for each in found for group in each["groups"]]
    counted = found[0]["calibration"]
    unit = (
        f"{counted['units']} {counted['unit']}s"
        if counted["units"] is not None
        else f"{counted['rows']} rows"
    )
    return (
        f"{name[:58]:58} {found[0]['kind']:10} {unit:18} served {fmean(f['coverage']['value'] for f in found):.3f} "
        f"quantiles alone {fmean(f['guarantee']['value'] for f in found):.3f} "
        f"size {fmean(f['size'] for f in found):8.3f} "
        f"within {sum(f['guarantee']['within'] for f in found)}/{len(found)} "
        f"holds {sum(f['guarantee']['holds'] for f in found)}/{len(found)} "
        f"groups {sum(g['holds'] for g in groups)}/{len(groups)}"
    )


if __name__ == "__main__":
    main()
