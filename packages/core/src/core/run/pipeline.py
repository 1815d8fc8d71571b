"""A run in six steps, on one page."""

from __future__ import annotations

from pathlib import Path

from core.config import RunConfig, build
from core.domain import Domain
from core.run.directory import RunDirectory
from core.report.run import Run
from core.steps.footprint import measure_footprint, all_reduce_meter
from core.steps.assess import assess
from core.steps.design import design
from core.steps.evaluate import evaluate_run
from core.steps.prepare import prepare
from core.steps.train import train_model
from core.steps.write import write
from core.training.parallel import ProcessGroup, join_process_group


def train(config: RunConfig, path: Path, domain: Domain) -> Run:
    """Carry out one run in a folder; go on with one that was stopped there; report one that is finished.

    Under torchrun all processes train, and the main one does the rest. Raises ValueError for what the user can
    mend and ``Stopped`` when interrupted with a checkpoint kept.
    """
    with join_process_group() as parallel:
        folder = RunDirectory(path, config, domain)
        if folder.finished:
            return folder.report() if parallel.is_main else Run(path)
        try:
            return _carried_out(config, folder, parallel)
        except BaseException:
            if parallel.is_main:
                folder.abandon()  # whatever went wrong: a run of which no step was kept leaves nothing half-written
            raise


def _carried_out(config: RunConfig, folder: RunDirectory, parallel: ProcessGroup) -> Run:
    meter = build(config.energy)
    with meter.phase("prepare"):
        prepared = prepare(config)
        if parallel.is_main:
            folder.begin()
    with meter.phase("design"):
        designed = design(config, prepared, folder, parallel)
    with meter.phase("train"):
        trained = train_model(config, prepared, designed, folder, parallel, meter)
    all_reduce_meter(meter, parallel)
    if not parallel.is_main:
        parallel.barrier()  # until the main process has written the run
        return Run(folder.path)
    with meter.phase("evaluate"):
        judged = evaluate_run(config, prepared, designed, meter)
    with meter.phase("assess"):
        impact = assess(config, prepared, designed, trained, judged, meter)
    footprint = measure_footprint(config, meter, prepared, designed, trained, judged)
    run = write(folder, config, prepared, designed, trained, judged, impact, footprint)
    parallel.barrier()
    return run
