"""A run in six steps, on one page."""

from __future__ import annotations

from pathlib import Path

from core.config import RunConfig, build
from core.domain import Domain
from core.report.run import Run
from core.run.directory import RunDirectory
from core.run.state import RunState
from core.run.steps.assess import assess
from core.run.steps.design import design
from core.run.steps.evaluate import evaluate_run
from core.run.steps.footprint import all_reduce_meter, measure_footprint
from core.run.steps.prepare import prepare
from core.run.steps.train import train_model
from core.run.steps.write import write
from core.training.parallel import ProcessGroup, join_process_group


def train(config: RunConfig, path: Path, domain: Domain) -> Run:
    """Carry out one run in a folder, resume one that was stopped there, or open one that is finished.

    Under torchrun all processes train, and the main one does the rest. Raises ValueError for what the user can
    mend and ``TrainingInterrupted`` when interrupted with a checkpoint kept.
    """
    with join_process_group() as processes:
        directory = RunDirectory(path, config, domain)
        if directory.finished:
            return directory.reopen() if processes.is_main else Run(path)
        try:
            return _six_steps(config, directory, processes)
        except BaseException:
            if processes.is_main:
                directory.abandon()  # whatever went wrong: a run without a checkpoint leaves nothing half-written
            raise


def _six_steps(config: RunConfig, directory: RunDirectory, processes: ProcessGroup) -> Run:
    state = RunState(config, directory, processes, build(config.energy))
    meter = state.meter
    with meter.phase("prepare"):
        state.data = prepare(config)
        if processes.is_main:
            directory.begin()
    with meter.phase("design"):
        state.design = design(state)
    with meter.phase("train"):
        state.trained = train_model(state)
    all_reduce_meter(meter, processes)
    if not processes.is_main:
        processes.barrier()  # until the main process has written the run
        return Run(directory.path)
    with meter.phase("evaluate"):
        state.evaluated = evaluate_run(state)
    with meter.phase("assess"):
        state.impact = assess(state)
    state.footprint = measure_footprint(state)
    run = write(state)
    processes.barrier()
    return run
