"""Step 5: assess the impact: what is promised about privacy, and how the training showed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.config import RunConfig
from core.evaluation.config import NoChallenger
from core.privacy.statement import pretrained_from, without_noise
from core.steps.attack import attack
from core.steps.design import Designed
from core.steps.prepare import Prepared
from core.training.run import Trained


@dataclass
class Impact:
    """The record's sections on impact; a concern that this run did not measure is None."""

    privacy: dict[str, Any] | None = None


def assess(config: RunConfig, prepared: Prepared, designed: Designed, trained: Trained) -> Impact:
    """Do step 5, raising ValueError where an audit refutes what the run promises about privacy."""
    if designed.private is None:
        found = attack(config, prepared, designed)
        return Impact(None if found is None else {"epsilon": None, "attack": found})
    challenged = not isinstance(config.challenger, NoChallenger)
    noiseless = without_noise(prepared.encoder.layout(), prepared.dataset.fields, challenged)
    return Impact(designed.private.section(trained.steps, pretrained_from(config.backbone), noiseless))
