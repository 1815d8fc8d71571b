"""Step 5: assess the impact: what is promised about privacy, and how the training showed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.config import RunConfig
from core.data.config import TRAINED_TOKENIZERS
from core.energy.meter import Meter
from core.evaluation.config import NoBaseline
from core.privacy.statement import non_private_statement, pretrained_from, non_private_statistics
from core.steps.membership_inference import attack
from core.steps.fairness import audit_fairness
from core.steps.design import ModelAndData
from core.steps.evaluate import Judged
from core.steps.explain import explain
from core.steps.oversee import oversee
from core.steps.prepare import Prepared
from core.training.trainer import TrainingResult


@dataclass
class Impact:
    """The record's sections on impact; a concern that this run did not measure is None."""

    privacy: dict[str, Any] | None = None
    fairness: dict[str, Any] | None = None
    explanation: dict[str, Any] | None = None
    uncertainty: dict[str, Any] | None = None
    oversight: dict[str, Any] | None = None


def assess(
    config: RunConfig,
    prepared: Prepared,
    designed: ModelAndData,
    trained: TrainingResult,
    judged: Judged,
    meter: Meter,
) -> Impact:
    """Do step 5, raising ValueError where an audit refutes what the run promises about privacy."""
    privacy = _privacy(config, prepared, designed, trained)
    with meter.phase("audit"):
        fairness = audit_fairness(config, prepared, judged, privacy.get("epsilon"))
    with meter.phase("explain"):
        explanation = explain(config, prepared, designed, judged)
    with meter.phase("oversee"):
        uncertainty, oversight = oversee(config, prepared, judged)
    return Impact(privacy, fairness, explanation, uncertainty, oversight)


def _privacy(config: RunConfig, prepared: Prepared, designed: ModelAndData, trained: TrainingResult) -> dict[str, Any]:
    if designed.private is None:
        return non_private_statement(attack(config, prepared, designed))
    challenged = not isinstance(config.baseline, NoBaseline)
    own = getattr(config.encoder, "tokenizer", "own") in TRAINED_TOKENIZERS
    noiseless = non_private_statistics(prepared.encoder.layout(), prepared.dataset.roles, challenged, own)
    return designed.private.section(trained.steps, pretrained_from(config.backbone), noiseless)
