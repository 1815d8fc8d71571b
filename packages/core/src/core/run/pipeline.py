"""A run in six steps, on one page."""

from __future__ import annotations

from pathlib import Path

from core.config import RunConfig
from core.domain import Domain
from core.run.directory import RunDirectory
from core.report.run import Run
from core.steps.footprint import account, of_all
from core.steps.assess import assess
from core.steps.design import design
from core.steps.evaluate import judge
from core.steps.prepare import prepare
from core.steps.train import fit
from core.steps.write import write
from core.training.parallel import Parallel, join


def train(config: RunConfig, path: Path, domain: Domain) -> Run:
    """Carry out one run in a folder; go on with one that was stopped there; report one that is finished.

    Under torchrun all processes train, and the main one does the rest. Raises ValueError for what the user can
    mend and ``Stopped`` when interrupted with a checkpoint kept.
    """
    with join() as parallel:
        folder = RunDirectory(path, config, domain)
        if folder.finished:
            return folder.report() if parallel.main else Run(path)
        try:
            return _carried_out(config, folder, parallel)
        except BaseException:
            if parallel.main:
                folder.abandon()  # whatever went wrong: a run of which no step was kept leaves nothing half-written
            raise


def _carried_out(config: RunConfig, folder: RunDirectory, parallel: Parallel) -> Run:
    meter = config.energy.meter()
    with meter.phase("prepare"):
        prepared = prepare(config)
        if parallel.main:
            folder.begin()
    with meter.phase("design"):
        designed = design(config, prepared, folder, parallel)
    with meter.phase("train"):
        trained = fit(config, prepared, designed, folder, parallel, meter)
    of_all(meter, parallel)
    if not parallel.main:
        parallel.wait()  # until the main process has written the run
        return Run(folder.path)
    with meter.phase("evaluate"):
        judged = judge(config, prepared, designed, meter)
    with meter.phase("assess"):
        impact = assess(config, prepared, designed, trained, judged, meter)
    footprint = account(config, meter, prepared, designed, trained, judged)
    run = write(folder, config, prepared, designed, trained, judged, impact, footprint)
    parallel.wait()
    return run
