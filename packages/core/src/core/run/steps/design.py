"""Step 2: backbone, head and adapter; the training that will change them."""

from __future__ import annotations

import torch

from core.backbones.model import Model
from core.backbones.types import DataDependentInit
from core.config import RunConfig, build, derive_seed
from core.privacy.batch_norm import convert_batch_norm
from core.privacy.config import batch_norm_policy, is_private
from core.run.state import ModelAndData, PreparedData, RunState
from core.run.steps.feature_cache import cache_frozen_features
from core.run.steps.lp_ft import train_linear_probe
from core.training.device import resolve_device
from core.training.setup import TrainingInputs

INIT_ROWS = 5000
"""Training rows that a backbone's data-dependent initialization may use."""


def build_model(config: RunConfig, prepared: PreparedData, device: torch.device) -> Model:
    """Return the network for the encoder's layout and the target's width, weights initialized from the seed.

    Without a privacy guarantee, a backbone with a data-dependent initialization takes it from training inputs.
    """
    seed = derive_seed(config.seed, "weights")
    backbone = build(config.backbone, prepared.encoder.layout(), seed)
    if isinstance(backbone, DataDependentInit) and not is_private(config.privacy):
        train = prepared.splits["train"]
        generator = torch.Generator().manual_seed(derive_seed(config.seed, "first look"))
        backbone.init_from(train.encoded.take(torch.randperm(len(train), generator=generator)[:INIT_ROWS]))
    model: Model = build(config.adapter, backbone, prepared.target.width, prepared.target.reads, seed)
    return model.to(device)


def design(state: RunState) -> ModelAndData:
    """Do step 2."""
    if state.config.threads:
        torch.set_num_threads(state.config.threads)
    training = state.training
    device = resolve_device(state.config.device, state.processes)
    model = build_model(state.config, state.data, device)
    train = state.data.splits["train"]
    augmentation = build(state.config.augmentation, state.data.encoder.layout())
    converted = convert_batch_norm(model, batch_norm_policy(state.config.privacy))
    rows, feature_cache = cache_frozen_features(
        training, model, train, augmentation, show_progress=state.processes.is_main
    )
    linear_probe = train_linear_probe(
        training,
        state.config.adapter,
        model,
        state.data.target,
        train,
        seed=state.config.seed,
        parallel=state.processes,
    )
    inputs = TrainingInputs(
        training,
        state.config.optimizer,
        state.config.schedule,
        model,
        state.data.target,
        rows,
        state.data.splits["validation"],
        seed=state.config.seed,
        folder=state.directory.path,
        checkpoints=state.directory.checkpoints,
        unit_name=state.data.dataset.unit_name,
        augmentation=augmentation,
        objective=build(state.config.fairness).objective(train, state.data.groups, state.data.target),
        converted_layers=tuple(converted),
        parallel=state.processes,
    )
    return ModelAndData(model, device, build(state.config.privacy, inputs), feature_cache, linear_probe)
