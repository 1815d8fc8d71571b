"""One run of the gate: trained in a temporary folder, then probed."""

from __future__ import annotations

import logging
import resource
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.regression.config import COMMON, HELP_TASK, TaskSpec, application, chosen_domains
from core.regression.measurement import Check, Measurement, with_rounded_scores
from core.training.shutdown import TrainingInterrupted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.config import RunConfig
    from core.domain import Domain
    from core.report.record import Record
    from core.report.run import Run
    from core.run.state import RunState
    from core.targets.types import Predictions


@dataclass(frozen=True)
class Job:
    """What one worker measures at a time: one seed of a task, or the start of a command."""

    domain: str
    spec: TaskSpec | None
    """None: ``--help``."""
    seed: int = 0
    threads: int = 1
    limits: Mapping[str, float] | None = None
    """Ratio of times -> value from which it is measured again, because it would be a regression."""

    @property
    def task(self) -> str:
        """Return the task's name."""
        return HELP_TASK if self.spec is None else self.spec.name

    @property
    def first(self) -> bool:
        """Return whether it is the task's first seed, on which probes and bars are measured."""
        return self.spec is None or self.seed == self.spec.seeds[0]


def carry_out(job: Job) -> Measurement:
    """Measure one job; a run that fails is a measurement that says why."""
    begun, processor_begun = time.perf_counter(), processor_seconds()
    domain = chosen_domains([job.domain])[0]
    for package in ("core", job.domain):
        logging.getLogger(package).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = _measure(domain, job)
    except TrainingInterrupted as stop:  # not the run's fault, and no reason to go on with the next
        raise ValueError("interrupted: nothing was compared, and no baseline changed") from stop
    except Exception as error:  # whatever it is: the gate says so and measures the rest
        found = Measurement(job.seed, failure=f"the run failed: {type(error).__name__}: {error}")
    found.seconds = time.perf_counter() - begun
    found.processor_seconds = processor_seconds() - processor_begun
    return found


def processor_seconds() -> float:
    """Return the processor time of this process and of the commands that it started and that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _measure(domain: Domain, job: Job) -> Measurement:
    limits = job.limits or {}
    if job.spec is None:
        from core.regression.probes.startup import measure_startup

        return measure_startup(domain.name, limits)
    overrides = (*COMMON, f"threads={job.threads}", *job.spec.overrides, f"seed={job.seed}")
    train = application(domain, "train")
    with tempfile.TemporaryDirectory(prefix="plinth-gate-") as folder:
        run: Run = train(*overrides, folder=Path(folder) / "run")
        found = of_run(run, job.seed)
        if job.first:
            found.checks += bars(run.record, job.spec.bars)
            _probe(found, run, train.configure(*overrides), Path(folder) / "probe", domain, limits)
    return found


def of_run(run: Run, seed: int) -> Measurement:
    """Return what a finished run says by itself."""
    from core.regression.probes.privacy import statement_values

    record, predictions = run.record, with_rounded_scores(run.predictions("test"))
    values = statement_values(record)
    assert record.performance is not None
    values["parameters"] = float(record.performance.parameters or 0)
    values["floating-point operations of a prediction"] = float(record.performance.flops_per_row or 0)
    values["bytes of the weights"] = float((run.path / "model.safetensors").stat().st_size)
    if predictions.type.dense and record.uncertainty is not None:
        values["pixels inside prediction sets"] = float(record.uncertainty.coverage.value or 0.0)
    return Measurement(
        seed, values, predictions, facts_of_rows(record, predictions), simulated=record.data.simulated
    )


def facts_of_rows(record: Record, predictions: Predictions) -> dict[str, NDArray[Any]]:
    """Return whether each row's ground truth is in its prediction set, the set's size, and whether a human decides."""
    from core.evaluation.conformal import coverage
    from core.oversight.decision_rule import ADVICE, MODEL, DecisionRule

    if record.oversight is None:
        return {}
    rule = DecisionRule.restore(record.oversight.rule)
    if rule.method == "none" or predictions.type.dense:
        return {}
    found = coverage(rule, predictions, predictions.type.calibration_scores(predictions, rule.conformal))
    decided = rule.decide(predictions.scores, predictions.labels, predictions.groups).decision
    human = ~np.isin(decided, (MODEL, ADVICE))
    return {"covered": found.covered, "set_size": found.size, "to_human": human.astype(np.float64)}


def bars(record: Record, asked: Mapping[str, float]) -> list[Check]:
    """Check values of the record, by pointers such as ``metrics.auroc.value``, against the bars they must reach."""
    content = record.model_dump()
    checks = []
    for pointer, bar in asked.items():
        value: Any = content
        for key in pointer.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        number = float(value) if isinstance(value, int | float) else float("nan")
        checks.append(Check(f"bar of {pointer}", number, bar, True, "below the bar of gate.yaml"))
    return checks


def _probe(
    found: Measurement,
    run: Run,
    config: RunConfig,
    folder: Path,
    domain: Domain,
    limits: Mapping[str, float],
) -> None:
    """Add what the probes find, on a run of the same configuration that is prepared and not trained."""
    from core.regression.probes.compute import measure_compute
    from core.regression.probes.privacy import privacy_checks
    from core.regression.probes.serving import serving_checks
    from core.regression.probes.splits import check_splits, measure_splits

    state = prepared(config, folder, domain)
    assert found.predictions is not None
    found.values |= measure_splits(state.data)
    found.checks += check_splits(config, state.data, found.predictions)
    served, latency = serving_checks(run, state.data.dataset, limits)
    found.checks += served
    found.values |= latency
    found.checks += privacy_checks(state.design, state.data)
    found.values |= measure_compute(state.design, state.data.target, state.meter, limits)


def prepared(config: RunConfig, folder: Path, domain: Domain) -> RunState:
    """Return a run after its first two steps: data ready, network built, training set up."""
    from core.config import build
    from core.run.directory import RunDirectory
    from core.run.state import RunState
    from core.run.steps.design import design
    from core.run.steps.prepare import prepare
    from core.training.parallel import ALONE

    directory = RunDirectory(folder, config, domain)
    state = RunState(config, directory, ALONE, build(config.energy))
    state.data = prepare(config)
    directory.begin()
    state.design = design(state)
    return state


def jobs_of(domain: str, specs: Sequence[TaskSpec], threads: int) -> list[Job]:
    """Return the jobs of a domain, ``--help`` first."""
    runs = [Job(domain, spec, seed, threads) for spec in specs for seed in spec.seeds]
    return [Job(domain, None, 0, threads), *runs]
