"""Step 1: read the source, check it, split it, fit the encoders on the training set only."""

from __future__ import annotations

import logging

from core.backbones.pretrained import pretraining_overlap, weights_origin
from core.config import RunConfig, build, derive_seed
from core.data.checks.dataset_checks import check_dataset
from core.data.checks.split_checks import check_splits
from core.data.encoded_split import EncodedSplit
from core.data.groups import Groups
from core.data.splits import split, subsample
from core.data.types import Dataset, Finding
from core.domain import Task
from core.fairness.mitigation import NoMitigation
from core.oversight.config import check_target
from core.privacy.config import shared_units_policy, validate_data, validate_pretraining
from core.run.state import PreparedData
from core.run.steps.fairness import check_reference_run
from core.targets.types import Target
from core.training.config import standard

log = logging.getLogger(__name__)


def prepare(config: RunConfig) -> PreparedData:
    """Carry out step 1, raising ValueError that names every fault the checks found."""
    assert isinstance(config.task, Task)
    config.task.check_files()
    dataset = config.task.admit(build(config.data, config.task, config.seed), config.target)
    validate_data(config.privacy, dataset)
    findings = check_dataset(dataset) + pretraining_overlap_findings(config, dataset)
    rows = split(dataset)
    findings += check_splits(dataset, rows, shared_units_policy(config.privacy))
    whole, share = len(rows["train"]), standard(config.training).train_fraction
    rows["train"] = subsample(dataset, rows["train"], share, derive_seed(config.seed, "share"))
    if share < 1:
        text = (
            f"training.train_fraction={share:g}: {len(rows['train']):,} of {whole:,} training rows were used"
        )
        findings.append(Finding("note", "share", "training.train_fraction", text))
    frames = {name: dataset.frame.iloc[chosen] for name, chosen in rows.items()}
    groups = Groups.fit(frames["train"], dataset)
    plain = build(config.encoder, dataset.roles)
    mitigation: NoMitigation = build(config.fairness)
    encoder = mitigation.wrap_encoder(plain, frames["train"], dataset.roles, groups)
    encoder.fit(frames["train"])
    target: Target = build(config.target, frames["train"], dataset.roles)
    check_target(config.oversight, target, dataset.roles)
    splits = {
        name: EncodedSplit(frame, rows[name], encoder, target.encode, dataset.roles, groups, dataset.frame)
        for name, frame in frames.items()
    }
    mitigation.check_groups(splits["validation"].groups, target)
    check_reference_run(config.fairness, dataset, target, splits["test"])
    for finding in findings:
        if finding.level == "warning":
            log.warning("%s", finding.message)
    return PreparedData(dataset, frames, splits, encoder, target, groups, findings)


def pretraining_overlap_findings(config: RunConfig, dataset: Dataset) -> list[Finding]:
    """Return a warning where the initial weights were pretrained on the very files of this run.

    Raises ValueError under a formal privacy guarantee, which would not hold for rows of these files.
    """
    files = pretraining_overlap(config.backbone, dataset.files)
    if not files:
        return []
    overlap = f"{weights_origin(config.backbone)} were pretrained on {', '.join(files)}"
    validate_pretraining(config.privacy, str(getattr(config.backbone, "weights", "")), overlap)
    overlap += (
        "; the test set was not read, but validation rows may have been: what is chosen on them "
        "(thresholds, prediction sets) may be overconfident"
    )
    return [Finding("warning", "pretraining", "backbone.weights", overlap)]
