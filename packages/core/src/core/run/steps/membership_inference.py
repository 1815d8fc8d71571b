"""Part of step 5: a membership inference attack on the trained model, as an outsider would mount it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from core.backbones.contexts import eval_mode
from core.config import RunConfig, build, derive_seed
from core.data.encoded_split import EncodedSplit
from core.privacy.config import NoPrivacy, attack_options
from core.privacy.membership_inference import evaluate_attack, lira, rmia
from core.run.state import ModelAndData, PreparedData, RunState
from core.run.steps.design import build_model
from core.run.steps.feature_cache import cache_frozen_features
from core.run.steps.lp_ft import train_linear_probe
from core.training.config import standard
from core.training.loop import fit
from core.training.parallel import ALONE
from core.training.setup import TrainingInputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from core.privacy.section import AttackResult
    from core.targets.types import Target

log = logging.getLogger(__name__)


def attack_model(state: RunState) -> AttackResult | None:
    """Attack the model: classify training and test rows by its losses; return None where no attack is asked for.

    ``loss`` guesses that rows of small loss are members (Yeom et al. 2018, arXiv:1709.01604). For the other attacks
    shadow models are trained as the model was, each on a random half of the units of both sets.
    """
    options = attack_options(state.config.privacy)
    if options is None:
        return None
    if options.attack == "loss":
        return _loss_attack(state, options)
    pool, member, units = _pool(state.data)
    batch_size = state.training.validation_batch_size
    losses = _losses(state.design.model, state.data.target, pool, batch_size)
    shadow_losses, inside = [], []
    for number in range(options.shadow_models):
        seed = derive_seed(state.config.seed, "shadow", number)
        chosen = _half(units, member, seed)
        log.info("membership inference: shadow model %d of %d", number + 1, options.shadow_models)
        shadow = _shadow_model(
            state.config, state.data, state.design, pool.subset(np.flatnonzero(chosen)), seed
        )
        shadow_losses.append(_losses(shadow, state.data.target, pool, batch_size))
        inside.append(chosen)
    seed = derive_seed(state.config.seed, "attack")
    if options.attack == "rmia":
        scores = rmia(losses, np.stack(shadow_losses))
        return evaluate_attack("rmia", scores, member, units, shadow_models=options.shadow_models, seed=seed)
    scores = lira(losses, np.stack(shadow_losses), np.stack(inside))
    return evaluate_attack("lira", scores, member, units, shadow_models=options.shadow_models, seed=seed)


def _loss_attack(state: RunState, options: NoPrivacy) -> AttackResult:
    rng = np.random.default_rng(derive_seed(state.config.seed, "attack"))
    batch_size = state.training.validation_batch_size
    scores, member, units = [], [], []
    seen = 0
    for name in ("train", "test"):
        split = state.data.splits[name]
        chosen = np.sort(rng.permutation(len(split))[: options.attack_rows])
        scores.append(-_losses(state.design.model, state.data.target, split, batch_size, chosen))
        codes = np.arange(len(split)) if split.unit_codes is None else split.unit_codes.numpy()
        own = np.unique(codes[chosen], return_inverse=True)[1]
        units.append(own + seen)
        seen += int(own.max()) + 1
        member.append(np.full(len(chosen), name == "train"))
    return evaluate_attack(
        "loss",
        np.concatenate(scores),
        np.concatenate(member),
        np.concatenate(units),
        shadow_models=0,
        seed=derive_seed(state.config.seed, "attack"),
    )


def _pool(prepared: PreparedData) -> tuple[EncodedSplit, NDArray[np.bool_], NDArray[np.int64]]:
    """Return the rows of training and test set together, which of them are members, and their units."""
    train, test = prepared.splits["train"], prepared.splits["test"]
    pool = EncodedSplit(
        pd.concat([train.frame, test.frame]),
        np.concatenate([train.rows, test.rows]),
        prepared.encoder,
        prepared.target.encode,
        prepared.dataset.roles,
        prepared.groups,
        prepared.dataset.frame,
    )
    units = np.arange(len(pool)) if pool.unit_codes is None else pool.unit_codes.numpy()
    return pool, np.arange(len(pool)) < len(train), units


def _half(units: NDArray[np.int64], member: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """Return which rows belong to a random half of the units of each side."""
    rng = np.random.default_rng(seed)
    chosen = np.zeros(int(units.max()) + 1, dtype=bool)
    for side in (member, ~member):
        own = rng.permutation(np.unique(units[side]))
        chosen[own[: len(own) // 2]] = True
    return np.asarray(chosen[units])


def _shadow_model(
    config: RunConfig, prepared: PreparedData, designed: ModelAndData, split: EncodedSplit, seed: int
) -> torch.nn.Module:
    """Return a model trained on a split as the run's own was, without validation."""
    # The run's precision is not measured anew; checkpoints are not written.
    training = replace(standard(config.training), precision=designed.setup.precision.precision)
    model = build_model(replace(config, seed=seed), prepared, designed.device)
    augmentation = build(config.augmentation, prepared.encoder.layout())
    rows, _ = cache_frozen_features(training, model, split, augmentation)
    train_linear_probe(training, config.adapter, model, prepared.target, split, seed=seed, parallel=ALONE)
    inputs = TrainingInputs(
        training,
        config.optimizer,
        config.schedule,
        model,
        prepared.target,
        rows,
        prepared.splits["validation"],
        seed=seed,
        augmentation=augmentation,
        objective=build(config.fairness).objective(split, prepared.groups, prepared.target),
    )
    setup = build(config.privacy, inputs)
    model.train()
    fit(setup.step, setup.batches, seed=seed)
    if setup.step.ema is not None:
        setup.step.ema.copy_to_model()
    return model


def _losses(
    model: torch.nn.Module,
    target: Target,
    split: EncodedSplit,
    batch_size: int,
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Return the losses of a split's rows (all by default), a batch at a time: outputs of masks are large."""
    chosen = torch.arange(len(split)) if rows is None else torch.from_numpy(rows)
    device, found = next(model.parameters()).device, []
    with eval_mode(model), torch.inference_mode():
        for start in range(0, len(chosen), batch_size):
            batch = split.batch(chosen[start : start + batch_size]).to(device)
            losses = target.losses(model(batch.inputs).float(), batch.targets)
            found.append(losses.double().cpu().numpy())
    return np.concatenate(found)
