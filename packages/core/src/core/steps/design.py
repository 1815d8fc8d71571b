"""Step 2: backbone, head and adapter; the training that will change them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from core.backbones.model import Model
from core.backbones.types import DataDependentInit
from core.config import RunConfig, build, derive_seed
from core.privacy.batch_norm import convert_batch_norm
from core.privacy.config import batch_norm_policy, is_private
from core.run.directory import RunDirectory
from core.steps.feature_cache import cache_frozen_features
from core.steps.lp_ft import train_linear_probe
from core.steps.prepare import PreparedData
from core.training.config import standard
from core.training.device import resolve_device
from core.training.parallel import ProcessGroup
from core.training.section import FeatureCache, LinearProbe
from core.training.setup import TrainingInputs, TrainingSetup

INIT_ROWS = 5000
"""Training rows that a backbone's data-dependent initialization may use."""


@dataclass
class ModelAndData:
    """The network and the training that will change it."""

    model: Model
    device: torch.device
    setup: TrainingSetup
    feature_cache: FeatureCache | None
    linear_probe: LinearProbe | None


def build_model(config: RunConfig, prepared: PreparedData, device: torch.device) -> Model:
    """Return the network for the encoder's layout and the target's width, weights initialized from the seed.

    Without a privacy guarantee, a backbone with a data-dependent initialization takes it from training inputs.
    """
    seed = derive_seed(config.seed, "weights")
    backbone = build(config.backbone, prepared.encoder.layout(), seed)
    if isinstance(backbone, DataDependentInit) and not is_private(config.privacy):
        train = prepared.parts["train"]
        generator = torch.Generator().manual_seed(derive_seed(config.seed, "first look"))
        backbone.init_from(train.encoded.take(torch.randperm(len(train), generator=generator)[:INIT_ROWS]))
    model: Model = build(config.adapter, backbone, prepared.target.width, prepared.target.reads, seed)
    return model.to(device)


def design(
    config: RunConfig, prepared: PreparedData, folder: RunDirectory, parallel: ProcessGroup
) -> ModelAndData:
    """Do step 2."""
    if config.threads:
        torch.set_num_threads(config.threads)
    training = standard(config.training)
    device = resolve_device(config.device, parallel)
    model = build_model(config, prepared, device)
    train = prepared.parts["train"]
    augmentation = build(config.augmentation, prepared.encoder.layout())
    converted = convert_batch_norm(model, batch_norm_policy(config.privacy))
    rows, feature_cache = cache_frozen_features(
        training, model, train, augmentation, show_progress=parallel.is_main
    )
    linear_probe = train_linear_probe(
        training, config.adapter, model, prepared.target, train, seed=config.seed, parallel=parallel
    )
    inputs = TrainingInputs(
        training,
        config.optimizer,
        config.schedule,
        model,
        prepared.target,
        rows,
        prepared.parts["validation"],
        seed=config.seed,
        folder=folder.path,
        checkpoints=folder.checkpoints,
        unit_name=prepared.dataset.unit_name,
        augmentation=augmentation,
        objective=build(config.fairness).objective(train, prepared.groups, prepared.target),
        converted_layers=tuple(converted),
        parallel=parallel,
    )
    return ModelAndData(model, device, build(config.privacy, inputs), feature_cache, linear_probe)
