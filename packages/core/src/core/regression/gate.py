"""The gate: measure every task of the chosen domains, compare with their baselines, or renew these."""

from __future__ import annotations

import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from core.regression.comparison import Comparison, compare_task, corrected
from core.regression.config import ALPHA, HELP_TASK, GateConfig, TaskSpec, common_margins
from core.regression.measure import Job, carry_out, jobs_of
from core.regression.measurement import VALUES, Measurement
from core.regression.store import (
    FILE,
    Baseline,
    changes,
    merged,
    read_baseline,
    read_if_any,
    write_baseline,
)

Say = Callable[[str], None]
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass
class GateResult:
    """What a call of the gate found."""

    comparisons: list[Comparison] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Tasks that were not run, each with the reason."""
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Return whether anything regressed."""
        return any(comparison.failed for comparison in self.comparisons)


def run_gate(
    gates: Sequence[GateConfig],
    *,
    baselines: Path | None = None,
    help_too: bool = True,
    workers: int = 2,
    threads: int = 1,
    say: Say = print,
) -> GateResult:
    """Measure, and compare with the baselines that the packages ship, or with those of ``baselines``/DOMAIN.

    Raises ValueError where a domain has no baseline that can be read.
    """
    begun = time.perf_counter()
    kept = {gate.domain.name: read_baseline(baseline_folder(gate, baselines)) for gate in gates}
    result = GateResult()
    jobs = _jobs(gates, threads, help_too, result.left_out)
    jobs = [replace(job, limits=_limits(job, kept[job.domain])) for job in jobs]
    found = _measured(jobs, workers, say)
    for gate in gates:
        name, baseline = gate.domain.name, kept[gate.domain.name]
        for task, runs in found.get(name, {}).items():
            result.comparisons += compare_task(
                name, task, baseline.tasks.get(task, []), runs, _margins(gate, task)
            )
    result.comparisons = corrected(result.comparisons, ALPHA)
    result.seconds = time.perf_counter() - begun
    return result


def renew(
    gates: Sequence[GateConfig],
    reason: str,
    *,
    baselines: Path | None = None,
    help_too: bool = True,
    workers: int = 2,
    threads: int = 1,
    say: Say = print,
) -> GateResult:
    """Measure and keep the result as the new baseline, saying what changes; return the checks that need no baseline.

    Tasks that were not measured, for want of their data, keep what they have.
    """
    begun = time.perf_counter()
    result = GateResult()
    always = {name: 0.0 for name, rule in VALUES.items() if rule.unsteady}
    jobs = [replace(j, limits=always) for j in _jobs(gates, threads, help_too, result.left_out)]
    found = _measured(jobs, workers, say)
    for gate in gates:
        name, folder = gate.domain.name, baseline_folder(gate, baselines)
        before = read_if_any(folder)
        measured = {
            task: [run for run in runs if not run.failure] for task, runs in found.get(name, {}).items()
        }
        fresh = Baseline(reason, versions(name), {task: runs for task, runs in measured.items() if runs})
        after = merged(before, fresh, [*gate.defined, HELP_TASK])
        for line in changes(before, after):
            say(f"{name} {line}")
        say(str(write_baseline(folder, after)))
        for task, runs in found.get(name, {}).items():
            itself = [run for run in after.tasks.get(task, []) if run.seed in {r.seed for r in runs}]
            result.comparisons += [
                c for c in compare_task(name, task, itself, runs, _margins(gate, task)) if c.before is None
            ]
    result.seconds = time.perf_counter() - begun
    return result


def baseline_folder(gate: GateConfig, baselines: Path | None) -> Path:
    """Return the folder of a domain's baseline: its package's own, or one below ``baselines``."""
    return gate.folder if baselines is None else baselines / gate.domain.name


def versions(domain: str) -> dict[str, str]:
    """Return what a baseline was measured with."""
    libraries = {name: version(name) for name in ("torch", "numpy", "scikit-learn", f"plinth-{domain}")}
    return {"python": platform.python_version(), **libraries}


def _jobs(gates: Sequence[GateConfig], threads: int, help_too: bool, left_out: list[str]) -> list[Job]:
    jobs = []
    for gate in gates:
        ready = [spec for spec in gate.tasks if spec.available]
        left_out += [
            f"{gate.domain.name} {spec.name}: PLINTH_DATA has no {spec.needs}"
            for spec in gate.tasks
            if not spec.available
        ]
        jobs += [job for job in jobs_of(gate.domain.name, ready, threads) if help_too or job.spec is not None]
    return jobs


def _limits(job: Job, baseline: Baseline) -> dict[str, float]:
    """Return from which value on each unsteady ratio would be a regression."""
    margins: Mapping[str, float] = job.spec.margins if job.spec is not None else common_margins()
    former = next((run for run in baseline.tasks.get(job.task, []) if run.seed == job.seed), None)
    if former is None:
        return {}
    return {
        name: value * (1 + 0.6 * margins[name])
        for name, value in former.values.items()
        if name in VALUES and VALUES[name].unsteady
    }


def _margins(gate: GateConfig, task: str) -> Mapping[str, float]:
    found: TaskSpec | None = next((spec for spec in gate.tasks if spec.name == task), None)
    return common_margins() if found is None else found.margins


def _measured(jobs: Sequence[Job], workers: int, say: Say) -> dict[str, dict[str, list[Measurement]]]:
    """Carry out the jobs; return domain -> task -> measurements by seed."""
    done: dict[Job | int, Measurement] = {}
    for number, (place, measurement) in enumerate(_carried_out(jobs, workers), 1):
        job = jobs[place]
        done[place] = measurement
        outcome = measurement.failure or seconds_of(measurement)
        seed = "" if job.spec is None else f", seed {job.seed}"
        say(f"[{number}/{len(jobs)}] {job.domain} {job.task}{seed}: {outcome}")
    found: dict[str, dict[str, list[Measurement]]] = {}
    for place, job in enumerate(jobs):
        found.setdefault(job.domain, {}).setdefault(job.task, []).append(done[place])
    return found


def seconds_of(measurement: Measurement) -> str:
    """Return how long a measurement took."""
    return f"{measurement.seconds:.1f} s, {measurement.processor_seconds:.1f} s of a core"


def _carried_out(jobs: Sequence[Job], workers: int) -> Iterator[tuple[int, Measurement]]:
    if workers <= 1 or len(jobs) <= 1:
        for place, job in enumerate(jobs):
            yield place, carry_out(job)
        return
    with (
        _threads_of_workers(),
        ProcessPoolExecutor(min(workers, len(jobs)), multiprocessing.get_context("spawn")) as pool,
    ):
        places = {pool.submit(carry_out, job): place for place, job in enumerate(jobs)}
        for future in as_completed(places):
            yield places[future], future.result()


@contextmanager
def _threads_of_workers() -> Iterator[None]:
    """Let each worker's libraries start with one thread; torch's are set by the run itself."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update({name: "1" for name in THREADS if name not in os.environ})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def stale(gate: GateConfig, baselines: Path | None = None) -> list[str]:
    """Return the tasks of a baseline that gate.yaml does not have any more."""
    baseline = read_if_any(baseline_folder(gate, baselines))
    return [] if baseline is None else sorted(set(baseline.tasks) - {*gate.defined, HELP_TASK})


__all__ = ["FILE", "GateResult", "baseline_folder", "renew", "run_gate", "stale"]
