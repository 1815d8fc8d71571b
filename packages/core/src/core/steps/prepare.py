"""Step 1: read the source, check it, split it, fit the encoders on the training part only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.backbones.types import PretrainingProvenance
from core.config import RunConfig, derive_seed
from core.data.checks.dataset_checks import check_dataset, check_splits
from core.data.groups import Groups
from core.data.encoded_split import EncodedSplit
from core.data.splits import subsample, split
from core.data.types import Dataset, Encoder, Finding
from core.privacy.config import NoPrivacy
from core.steps.fairness import check_reference_run
from core.targets.types import Target

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Prepared:
    """Data ready to train on. Frames and parts are keyed train, validation, test."""

    dataset: Dataset
    frames: dict[str, pd.DataFrame]
    parts: dict[str, EncodedSplit]
    encoder: Encoder
    target: Target
    groups: Groups
    findings: list[Finding]


def prepare(config: RunConfig) -> Prepared:
    """Do step 1, raising ValueError that names every fault the checks found."""
    dataset = config.data.read(config.task, config.seed)
    config.privacy.check_data(dataset)
    findings = check_dataset(dataset) + seen_before(config, dataset)
    rows = split(dataset)
    findings += check_splits(dataset, rows)
    whole, share = len(rows["train"]), config.training.train_fraction
    rows["train"] = subsample(dataset, rows["train"], share, derive_seed(config.seed, "share"))
    if share < 1:
        text = f"training.train_fraction={share:g}: {len(rows['train']):,} of {whole:,} training rows were used"
        findings.append(Finding("note", "share", "training.train_fraction", text))
    frames = {name: dataset.frame.iloc[chosen] for name, chosen in rows.items()}
    groups = Groups.fit(frames["train"], dataset)
    plain = config.encoder.build(dataset.roles)
    encoder = config.fairness.encoder(plain, frames["train"], dataset.roles, groups)
    encoder.fit(frames["train"])
    target = config.target.build(frames["train"], dataset.roles)
    config.oversight.check_target(target, dataset.roles)
    parts = {
        name: EncodedSplit(frame, rows[name], encoder, target, dataset.roles, groups, dataset.frame)
        for name, frame in frames.items()
    }
    config.fairness.check_validation(parts["validation"].groups, target)
    check_reference_run(config, dataset, target, parts["test"])
    for finding in findings:
        if finding.level == "warning":
            print(f"warning: {finding.message}")
    return Prepared(dataset, frames, parts, encoder, target, groups, findings)


def seen_before(config: RunConfig, dataset: Dataset) -> list[Finding]:
    """Tell whether the first weights were trained on the very files of this run.

    Raises ValueError under a promise of privacy: it would be broken before the first step.
    """
    backbone = config.backbone
    if not isinstance(backbone, PretrainingProvenance):
        return []
    files = backbone.read_before(dataset.files)
    if not files:
        return []
    told = f"{backbone.started_from()} were pretrained on {', '.join(files)}"
    if not isinstance(config.privacy, NoPrivacy):
        raise ValueError(
            f"backbone.weights={getattr(backbone, 'weights', None)}: {told}, without noise: what privacy promises of "
            "these rows would not hold; set backbone.weights=random, or train on other data"
        )
    told += (
        "; its test part was not read, but rows held out for validation may have been: what is chosen on them "
        "(thresholds, sets) may be too sure"
    )
    return [Finding("warning", "pretraining", "backbone.weights", told)]
