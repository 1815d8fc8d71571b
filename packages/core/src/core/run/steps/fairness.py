"""Part of step 5: whether groups are served alike, what mitigated it, and how another run compares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from core.config import build, config_error, derive_seed
from core.evaluation.config import StandardEvaluation
from core.evaluation.intervals import interval, resample_metrics, resampled_weights
from core.fairness.config import AuditConfig
from core.fairness.mitigation import NoMitigation
from core.fairness.run_comparison import compare_runs, row_mismatch
from core.fairness.section import FairnessSection, ReferenceRun, UtilityCost
from core.report.run import Run
from core.run.state import RunState
from core.targets.metrics import LOWER_IS_BETTER, monitored_first

if TYPE_CHECKING:
    from core.config import FairnessConfig
    from core.data.encoded_split import EncodedSplit
    from core.data.types import Dataset
    from core.targets.types import Array, Metric, Predictions, Target

DECISION_METRICS = ("balanced_accuracy",)
"""What thresholds of single groups may cost, which a metric of ranks such as AUROC does not see."""


def audit_fairness(state: RunState, epsilon: float | None) -> FairnessSection | None:
    """Return the record's ``fairness``; None where no groups are compared.

    ``epsilon``: this run's, so that a disparity that privacy widened is shown as its cost. Rows of
    ``fairness.reference_run`` were found to be the same before training: see ``check_reference_run``.
    """
    test, settings = state.evaluated.evaluation.parts["test"], state.evaluation
    assert isinstance(settings, StandardEvaluation)
    seed = derive_seed(state.config.seed, "fairness")

    def weights() -> Iterator[Array]:
        return resampled_weights(len(test), test.units, settings.resamples, seed)

    mitigation: NoMitigation = build(state.config.fairness)
    unit = "row" if test.units is None else state.data.dataset.unit_name
    section = mitigation.audit(test, weights(), settings.min_group_rows, unit)
    if section is None:
        return None
    section.mitigation = mitigation.section(state.data.groups)
    options = state.config.fairness
    if isinstance(options, AuditConfig) and options.reference_run:
        run = Run(options.reference_run)
        other = run.predictions()
        section.reference_run = ReferenceRun(
            run=options.reference_run,
            record=run.record.seal,
            epsilon_here=epsilon,
            epsilon_there=_epsilon(run),
            utility_costs=_utility_costs(
                monitored_first(state.data.target, state.training.monitor),
                test,
                other,
                settings.resamples_slow,
                settings.confidence,
                seed,
            ),
            comparisons=compare_runs(
                test, other, weights, options.confidence, settings.min_group_rows, options.intersections
            ),
        )
    return section


def check_reference_run(
    options: FairnessConfig, dataset: Dataset, target: Target, test: EncodedSplit
) -> None:
    """Refuse, before training, a ``fairness.reference_run`` of other data or other test rows, naming what differs."""
    folder = options.reference_run if isinstance(options, AuditConfig) else ""
    if not folder:
        return
    run = Run(folder)
    data = run.record.data
    if data.files != dataset.files or data.source != dataset.name:
        right = f"trained on {data.source} from other files; give a run on the same data"
        raise config_error("fairness.reference_run", folder, right)
    truth = target.truth(test.targets)
    here = target.predictions(np.zeros((len(test), 1)), truth, truth, test.groups, test.units, test.rows)
    mismatch = row_mismatch(here, run.predictions())
    if mismatch:
        right = f"it was evaluated on {mismatch}; train it with the same data=, seed= and split"
        raise config_error("fairness.reference_run", folder, right)


def _epsilon(run: Run) -> float | None:
    privacy = run.record.privacy
    found = privacy.get("epsilon") if isinstance(privacy, dict) else getattr(privacy, "epsilon", None)
    return None if found is None else float(found)


def _utility_costs(
    given: Mapping[str, Metric],
    here: Predictions,
    there: Predictions,
    resamples: int,
    confidence: float,
    seed: int,
) -> list[UtilityCost]:
    """Compare the metric that selects models, and one of the decisions, on the same resamples: here less there."""
    first = next(iter(given))
    chosen = {
        name: given[name] for name in (first, *(n for n in DECISION_METRICS if n in given and n != first))
    }
    ours, theirs = (resample_metrics(chosen, p, resamples, seed) for p in (here, there))
    costs = []
    for name, metric in chosen.items():
        found = interval(metric(here) - metric(there), ours[name] - theirs[name], confidence)
        costs.append(
            UtilityCost(
                metric=name,
                here=_finite(metric(here)),
                there=_finite(metric(there)),
                lower_is_better=name in LOWER_IS_BETTER,
                value=found.value,
                low=found.low,
                high=found.high,
            )
        )
    return costs


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
