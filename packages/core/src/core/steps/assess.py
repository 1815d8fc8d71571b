"""Step 5: assess the impact: what is guaranteed about privacy, and how the training showed it."""

from __future__ import annotations

from dataclasses import dataclass

from core.backbones.pretrained import weights_origin
from core.config import RunConfig
from core.data.config import TRAINED_TOKENIZERS
from core.energy.meter import Meter
from core.evaluation.config import NoBaseline
from core.explanation.section import ExplanationSection
from core.fairness.section import FairnessSection
from core.oversight.section import OversightSection, UncertaintySection
from core.privacy.guarantee import Release, non_private_statistics
from core.privacy.section import DPSection, NoPrivacySection
from core.steps.conformal import calibrate_sets
from core.steps.deferral import assess_deferral
from core.steps.design import ModelAndData
from core.steps.evaluate import EvaluationResult
from core.steps.explain import explain
from core.steps.fairness import audit_fairness
from core.steps.membership_inference import attack_model
from core.steps.prepare import PreparedData
from core.training.trainer import TrainingResult


@dataclass
class ImpactReport:
    """The record's sections on impact; a concern that this run did not measure is None."""

    privacy: NoPrivacySection | DPSection
    fairness: FairnessSection | None = None
    explanation: ExplanationSection | None = None
    uncertainty: UncertaintySection | None = None
    oversight: OversightSection | None = None


def assess(
    config: RunConfig,
    prepared: PreparedData,
    designed: ModelAndData,
    trained: TrainingResult,
    judged: EvaluationResult,
    meter: Meter,
) -> ImpactReport:
    """Do step 5, raising ValueError where an audit refutes the run's privacy guarantee."""
    privacy = assess_privacy(config, prepared, designed, trained)
    with meter.phase("fairness"):
        fairness = audit_fairness(config, prepared, judged, privacy.epsilon)
    with meter.phase("explain"):
        explanation = explain(config, prepared, designed, judged)
    with meter.phase("conformal"):
        conformal = calibrate_sets(config, prepared, judged)
    with meter.phase("deferral"):
        uncertainty, oversight = assess_deferral(config, prepared, judged, conformal)
    return ImpactReport(privacy, fairness, explanation, uncertainty, oversight)


def assess_privacy(
    config: RunConfig, prepared: PreparedData, designed: ModelAndData, trained: TrainingResult
) -> NoPrivacySection | DPSection:
    """Audit and attack the trained model; return the record's section."""
    guarantee = designed.setup.guarantee
    guarantee.run_audits(designed.model, prepared.target, trained.steps)
    release = Release(
        initial_weights=weights_origin(config.backbone),
        non_private_statistics=non_private_statistics(
            prepared.encoder.layout(),
            prepared.dataset.roles,
            has_baseline=not isinstance(config.baseline, NoBaseline),
            trained_tokenizer=config.encoder.text.tokenizer in TRAINED_TOKENIZERS,
        ),
        attack=attack_model(config, prepared, designed),
    )
    return guarantee.section(trained.steps, release)
