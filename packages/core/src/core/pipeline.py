"""A run in six steps, on one page."""

from __future__ import annotations

from pathlib import Path

from core.config import RunConfig
from core.domain import Domain
from core.folder import RunFolder
from core.report.run import Run
from core.steps.account import Clock, account
from core.steps.assess import assess
from core.steps.design import design
from core.steps.evaluate import judge
from core.steps.prepare import prepare
from core.steps.train import fit
from core.steps.write import write


def train(config: RunConfig, path: Path, domain: Domain) -> Run:
    """Carry out one run in a folder; go on with one that was stopped there; report one that is finished.

    Raises ValueError for what the user can mend and ``Stopped`` when interrupted with a checkpoint kept.
    """
    folder = RunFolder(path, config, domain)
    if folder.finished:
        return folder.report()
    try:
        return _carried_out(config, folder)
    except BaseException:
        folder.abandon()  # whatever went wrong: a run of which no step was kept leaves nothing half-written
        raise


def _carried_out(config: RunConfig, folder: RunFolder) -> Run:
    clock = Clock()
    with clock.phase("prepare"):
        prepared = prepare(config)
        folder.begin()
    with clock.phase("design"):
        designed = design(config, prepared, folder)
    with clock.phase("train"):
        trained = fit(config, prepared, designed, folder)
    with clock.phase("evaluate"):
        judged = judge(config, prepared, designed)
    with clock.phase("assess"):
        impact = assess(config, prepared, designed, trained)
    footprint = account(clock)
    return write(folder, config, prepared, designed, trained, judged, impact, footprint)
