"""Step 2: backbone, head and adapter; the batches and the update that will change them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from core.backbones.model import Model
from core.backbones.types import DataDependentInit
from core.config import RunConfig, build, derive_seed
from core.data.augmentation import Augmentation
from core.data.batches import ShuffledBatches
from core.data.encoded_split import EncodedSplit
from core.run.directory import RunDirectory
from core.privacy.config import NoPrivacy
from core.steps.lp_ft import linear_probe_settings, train_linear_probe
from core.steps.feature_cache import cache_frozen_features
from core.steps.prepare import PreparedData
from core.training.device import resolve_device
from core.training.parallel import ALONE, ProcessGroup
from core.training.precision import PrecisionDecision
from core.training.dp_setup import PrivateTraining, private_training
from core.training.trainer import plain_update, settle_precision
from core.training.types import Batches, Step


@dataclass
class ModelAndData:
    """The network and how it will be changed."""

    model: Model
    device: torch.device
    batches: Batches
    update: Step
    precision: PrecisionDecision
    epoch_steps: int
    seed: int
    """What each step's random streams (dropout) are drawn from."""
    private: PrivateTraining | None
    messages: list[str]
    """What was computed before the first step."""


INIT_ROWS = 5000
"""Training rows that a backbone's data-dependent initialization may use."""


def build_model(config: RunConfig, prepared: PreparedData, device: torch.device, private: bool) -> Model:
    """Make the network for the encoder's layout and the target's width, weights drawn from the seed.

    Where nothing is promised about privacy, a backbone that can may start from a look at training inputs.
    """
    seed = derive_seed(config.seed, "weights")
    backbone = build(config.backbone, prepared.encoder.layout(), seed)
    if isinstance(backbone, DataDependentInit) and not private:
        train = prepared.parts["train"]
        generator = torch.Generator().manual_seed(derive_seed(config.seed, "first look"))
        backbone.init_from(train.encoded.take(torch.randperm(len(train), generator=generator)[:INIT_ROWS]))
    model: Model = build(config.adapter, backbone, prepared.target.width, prepared.target.reads, seed)
    return model.to(device)


def shuffled(
    config: RunConfig, part: EncodedSplit, augmentation: Augmentation | None, seed: int, parallel: ProcessGroup = ALONE
) -> ShuffledBatches:
    """Make the batches that ``training=`` asks for, of a part and a seed."""
    settings = config.training
    return ShuffledBatches(
        part,
        settings.batch_size,
        seed=derive_seed(seed, "batches"),
        steps=settings.total_steps(len(part)),
        balanced=settings.balanced,
        power=settings.balanced_power,
        augmentation=augmentation,
        drop_last=settings.drop_last,
        rank=parallel.rank,
        world=parallel.world,
    )


def design(config: RunConfig, prepared: PreparedData, folder: RunDirectory, parallel: ProcessGroup) -> ModelAndData:
    """Do step 2."""
    if config.threads:
        torch.set_num_threads(config.threads)
    device = resolve_device(config.device, parallel)
    model = build_model(config, prepared, device, private=not isinstance(config.privacy, NoPrivacy))
    whole = prepared.parts["train"]
    augmentation = build(config.augmentation, prepared.encoder.layout())
    first = linear_probe_settings(config)
    objective = config.fairness.objective(whole, prepared.groups, prepared.target)
    replaced = config.privacy.settle(model)
    train, told = cache_frozen_features(config.training, model, whole, augmentation, shown=parallel.is_main)
    messages = [told] if told else []
    private = private_training(
        config,
        model,
        prepared.target,
        train,
        prepared.parts["validation"],
        unit_name=prepared.dataset.unit_name,
        augmentation=augmentation,
        replaced=replaced,
        folder=folder.checkpoints,
        objective=objective,
        parallel=parallel,
    )
    if private is not None:
        p = private
        return ModelAndData(model, device, p.batches, p.update, p.precision, p.epoch_steps, p.seed, p, messages)
    settings: Any = config.training
    epoch_steps = settings.epoch_steps(len(train))
    batches = shuffled(config, train, augmentation, config.seed, parallel)
    if first is not None:
        messages += train_linear_probe(config, model, prepared.target, whole, batches, first, parallel)
    precision = settle_precision(settings, model, prepared.target, batches, folder.path, parallel)
    update = plain_update(
        settings,
        config.optimizer.build(model),
        config.schedule.build(batches.steps),
        model,
        prepared.target,
        precision.precision,
        objective=objective,
        parallel=parallel,
    )
    # Each process drops out for itself: two that drew alike would drop the same places of all their rows.
    seed = config.seed if parallel.is_main else derive_seed(config.seed, "rank", parallel.rank)
    return ModelAndData(model, device, batches, update, precision, epoch_steps, seed, None, messages)
