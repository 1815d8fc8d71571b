"""Step 5: assess the impact: what is guaranteed about privacy, and how the training showed it."""

from __future__ import annotations

from core.backbones.pretrained import weights_origin
from core.data.encoder_config import TRAINED_TOKENIZERS, ColumnsEncoderConfig
from core.evaluation.config import NoBaseline
from core.privacy.guarantee import Release, non_private_statistics
from core.privacy.section import DPSection, NoPrivacySection
from core.run.state import ImpactReport, RunState
from core.run.steps.conformal import calibrate_sets
from core.run.steps.deferral import assess_deferral
from core.run.steps.explain import explain
from core.run.steps.fairness import audit_fairness
from core.run.steps.membership_inference import attack_model


def assess(state: RunState) -> ImpactReport:
    """Do step 5, raising ValueError where an audit refutes the run's privacy guarantee."""
    privacy = assess_privacy(state)
    with state.meter.phase("fairness"):
        fairness = audit_fairness(state, privacy.epsilon)
    with state.meter.phase("explain"):
        explanation = explain(state)
    with state.meter.phase("conformal"):
        conformal = calibrate_sets(state)
    with state.meter.phase("deferral"):
        uncertainty, oversight = assess_deferral(state, conformal)
    return ImpactReport(privacy, fairness, explanation, uncertainty, oversight)


def assess_privacy(state: RunState) -> NoPrivacySection | DPSection:
    """Audit and attack the trained model; return the record's section."""
    guarantee, encoder = state.design.setup.guarantee, state.config.encoder
    guarantee.run_audits(state.design.model, state.data.target)
    release = Release(
        initial_weights=weights_origin(state.config.backbone),
        non_private_statistics=non_private_statistics(
            state.data.encoder.layout(),
            state.data.dataset.roles,
            has_baseline=not isinstance(state.config.baseline, NoBaseline),
            trained_tokenizer=not isinstance(encoder, ColumnsEncoderConfig)
            or encoder.text.tokenizer in TRAINED_TOKENIZERS,
        ),
        attack=attack_model(state),
        shared_units=any(finding.check == "same unit" for finding in state.data.findings),
    )
    return guarantee.section(state.trained.steps, release)
