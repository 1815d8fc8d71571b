"""A training under differential privacy set up: plan, key, Poisson batches, clipper, preflight, audits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from core.config import derive_seed
from core.privacy.blackbox_audit import BlackBoxAudit
from core.privacy.clipping import (
    AdaptiveClip,
    AutomaticClip,
    ClipRule,
    FlatClip,
    PerExampleClipper,
    PerLayerClip,
)
from core.privacy.guarantee import DPGuarantee
from core.privacy.mechanism import GaussianMechanism
from core.privacy.opacus_engine import OpacusClipper
from core.privacy.plan import PrivacyPlan
from core.privacy.preflight import preflight
from core.privacy.rng_key import load_or_create_key
from core.privacy.sampling import PoissonBatches, count_units
from core.privacy.whitebox_audit import WhiteBoxAudit
from core.training.dp_sgd import DPGradient
from core.training.precision import PrecisionDecision
from core.training.setup import TrainingSetup
from core.training.step import to_device
from core.training.torchrun_env import sweep_position

if TYPE_CHECKING:
    from torch import nn

    from core.privacy.config import DifferentialPrivacy
    from core.privacy.section import PreflightSection
    from core.training.setup import TrainingInputs

PROBE_ROWS = 6
"""Rows of the preflight; they are validation rows, so that its results reveal nothing of the training set."""


def set_up_with_privacy(config: DifferentialPrivacy, inputs: TrainingInputs) -> TrainingSetup:
    """Return a training on Poisson batches along the noisy mean of clipped per-unit gradients.

    The checkpoints' folder keeps the key until the run ends. Raises ValueError for a budget that can't be kept and
    for what preflight finds.
    """
    training, parallel = inputs.training, inputs.parallel
    folder = inputs.checkpoints
    assert folder is not None, "the key must be kept for a resume"
    plan = PrivacyPlan.from_config(
        config, count_units(inputs.train), inputs.unit_name, epochs=training.epochs, steps=training.steps
    )
    precision = _precision(training.precision)
    losses = inputs.example_losses(precision.precision)
    clipper = build_clipper(config, inputs.model, plan)
    report = check_clipping(clipper, inputs)
    clipper.scale = 1 / plan.batch_size
    key = parallel.broadcast_from_main(lambda: load_or_create_key(folder, config.noise_seed))
    batches = PoissonBatches(
        inputs.train,
        plan,
        key,
        inputs.augmentation,
        canaries=config.audit_canaries + config.blackbox_canaries,
        rank=parallel.rank,
        world=parallel.world,
    )
    whitebox = blackbox = None
    if config.audit_canaries:
        whitebox = WhiteBoxAudit(clipper, batches, plan, config.audit_canaries, key)
    if config.blackbox_canaries:
        blackbox = BlackBoxAudit(
            inputs.validation, batches, plan, config.audit_canaries, config.blackbox_canaries, key
        )
    gradient = DPGradient(
        losses,
        GaussianMechanism(plan, clipper, key),
        whitebox=whitebox,
        blackbox=blackbox,
        parallel=parallel,
    )
    position = sweep_position()
    guarantee = DPGuarantee(
        config,
        plan,
        report,
        converted_layers=inputs.converted_layers,
        key_folder=folder,
        whitebox=whitebox,
        blackbox=blackbox,
        sweep_size=None if position is None else position[1],
    )
    return TrainingSetup(
        step=inputs.train_step(gradient, plan.steps, max_grad_norm=0.0),
        batches=batches,
        precision=precision,
        epoch_steps=max(round(1 / plan.sampling_rate), 1),
        # Derived from the key, or one unit's presence would visibly shift the dropout of the others.
        seed=derive_seed(key, "training", parallel.rank),
        guarantee=guarantee,
    )


def build_clipper(config: DifferentialPrivacy, model: nn.Module, plan: PrivacyPlan) -> PerExampleClipper:
    """Return the clipper of a network's trainable weights."""
    rules: dict[str, ClipRule] = {
        "flat": FlatClip(plan.l2_clip_norm),
        "per_layer": PerLayerClip(plan.l2_clip_norm),
        "automatic": AutomaticClip(plan.l2_clip_norm),
        "adaptive": AdaptiveClip(plan.l2_clip_norm, config.quantile),
    }
    engine = {"bookkeeping": PerExampleClipper, "opacus": OpacusClipper}[config.engine]
    return engine(model, rule=rules[config.clipping])


def check_clipping(clipper: PerExampleClipper, inputs: TrainingInputs) -> PreflightSection:
    """Return what preflight measured on validation rows, raising ValueError for inexact clipping or mixed examples."""
    rows = torch.arange(min(PROBE_ROWS, len(inputs.validation)))
    probe = inputs.validation.batch(rows)
    probe = to_device(probe, clipper.flat.device, inputs.training.channels_last)
    mode = clipper.model.training
    clipper.model.train()

    def losses(index: torch.Tensor) -> torch.Tensor:
        taken = {name: tensor[index] for name, tensor in probe.inputs.items()}
        return inputs.target.losses(clipper.model(taken).float(), probe.targets[index])

    try:
        return preflight(clipper, losses, len(rows))
    finally:
        clipper.model.train(mode)


def _precision(requested: str) -> PrecisionDecision:
    """Return the precision without timing rows: that, and their number, would be a release."""
    if requested == "auto":
        return PrecisionDecision("fp32", "private")
    return PrecisionDecision(requested, "requested")
