"""Part of step 5: whether groups are served alike, what was done about it, and how another run compares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from core.config import RunConfig, config_error, derive_seed
from core.evaluation.intervals import interval, resample_metrics, resampled_weights
from core.fairness.run_comparison import compare_runs, same_rows
from core.report.run import Run
from core.report.glossary import display_name
from core.targets.metrics import LOWER_IS_BETTER
from core.targets.types import Predictions

if TYPE_CHECKING:
    from core.data.encoded_split import EncodedSplit
    from core.data.types import Dataset
    from core.steps.evaluate import EvaluationResult
    from core.steps.prepare import PreparedData
    from core.targets.types import Array, Target

DECISIONS = ("balanced_accuracy",)
"""What thresholds of single groups may cost, which a figure of ranks such as AUROC does not see."""


def audit_fairness(
    config: RunConfig, prepared: PreparedData, judged: EvaluationResult, epsilon: float | None
) -> dict[str, Any] | None:
    """Give the record's ``fairness`` section; None where nobody is compared.

    ``epsilon``: what this run promises, so that a gap that privacy widened can be told as its cost. Rows of
    ``fairness.reference_run`` were found to be the same before training: see ``check_reference_run``.
    """
    test, settings = judged.evaluation.parts["test"], config.evaluation
    seed = derive_seed(config.seed, "fairness")

    def weights() -> Iterator[Array]:
        return resampled_weights(len(test), test.units, settings.resamples, seed)

    unit = "row" if test.units is None else prepared.dataset.unit_name
    found: dict[str, Any] | None = config.fairness.judge(test, weights(), settings.minimum_group, unit)
    if found is None:
        return None
    said = [found["detail"]]
    done = found["mitigation"] = config.fairness.told(prepared.groups)
    if done is not None:
        said.append(done["text"])
    found["reference_run"] = None
    if config.fairness.reference_run:
        options = config.fairness
        run = Run(options.reference_run)
        other = run.predictions()
        lines = compare_runs(
            test, other, weights, options.confidence, settings.minimum_group, options.intersections
        )
        prices = _prices(prepared, test, other, settings.resamples_single, settings.confidence, seed)
        found["reference_run"] = {
            "run": config.fairness.reference_run,
            "record": run.record.seal,
            "epsilon_here": epsilon,
            "epsilon_there": (run.record.privacy or {}).get("epsilon"),
            "price": prices[0],
            "further_prices": prices[1:],
            "comparisons": lines,
        }
        found["reference_run"]["detail"] = _told(found["reference_run"])
        said.append(found["reference_run"]["detail"])
    found["detail"] = " ".join(said)
    return found


def check_reference_run(config: RunConfig, dataset: Dataset, target: Target, test: EncodedSplit) -> None:
    """Refuse, before training, a ``fairness.reference_run`` of other data or other test rows, naming what differs."""
    given = config.fairness.reference_run
    if not given:
        return
    run = Run(given)
    data = run.record.data
    if data.files != dataset.files or data.source != dataset.name:
        right = f"trained on {data.source} from other files; give a run on the same data"
        raise config_error("fairness.reference_run", given, right)
    truth = target.truth(test.targets)
    here = Predictions(
        np.zeros((len(test), 1)),
        truth,
        truth,
        target.classes,
        target.kind,
        test.groups,
        test.units,
        test.rows,
    )
    apart = same_rows(here, run.predictions())
    if apart:
        right = f"it was judged on {apart}; train it with the same data=, seed= and split"
        raise config_error("fairness.reference_run", given, right)


def _prices(
    prepared: PreparedData, here: Predictions, there: Predictions, resamples: int, confidence: float, seed: int
) -> list[dict[str, Any]]:
    """Compare the figure that selects models, and one of the decisions, on the same resamples: here less there."""
    given = prepared.target.metrics()
    first = next(iter(given))
    chosen = {name: given[name] for name in (first, *(n for n in DECISIONS if n in given and n != first))}
    ours, theirs = (resample_metrics(chosen, p, resamples, seed) for p in (here, there))
    return [
        {
            "metric": name,
            "here": metric(here),
            "there": metric(there),
            "lower_is_better": name in LOWER_IS_BETTER,
            **interval(metric(here) - metric(there), ours[name] - theirs[name], confidence),
        }
        for name, metric in chosen.items()
    ]


def _told(baseline: dict[str, Any]) -> str:
    """Say in a sentence whose gap moved and what it cost."""
    moved = [line for line in baseline["comparisons"] if line["found"]]
    private = baseline["epsilon_here"] is not None and baseline["epsilon_there"] is None
    prices = [baseline["price"], *baseline["further_prices"]]
    paid = ", ".join(f"{display_name(p['metric'])} {p['here']:.3f} against {p['there']:.3f}" for p in prices)
    subject = "Privacy cost by group" if private else "Against the baseline"
    if not moved:
        return f"{subject}: no gap between groups clearly changed; {paid}."
    wider = sum(line["wider"] for line in moved)
    first = moved[0]
    many = f"{len(moved)} gap{'s' * (len(moved) > 1)}"
    return (
        f"{subject}: {many} changed, {wider} of them wider; most {first['notion']} of {first['attribute']} "
        f"{first['group']}, {first['gap_there']:+.2f} to {first['gap_here']:+.2f}; {paid}."
    )
